"""The decoder that a user gets without choosing: candidates, weighted by validation."""
