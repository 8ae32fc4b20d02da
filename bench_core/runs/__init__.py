"""A run's folder: the record, written and read back."""
