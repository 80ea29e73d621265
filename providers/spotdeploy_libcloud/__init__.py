"""What the providers built on apache-libcloud share. No provider itself."""
