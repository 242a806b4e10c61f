"""The parts of the network: identity, past encoder, future decoder, head, and what they share."""
