"""What a run needs of the machine it is on: a GPU of its own, and why a cluster lets it wait."""
