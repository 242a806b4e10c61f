"""Simulated origins: what the demo records instead of a laboratory, in that laboratory's layout."""
