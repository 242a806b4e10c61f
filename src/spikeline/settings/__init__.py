"""How config entries become the settings of one job."""
