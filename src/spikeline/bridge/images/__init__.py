"""From images to embeddings: encoders, and what is kept of their layers."""
