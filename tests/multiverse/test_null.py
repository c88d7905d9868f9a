"""The collection without lagged effects: what it keeps, and that tests against it reject as often as they say.

By hand, more of them at 5 %: ``python tests/multiverse/test_null.py 150 0.1`` (collections, spread of studies' effects).
"""

import sys
from dataclasses import replace

import numpy as np
import pytest

from twostage.multiverse.estimate import estimate_all, scaled
from twostage.multiverse.grid import Grid
from twostage.multiverse.null import NullStudy, draw, fit_null, null_statistics, thinned
from twostage.multiverse.pools import pool_all
from twostage.multiverse.specifications import specify
from twostage.multiverse.study_sets import ALL, StudySet
from twostage.params import make_parameters
from twostage.stats.multiverse.joint import STATISTICS, joint_statistics, joint_test
from twostage.stats.riclpm.fit import fit_riclpm

NO_RELIABILITY = {"reliability": (np.nan, np.nan), "reliability_kind": "within"}


def study(name: str, n: int = 60, sessions: int = 5, seed: int = 0) -> NullStudy:
    """A study whose patients share a trend in both variables and leave early."""
    rng = np.random.default_rng(seed)
    observed = np.ones((n, sessions, 2), bool)
    last = rng.integers(3, sessions + 1, n)
    observed[np.arange(sessions) >= last[:, None]] = False
    return NullStudy(
        name,
        observed,
        means=np.outer(np.arange(sessions), [0.15, -0.2]),
        levels=np.array([[0.5, -0.2], [-0.2, 0.6]]),
        first=np.array([[0.5, -0.15], [-0.15, 0.4]]),
        innovations=np.array([[0.4, -0.1], [-0.1, 0.35]]),
        autoregressions=np.array([0.3, 0.4]),
        borrowed="",
        about=NO_RELIABILITY,
    )


def small_grid(names: list[str], sessions: int = 5) -> Grid:
    """Two windows, three estimators, no choice in the pool but the interval."""
    p = make_parameters({"last_session": sessions})
    values = {
        "window": ((1, sessions), (1, sessions - 1)), "lag": (1,), "min_sessions": (3,), "standardize": ("total",),
        "detrend": ("none",), "estimator": ("centred", "centred_occasions", "riclpm"), "stage1_errors": ("patients",),
        "tau2_method": ("REML",), "ci_method": ("hartung-knapp",), "studies": (ALL,),
    }  # fmt: skip
    return Grid(values, p, {ALL: StudySet(ALL, tuple(names))})


def test_draws_keep_what_the_study_is_like():
    made = study("A", n=3000)
    panel = draw(np.random.default_rng(1), made, np.zeros(2), 1)[0]
    assert (np.isfinite(panel) == made.observed).all()
    fit = fit_riclpm(panel)
    # Three thousand persons: standard errors near .01 to .04.
    np.testing.assert_allclose(fit.phi, np.diag(made.autoregressions), atol=0.06)
    np.testing.assert_allclose(fit.intercept_cov, made.levels, atol=0.1)
    np.testing.assert_allclose(fit.residual_cov, made.innovations, atol=0.05)
    np.testing.assert_allclose(np.diff(fit.means, axis=0), np.diff(made.means, axis=0), atol=0.06)


def test_studies_differ_where_they_did():
    made = study("A", n=1)
    drawn = draw(
        np.random.default_rng(2), replace(made, innovations=np.zeros((2, 2))), np.array([0.5, 0.0]), 400
    )
    # Without anything new, the second session's y less its own carry-over is the effect times the first session's x.
    rest = drawn - made.means
    quiet = (
        draw(np.random.default_rng(2), replace(made, innovations=np.zeros((2, 2))), np.zeros(2), 400)
        - made.means
    )
    assert np.abs(rest - quiet)[:, 0, 1, 1].mean() > 0.05
    np.testing.assert_allclose(rest[:, 0, 1, 0], quiet[:, 0, 1, 0])


def test_a_study_without_a_fit_has_the_mean_of_the_others():
    rng = np.random.default_rng(3)
    panels = [draw(rng, study("A", seed=i), np.zeros(2), 1)[0] for i in range(3)]
    null = fit_null([*panels, panels[0][:6]], ["A", "B", "C", "D"], 1, [NO_RELIABILITY] * 4)
    assert [bool(s.borrowed) for s in null.studies] == [False, False, False, True]
    np.testing.assert_allclose(null.studies[3].means, np.mean([s.means for s in null.studies[:3]], axis=0))


def test_a_chunk_is_the_same_whoever_draws_it():
    rng = np.random.default_rng(4)
    names = ["A", "B", "C"]
    panels = [draw(rng, study(name, seed=i), np.zeros(2), 1)[0] for i, name in enumerate(names)]
    null = fit_null(panels, names, 1, [NO_RELIABILITY] * 3)
    specs = specify(small_grid(names))
    first = null_statistics(null, specs, 7, 2, draws=2)
    np.testing.assert_array_equal(first, null_statistics(null, specs, 7, 2, draws=2))
    assert (first != null_statistics(null, specs, 7, 3, draws=2)).any()
    assert first.shape == (2, 2, len(STATISTICS))


def test_the_thinned_grid_is_a_part_of_the_grid(three):
    from twostage.multiverse.grid import make_grid

    grid = make_grid(three)
    every = set(specify(grid).stage1)
    assert set(thinned(grid).stage1) < every


def p_values(collections: int, tau: float, draws: int, seed: int) -> np.ndarray:
    """Of collections of six studies without an effect on average, shape (collections, 2 directions, 3 statistics)."""
    names = list("ABCDEF")
    specs = specify(small_grid(names))
    rng, found = np.random.default_rng(seed), []
    for r in range(collections):
        truth = [study(name, n=50, seed=100 * r + i) for i, name in enumerate(names)]
        panels = [draw(rng, one, np.array([tau, tau]), 1)[0] for one in truth]
        e = [estimate_all([panel], 1, specs.stage1, **NO_RELIABILITY) for panel in panels]
        y, se = (np.stack([getattr(one, name) for one in e]) for name in ("estimate", "std_error"))
        pools = pool_all(y, se, specs, names)
        observed = [
            joint_statistics(pools.estimate[0, :, d], pools.ci_low[0, :, d], pools.ci_high[0, :, d])
            for d in (0, 1)
        ]
        null = fit_null(panels, names, 1, [NO_RELIABILITY] * len(names))
        drawn = null_statistics(null, specs, seed, r, draws)
        found.append([joint_test(observed[d], drawn[:, d]).p_value for d in (0, 1)])
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize("tau", [0.0, 0.1])
def test_tests_reject_as_often_as_they_say(tau):
    """At 10 %, the level that 19 draws have exactly: within four Monte Carlo errors of 30 collections."""
    p = p_values(30, tau, draws=19, seed=11)
    most = 0.1 + 4 * np.sqrt(0.1 * 0.9 / 30)
    assert ((p <= 0.1).mean(axis=0) < most).all()


def test_units_do_not_matter_to_the_fit():
    panel = draw(np.random.default_rng(5), study("A"), np.zeros(2), 1)[0]
    np.testing.assert_allclose(scaled(7.0 * panel, "total"), scaled(panel, "total"), rtol=1e-12)


if __name__ == "__main__":
    R, spread = int(sys.argv[1]), float(sys.argv[2])
    found = p_values(R, spread, draws=39, seed=int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    rate = (found <= 0.05).mean(axis=0)
    error = np.sqrt(0.05 * 0.95 / R)
    print(f"tau {spread}, {R} collections, 39 draws each; Monte Carlo error at 5 %: {error:.4f}")
    for d, direction in enumerate(("x to y", "y to x")):
        print(direction, dict(zip(STATISTICS, rate[d].round(4).tolist(), strict=True)))
