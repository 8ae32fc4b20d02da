"""Runs from strangers: unpacked and checked as hostile input, then recomputed in part."""
