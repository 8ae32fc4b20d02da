"""Many runs ranked and queried; one run as a page."""
