"""Several forecasters of one session, combined by weights that its validation blocks choose."""
