"""What is asked of this host and of its kernel."""
