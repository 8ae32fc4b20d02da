"""Point clouds: shapes that bench makes itself, ModelNet's meshes, and a network for both."""
