"""The contracts of images: latents and prompts, what was given back, and how it was scored."""
