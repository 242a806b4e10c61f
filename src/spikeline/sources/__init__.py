"""Where recordings and images come from, one module per origin."""
