"""Both directions pooled jointly."""
