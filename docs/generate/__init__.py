"""Writes the pages under docs/reference from the code: `python -m docs.generate`."""
