"""Rows become scores with labels, images and intervals."""
