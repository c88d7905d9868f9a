"""The page on the influence of single studies."""
