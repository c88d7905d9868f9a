"""Studies pooled within countries."""
