"""A static site over many runs: leaderboards, and a page for each run, attack and network."""
