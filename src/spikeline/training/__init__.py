"""Training shared by both systems: devices, the epoch loop, histories."""
