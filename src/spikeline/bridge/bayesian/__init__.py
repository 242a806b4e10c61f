"""The Bayesian decoder: two Gaussian models, encoding and decoding, that share one score."""
