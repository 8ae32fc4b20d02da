"""Coalition games of images and point clouds, and interactions and Shapley values computed from them."""
