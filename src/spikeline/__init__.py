"""Spikeline: the steps of one workflow from neural recordings to tables."""

__version__ = "0.1.0"
