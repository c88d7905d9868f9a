"""The recovery study in small: what is known of each estimator shows, and chunks do not depend on their order."""

import numpy as np
import pandas as pd
import pytest

from twostage.params import make_parameters
from twostage.recovery.conditions import ALL, CONDITIONS, LAG_CONDITIONS
from twostage.recovery.design import StudyDesign
from twostage.recovery.draw import draw_study
from twostage.recovery.measures import summarise
from twostage.recovery.replicate import KEPT, pool_columns, replicate
from twostage.recovery.studies import study_designs
from twostage.stage1 import COEFFICIENTS, estimate_batch
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


def test_few_studies_are_pooled_too():
    """Pools of 3 of 4 studies: each replicate's are among the collection's, and like the pool of just those."""
    observed = np.ones((60, 7, 2), bool)
    designs = [StudyDesign(s, s, observed) for s in "ABCD"]
    options = {"seed": 2, "chunk": 0, "replicates": 3, "pooling": POOLING, "bootstraps": 5}
    table = replicate(CONDITIONS["measurement_error"], designs, **options)
    assert set(table["pool"]) == {ALL, "3"}
    few = table[table["pool"] == "3"]
    assert len(few) == len(table) / 2
    assert (few["k"] <= 3).all() and (table.loc[table["pool"] == ALL, "k"] <= 4).all()
    key = ["estimator", "direction", "term", "replicate"]
    both = table[table["pool"] == ALL].merge(few, on=key)
    assert (both["std_error_x"] != both["std_error_y"]).all()


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


def test_at_longer_lags_the_true_effects_are_the_elements_of_phis_powers():
    """Lag 2 by hand: ``b_xy (phi_xx + phi_yy)`` and ``phi_yy^2 + b_xy b_yx``; lag 3 is lag 2 and one step more."""
    c = CONDITIONS["plain"].coefficients
    two, three = LAG_CONDITIONS["plain_lag2"], LAG_CONDITIONS["plain_lag3"]
    cross, auto = ("x_to_y", "x_within"), ("x_to_y", "y_within")
    assert two.truth(*cross) == pytest.approx(c["b_xy"] * (c["phi_xx"] + c["phi_yy"]), rel=1e-12)
    assert two.truth(*auto) == pytest.approx(c["phi_yy"] ** 2 + c["b_xy"] * c["b_yx"], rel=1e-12)
    # A score of x at t reaches y at t + 3 through x or y at t + 1.
    by_x, by_y = c["phi_xx"] * two.truth(*cross), c["b_xy"] * two.truth(*auto)
    assert three.truth(*cross) == pytest.approx(by_x + by_y, rel=1e-12)
    assert LAG_CONDITIONS["plain_null_lag3"].truth(*cross) == 0.0


def test_longer_lags_have_the_conditions_in_which_all_share_one_process():
    kinds = {name.rpartition("_lag")[0].removesuffix("_null") for name in LAG_CONDITIONS}
    assert kinds == {"plain", "shared_trends", "own_trends", "unequal_variances", "dropout"}
    assert {c.lag for c in LAG_CONDITIONS.values()} == {2, 3}
    assert all(c.lag == 1 for c in CONDITIONS.values())


@pytest.mark.parametrize("lag", [2, 3])
def test_in_long_series_the_centred_estimator_finds_the_effects_at_longer_lags(lag):
    """The bias is of order 1/T: about .31 at 7 sessions (the stored study), so .31 x 7 / 60 here, and Monte Carlo error.

    A wrong truth would be off by more. Only this estimator: with an effect of each of 60 sessions the others take minutes.
    """
    condition, design = LAG_CONDITIONS[f"plain_lag{lag}"], StudyDesign("A", "A", np.ones((150, 60, 2), bool))
    panels = list(draw_study(np.random.default_rng([1, lag]), condition, design, 60))
    found = estimate_batch("centred", panels, min_sessions=3, lag=lag).estimate
    mcse = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    truth = np.array([condition.truth(*coefficient) for coefficient in COEFFICIENTS])
    bias = found.mean(axis=0) - truth
    assert (np.abs(bias) < 0.31 * 7 / 60 + Z * mcse).all()
    if lag == 2:
        assert abs(bias[COEFFICIENTS.index(("x_to_y", "x_within"))]) < 0.02


def test_at_longer_lags_there_are_only_estimators_that_have_them():
    designs = [StudyDesign(s, s, np.ones((60, 7, 2), bool)) for s in ("A", "B", "C")]
    options = {"seed": 1, "chunk": 0, "replicates": 2, "pooling": POOLING, "bootstraps": 2}
    found = set(replicate(LAG_CONDITIONS["plain_lag2"], designs, **options)["estimator"])
    assert found == {name for name, e in ESTIMATORS.items() if e.rows != "everyone"}
