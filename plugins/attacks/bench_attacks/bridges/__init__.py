"""Attacks of other libraries. Each bridge is a plugin of its own, unavailable where its library is not installed."""
