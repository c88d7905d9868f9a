"""Egger's test, rank test, trim-and-fill and selection models against metafor's (tests/reference/smallstudy.R)."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

REFERENCE = Path(__file__).parents[2] / "reference"
sys.path.insert(0, str(REFERENCE))

from tables import data_sets, grouped, read_rows

from twostage.stats.base.checks import NotEstimable
from twostage.stats.pool.tau2 import METHODS
from twostage.stats.small_study.egger import PREDICTORS, egger
from twostage.stats.small_study.rank import rank_test
from twostage.stats.small_study.trimfill import trimfill

# Same arithmetic in another order. Measured: below 6e-11.
CLOSED_TOLERANCE = 1e-10
# metafor's iterations stop at a step of 1e-13 of the variance of y, or a bracket of 1e-15 of it.
ITERATIVE_TOLERANCE = 1e-8
# Where tau2 is 0, metafor's scoring stops at up to 1e-13 of the variance of y, 7e-12 in "six_orders".
TAU2_AT_0 = 1e-11
# A sum over filled studies, and bounds near 0.
LITTLE = 1e-12
CLOSED = {"FE", "DL", "HE", "HS", "SJ"}
CI = {"z": "wald", "knha": "hartung-knapp", "adhoc": "hartung-knapp-adhoc"}

DATA = data_sets()
EGGER = grouped("smallstudy_egger.csv.gz", "dataset", "model", "method", "test")
TRIM = grouped("smallstudy_trimfill.csv.gz", "dataset", "method")
SEVERAL = {n for n, (y, _) in DATA.items() if len(y) >= 2}
SLOPED = {n for n in SEVERAL if len(DATA[n][0]) >= 3} - {"identical", "equal_variances"}


def agree(ours, theirs, method, name):
    rtol = CLOSED_TOLERANCE if method in CLOSED else ITERATIVE_TOLERANCE
    np.testing.assert_allclose(
        ours, theirs, rtol=rtol, atol=TAU2_AT_0 if name == "tau2" else LITTLE, err_msg=name
    )


def test_the_grid_has_not_shrunk():
    assert len(SEVERAL) == 28 and len(SLOPED) == 24
    mixed = {("rma", m, "z") for m in METHODS} | {
        ("rma", m, t) for m in ("REML", "DL") for t in ("knha", "adhoc")
    }
    assert set(EGGER) == {(d, *c) for d in SLOPED for c in mixed | {("lm", "FE", "z")}}
    for (_, model, method, test), case in EGGER.items():
        every = model == "lm" or (method, test) == ("REML", "z")
        assert set(case["predictor"]) == (set(PREDICTORS) if every else {"sei", "vi"})
    about = json.loads((REFERENCE / "smallstudy_versions.json").read_text())
    assert about["R"] and about["metafor"] == "3.8.1" and set(about["datasets"]) == SEVERAL


@pytest.mark.parametrize("case", EGGER, ids="-".join)
def test_egger_agrees(case):
    name, model, method, test = case
    y, v = DATA[name]
    for i, predictor in enumerate(EGGER[case]["predictor"]):
        theirs = {c: values[i] for c, values in EGGER[case].items()}
        ours = egger(
            y,
            v,
            model="lm" if model == "lm" else "mixed",
            predictor=predictor,
            n=np.floor(4 / v) + 4,
            method=method,
            ci=CI[test],
        )
        names = ["slope", "slope_se", "intercept", "intercept_se", "statistic", "p_value", "limit", "tau2"]
        pairs = {n: n for n in names} | {"limit_ci_low": "limit_low", "limit_ci_high": "limit_high"}
        for our, their in pairs.items():
            agree(getattr(ours, our), theirs[their], method, our)
        assert ours.df == (np.inf if np.isnan(theirs["df"]) else theirs["df"])


def test_rank_test_agrees():
    rows = read_rows("smallstudy_rank.csv")
    assert {(r["dataset"], r["exact"]) for r in rows} == {(d, e) for d in SEVERAL for e in (True, False)}
    tied = set()
    for row in rows:
        ours = rank_test(*DATA[row["dataset"]], exact=row["exact"])
        if row["dataset"] == "identical":  # metafor ranks the rounding of identical estimates
            assert np.isnan(ours.tau) and ours.note
            continue
        if np.isnan(row["p_value"]) and ours.k == 2:  # R divides 0 by 0 in its correction for ties
            assert ours.p_value == pytest.approx(0.31731050786291415, rel=1e-12)  # 2 Phi(-1)
            continue
        agree([ours.tau, ours.p_value], [row["tau"], row["p_value"]], "FE", row["dataset"])
        if row["exact"] and not ours.exact:
            tied.add(row["dataset"])
    assert {"outlier", "equal_variances", "bangertdrowns"} <= tied < SEVERAL


# Two studies (metafor's regression through two points fits exactly, and rounding decides on signs) and identical
# estimates (rounding decides on signs): by hand in test_smallstudy.py. Of two maxima metafor trims by the lower.
BY_HAND = {"k2_agree", "k2_apart", "identical"}
TWO_MAXIMA = {("two_maxima_5", "REML"), ("two_maxima_8", "REML")}
TRIM = {case: table for case, table in TRIM.items() if case[0] not in BY_HAND}


def test_trimfill_grid():
    wanted = {(d, m) for d in SEVERAL - BY_HAND for m in ("FE", "DL", "REML")} - TWO_MAXIMA
    assert set(TRIM) == wanted and len(wanted) == 73
    assert sum(len(c["side"]) for c in TRIM.values()) == 628
    assert sum(int((c["k0"] > 0).sum()) for c in TRIM.values()) == 298


@pytest.mark.parametrize("case", TRIM, ids="-".join)
def test_trimfill_agrees(case):
    name, method = case
    for i, estimator in enumerate(TRIM[case]["estimator"]):
        theirs = {c: values[i] for c, values in TRIM[case].items()}
        side = None if theirs["side"] == "auto" else theirs["side"]
        ours = trimfill(*DATA[name], estimator=estimator, side=side, method=method, ci="wald")
        assert (ours.k0, ours.side, ours.converged) == (theirs["k0"], theirs["chosen"], True)
        agree(ours.k0_p_value, theirs["k0_p"], method, "k0_p")
        if (
            ours.k0 < len(DATA[name][0]) - 1
        ):  # with one study left, the centre is this study: rounding has the sign
            agree(ours.k0_se, theirs["k0_se"], method, "k0_se")
        for number in ("estimate", "std_error", "tau2", "ci_low", "ci_high", "q"):
            agree(getattr(ours.filled, number), theirs[number], method, number)
        added = [ours.filled.y[ours.is_filled].sum(), ours.filled.v[ours.is_filled].sum()]
        agree(added, [theirs["filled_y"], theirs["filled_v"]], method, "filled")


def test_where_metafor_stops_so_do_we():
    """No row in the reference: the side cannot be found, or the estimator is not defined."""
    absent = [
        (d, m, e, s)
        for d, m in TRIM
        for e in ("L0", "R0", "Q0")
        for s in ("auto", "left", "right")
        if not ((TRIM[d, m]["estimator"] == e) & (TRIM[d, m]["side"] == s)).any()
    ]
    assert len(absent) == 29
    for name, method, estimator, side in absent:
        with pytest.raises(NotEstimable):
            trimfill(*DATA[name], estimator=estimator, side=None if side == "auto" else side, method=method)
