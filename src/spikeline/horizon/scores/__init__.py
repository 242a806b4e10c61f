"""Forecast windows, bits per spike on them, and the tables of both."""
