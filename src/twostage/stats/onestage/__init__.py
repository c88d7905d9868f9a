"""One mixed model of all patients of all studies (one-stage IPD meta-analysis), exactly, from sums.

- `StudySums`: what the model needs of one study: for each number of transitions the patients' number, their mean and the
  scatter of their means, and the cross-products about the patients' own means. `joined_cells` makes small cells larger.
- `fit_onestage`: the model; `OneStageFit` its result.

A fit goes from sums.py (what a study hands on) over pieces.py (each study's own likelihood and its slopes) and
likelihood.py (all of them together, with derivatives) to search.py (the minimum) and inference.py (tests on the number of
studies).
"""

from twostage.stats.onestage.fit import VARIANCES, fit_onestage
from twostage.stats.onestage.results import OneStageFit
from twostage.stats.onestage.sums import StudySums, joined_cells
