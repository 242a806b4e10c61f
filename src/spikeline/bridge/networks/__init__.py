"""Decoders trained by gradient descent: architectures, losses, augmentation, training."""
