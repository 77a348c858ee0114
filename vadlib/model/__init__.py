"""The dual-path autoencoder, its memories and what trains it."""
