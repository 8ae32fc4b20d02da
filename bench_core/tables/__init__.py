"""Tables of scores, and the formats in which every command prints them."""
