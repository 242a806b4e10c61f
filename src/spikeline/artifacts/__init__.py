"""The contracts between steps: what a file holds, how it is written, checked and read."""
