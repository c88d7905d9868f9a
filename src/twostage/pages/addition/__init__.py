"""A study set against the others."""
