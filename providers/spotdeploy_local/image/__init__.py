"""The image that machines boot: what is in it, how it is built, where it is kept."""
