"""Small networks trained on Fashion-MNIST, and 1,000 test images that were not used in training."""
