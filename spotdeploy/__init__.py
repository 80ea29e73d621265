"""Destroy, create and verify spot instances on any cloud."""

__version__ = "0.1.0"
