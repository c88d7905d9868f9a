"""Whoever follows a fit reads few files: those of `stats` in which a function is called."""

import sys
from pathlib import Path

import numpy as np
import pytest

from twostage import stats
from twostage.stats.dpm import fit_dpm
from twostage.stats.mixed import fit_mixed
from twostage.stats.pool import metareg, pool
from twostage.stats.riclpm import fit_riclpm

RNG = np.random.default_rng(1)
GROUPS = np.repeat(np.arange(40), 5)
X = np.column_stack([np.ones(200), RNG.normal(size=200)])
Y = X.sum(axis=1) + RNG.normal(size=40)[GROUPS] + RNG.normal(size=200)
PANEL = RNG.normal(size=(80, 1, 2)) + RNG.normal(size=(80, 5, 2))
SKIPPED = np.where(RNG.random(PANEL.shape) < 0.1, np.nan, PANEL)
EFFECTS, VARIANCES = RNG.normal(size=12), RNG.uniform(0.01, 0.1, 12)


@pytest.mark.parametrize(
    ("most", "fit"),
    [
        (6, lambda: fit_mixed(Y, X, GROUPS)),
        (6, lambda: fit_mixed(Y, X, GROUPS, X)),
        (5, lambda: fit_riclpm(PANEL)),
        (5, lambda: fit_riclpm(SKIPPED)),
        (5, lambda: fit_dpm(PANEL)),
        (5, lambda: pool(EFFECTS, VARIANCES)),
        (5, lambda: metareg(EFFECTS, VARIANCES, X[:12, 1])),
    ],
)
def test_a_fit_is_followed_through_few_files(most, fit):
    root, entered = str(Path(stats.__file__).parent), set()

    def enter(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(root):
            entered.add(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(enter)
    try:
        fit()
    finally:
        sys.setprofile(before)
    assert 1 < len(entered) <= most, sorted(entered)
