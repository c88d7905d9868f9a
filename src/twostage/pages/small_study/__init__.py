"""The page on small-study effects."""
