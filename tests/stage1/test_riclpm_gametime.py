"""Stage 1 of Vuorre et al. (2022, doi:10.1098/rsos.220411) again, from their open data.

Seven games, three waves, random-intercept cross-lagged panel model of time played and affect with equal lag coefficients
and residual covariances free per wave: that variant gives the printed digits, the one with equal residuals does not.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twostage.stats.pool.pool import pool
from twostage.stats.riclpm.fit import fit_riclpm

DATA = Path(__file__).parents[3] / "shared" / "real" / "gametime" / "gametime_long.csv.gz"
VARIANT = {"residuals": "free", "lags": "equal"}

#: Game -> estimate, lower and upper limit as printed: hours -> affect, affect -> hours.
PUBLISHED = {
    "AC:NH": ((0.05, -0.03, 0.13), (0.01, 0.00, 0.02)),
    "Apex Legends": ((0.11, -0.22, 0.45), (0.01, -0.04, 0.06)),
    "EVE Online": ((0.24, 0.05, 0.43), (0.23, 0.09, 0.36)),
    "Forza Horizon 4": ((0.08, -0.18, 0.34), (0.00, -0.03, 0.03)),
    "Gran Turismo Sport": ((-0.06, -0.14, 0.03), (0.00, -0.01, 0.01)),
    "Outriders": ((-0.10, -0.21, 0.01), (-0.05, -0.10, 0.00)),
    "The Crew 2": ((0.05, -0.41, 0.50), (-0.01, -0.07, 0.04)),
}
#: Stage 2 as printed (Bayesian): intervals in which the pooled estimates must lie.
PUBLISHED_POOLED = ((-0.09, 0.16), (-0.02, 0.05))
DIRECTIONS = ((1, 0), (0, 1))  # places in phi: [outcome, predictor]
OTHER_PAIRS = [
    ("Hours_per_day", "LifeSat"),
    ("Hours_per_day", "Intrinsic"),
    ("Hours_per_day", "Extrinsic"),
    ("hours_est_per_day", "Affect"),
    ("hours_est_per_day", "LifeSat"),
    ("Intrinsic", "Affect"),
    ("Intrinsic", "LifeSat"),
]


@pytest.fixture(scope="module")
def long():
    if not DATA.is_file():
        pytest.skip("the folder ../shared/real/gametime with the real data is absent")
    return pd.read_csv(DATA)


def panel(long, game, pair):
    """One game's panel (players, 3 waves, 2 variables)."""
    wide = long[long["Game"] == game].pivot(index="pid", columns="wave", values=list(pair))
    return np.stack([wide[name].to_numpy() for name in pair], axis=2)


@pytest.fixture(scope="module")
def fits(long):
    return {g: fit_riclpm(panel(long, g, ("Hours_per_day", "Affect")), **VARIANT) for g in PUBLISHED}


@pytest.mark.parametrize("game", PUBLISHED)
def test_published_coefficients_to_the_printed_digit(fits, game):
    fit = fits[game]
    assert fit.converged
    low, high = (fit.conf_int()[3:7].reshape(2, 2, 2)[..., side] for side in (0, 1))
    for at, printed in zip(DIRECTIONS, PUBLISHED[game], strict=True):
        found = np.round([fit.phi[at], low[at], high[at]], 2) + 0.0
        assert found.tolist() == list(printed)


def test_equal_residuals_are_not_the_published_variant(long):
    fit = fit_riclpm(panel(long, "EVE Online", ("Hours_per_day", "Affect")))
    assert round(fit.phi[1, 0], 2) != PUBLISHED["EVE Online"][0][0]


def test_a_negative_intercept_variance_is_said(fits):
    assert not fits["Outriders"].admissible
    assert "variance of x is negative" in fits["Outriders"].problems[0]


@pytest.mark.parametrize("direction", [0, 1])
def test_pooled_coefficients_lie_in_the_published_intervals(fits, direction):
    at = DIRECTIONS[direction]
    pooled = pool([f.phi[at] for f in fits.values()], [f.phi_se[at] ** 2 for f in fits.values()])
    low, high = PUBLISHED_POOLED[direction]
    assert low < pooled.estimate < high


@pytest.mark.parametrize("pair", OTHER_PAIRS, ids="-".join)
@pytest.mark.parametrize("residuals", ["equal", "free"])
def test_other_pairs_converge_or_say_why(long, pair, residuals):
    for game in PUBLISHED:
        fit = fit_riclpm(panel(long, game, pair), residuals=residuals)
        assert fit.converged or "no maximum" in fit.optimiser.message
        assert np.isfinite(fit.loglik)
        assert fit.admissible or fit.problems
