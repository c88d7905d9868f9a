"""The person-mean centred model on arrays.

- `centred_transitions`: a panel's rows from one session to the next, with means and deviations of each patient.
- `fit_jackknife`: the centred model corrected for the bias of short panels (half-panel jackknife).
"""

from twostage.stats.centred.centring import CentredTransitions, centred_transitions, enough_sessions
from twostage.stats.centred.jackknife import JackknifeFit, fit_jackknife
