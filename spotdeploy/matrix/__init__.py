"""Many deployments of one config: every combination of some values is a cell, a run of its own."""
