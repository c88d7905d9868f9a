"""The person-mean centred model on arrays, and its half-panel jackknife."""

from twostage.stats.centred.centring import centred_transitions, enough_sessions
from twostage.stats.centred.jackknife import fit_jackknife

__all__ = ["centred_transitions", "enough_sessions", "fit_jackknife"]
