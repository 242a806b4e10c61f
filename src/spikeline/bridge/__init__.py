"""Ventral-stream responses to image embeddings: decoders, losses, retrieval."""
