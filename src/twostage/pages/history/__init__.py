"""The answer over time: what changed from one release of a collection's results to the next."""
