"""Simulated origins: what the demo records instead of a laboratory, in the laboratory's file layout."""
