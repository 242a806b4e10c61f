"""Spikes of many sessions, and what their units will do in the next second."""
