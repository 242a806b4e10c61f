"""Simulated origins: recordings for the demo, in the layout of the laboratories' own files."""
