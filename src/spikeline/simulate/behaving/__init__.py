"""The behaving twin: sessions of spiking units under a wheel, a running disc and pictures."""
