"""Responses to images: decoders of what a generator consumes, and the scores of what it makes."""
