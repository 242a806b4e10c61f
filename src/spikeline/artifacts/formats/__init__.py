"""File formats: HDF5 by a declared contract, JSON, safetensors."""
