"""A run's book: its source assembled, then built."""
