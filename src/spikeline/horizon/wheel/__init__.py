"""Wheel velocity decoded from spikes: POYO next to ridge."""
