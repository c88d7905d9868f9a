"""One model of all patients beside the two-stage analysis."""
