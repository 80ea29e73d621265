"""What is shipped to each node: its manifest, its digests, its archive."""
