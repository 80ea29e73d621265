"""The engines: what boots machines, in the ways that a host can."""
