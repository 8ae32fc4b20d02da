"""Adversarial and clean images of a run, written to a folder."""
