"""Sessions that are not equally far apart: the lagged effects over any interval."""
