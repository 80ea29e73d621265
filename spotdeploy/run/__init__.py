"""One run: its locations, its nodes, and what they came to."""
