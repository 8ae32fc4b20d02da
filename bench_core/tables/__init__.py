"""Scores become tables, and tables become text."""
