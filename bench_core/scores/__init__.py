"""Rows become scores with labels and intervals."""
