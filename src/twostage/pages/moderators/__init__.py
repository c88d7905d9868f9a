"""The page on moderators of the effects."""
