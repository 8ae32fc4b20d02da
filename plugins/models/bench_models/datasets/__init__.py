"""Datasets: the images that a user has on disk."""
