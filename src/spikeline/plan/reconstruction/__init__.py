"""What images given back are made from: generators, reconstructors, and what judges them."""
