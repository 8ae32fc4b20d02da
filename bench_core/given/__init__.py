"""Images that were attacked elsewhere: found, matched to the dataset's, and checked before anything is computed."""
