"""Cross-level interactions: how much of a scale's ends is in them."""
