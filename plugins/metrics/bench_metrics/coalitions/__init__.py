"""Games over the cells of an image, and what is computed from their coalitions."""
