"""Generators of images: autoencoders, diffusion models, and the loop that samples from them."""
