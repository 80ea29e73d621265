"""One node: its keys, the connection to it, and the commands run on it."""
