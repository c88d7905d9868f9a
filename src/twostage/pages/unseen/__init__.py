"""Dropout that depends on scores nobody saw: the pooled effects if they were other than predicted."""
