"""Third-party plugins: a working package to begin with, and the contract that one must keep."""
