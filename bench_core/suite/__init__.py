"""A suite file becomes one validated `Suite`."""
