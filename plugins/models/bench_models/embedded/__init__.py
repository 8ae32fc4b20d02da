"""Small networks trained for bench on Fashion-MNIST, and 1,000 test images that none was trained on."""
