"""A run against a base: the regression gate."""
