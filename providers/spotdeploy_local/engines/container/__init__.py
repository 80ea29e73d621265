"""Machines as containers of podman or docker, driven by their command lines."""
