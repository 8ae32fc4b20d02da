"""Load a suite file, with its profile and overrides, as one validated `Suite`."""
