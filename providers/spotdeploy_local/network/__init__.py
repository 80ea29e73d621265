"""The private networks of machines."""
