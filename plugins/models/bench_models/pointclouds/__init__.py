"""Point clouds: generated shapes, ModelNet's meshes, and networks for both."""
