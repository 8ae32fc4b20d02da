"""Rewrites networks so that they compute the same function, and its gradient with respect to images faster."""
