"""The recovery study in small: what is known of each estimator shows, and chunks do not depend on their order."""

import numpy as np
import pandas as pd
import pytest

from twostage.params import make_parameters
from twostage.recovery.conditions import CONDITIONS
from twostage.recovery.design import StudyDesign, study_designs
from twostage.recovery.measures import summarise
from twostage.recovery.replicate import KEPT, pool_columns, replicate
from twostage.stats.pool.pool import pool
from twostage.terms import ESTIMATORS

POOLING = {"method": "REML", "ci": "hartung-knapp", "level": 0.95}

#: Monte Carlo standard errors from an expectation.
Z = 4.0


@pytest.fixture(scope="module")
def designs(three):
    return study_designs(three, make_parameters({}))


@pytest.fixture(scope="module")
def plain():
    """Twenty replicates of three studies of 200 patients, all sessions attended by most."""
    observed = np.ones((200, 7, 2), bool)
    observed[150:, 5:] = False
    designs = [StudyDesign(s, s, observed) for s in ("A", "B", "C")]
    table = replicate(
        CONDITIONS["plain"], designs, seed=1, chunk=0, replicates=20, pooling=POOLING, bootstraps=50
    )
    return summarise(table, lambda c, d, t: CONDITIONS[c].truth(d, t)).set_index(
        ["estimator", "direction", "term"]
    )


def test_every_estimator_is_pooled_in_every_replicate(plain):
    assert set(plain.index.get_level_values("estimator")) == set(ESTIMATORS)
    assert (plain["n_replicates"] == 20).all()
    assert (plain["mean_k"] == 3).all()


@pytest.mark.parametrize("estimator", ["riclpm", "dpm"])
def test_the_models_that_hold_are_unbiased(plain, estimator):
    rows = plain.loc[estimator]
    assert (rows["bias"].abs() < Z * rows["bias_mcse"]).all()
    assert (rows["bias_mcse"] < 0.01).all()


@pytest.mark.parametrize("estimator", ["centred", "centred_occasions", "detrended"])
def test_centring_pulls_autoregressions_down(plain, estimator):
    """Nickell's first-order bias at T = 7 is -(1 + phi) / 6, about -.24; detrending adds to it."""
    for key in (("x_to_y", "y_within"), ("y_to_x", "x_within")):
        assert plain.loc[(estimator, *key), "bias"] < -0.2


def test_the_jackknife_removes_most_of_it(plain):
    for key in (("x_to_y", "y_within"), ("y_to_x", "x_within")):
        assert abs(plain.loc[("jackknife", *key), "bias"]) < 0.25 * abs(plain.loc[("centred", *key), "bias"])


def test_chunks_repeat_and_do_not_depend_on_their_order(designs):
    options = {"seed": 3, "replicates": 2, "pooling": POOLING, "bootstraps": 20}
    late = replicate(CONDITIONS["everything"], designs, chunk=4, **options)
    first = replicate(CONDITIONS["everything"], designs, chunk=0, **options)
    again = replicate(CONDITIONS["everything"], designs, chunk=4, **options)
    pd.testing.assert_frame_equal(late, again)
    assert set(late["replicate"]) == {8, 9}
    assert not np.allclose(late["estimate"], first["estimate"])
    assert set(late["condition"]) == {"everything"}


def test_pooling_leaves_out_what_cannot_be_used():
    rng = np.random.default_rng(5)
    y, v = rng.normal(0.2, 0.1, (5, 4)), rng.uniform(0.01, 0.02, (5, 4))
    usable = np.ones((5, 4), bool)
    usable[2, 1] = False
    usable[1:, 3] = False
    y[2, 1] = np.nan
    table = pool_columns(y, v, usable, POOLING)
    assert list(table["k"]) == [5, 4, 5, 1]
    for column in (0, 1, 2):
        keep = usable[:, column]
        fit = pool(y[keep, column], v[keep, column])
        for name in KEPT:
            assert table.loc[column, name] == pytest.approx(getattr(fit, name), abs=1e-10)
    assert table.loc[3, list(KEPT)].isna().all()
