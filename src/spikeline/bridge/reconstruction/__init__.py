"""Images back from responses: decoders that draw with a generator, their scores and tables."""
