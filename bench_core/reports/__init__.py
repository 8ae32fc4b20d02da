"""Reports over finished runs: leaderboards, queries, and HTML pages."""
