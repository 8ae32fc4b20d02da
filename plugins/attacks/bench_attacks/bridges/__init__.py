"""Attacks of other libraries. Each bridge is a separate plugin, unavailable if its library is not installed."""
