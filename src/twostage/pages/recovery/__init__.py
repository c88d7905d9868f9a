"""The page on the recovery study."""
