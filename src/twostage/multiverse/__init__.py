"""Every reasonable combination of choices over both stages, computed without a notebook for each."""
