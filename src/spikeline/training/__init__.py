"""Training shared by both systems: device and processes, the epoch loop, resume, histories."""
