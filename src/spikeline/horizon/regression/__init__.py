"""A Poisson regression for each session, its priors learned from all its units."""
