"""A simulated recording that drifts: place cells and interneurons of an animal that wanders."""
