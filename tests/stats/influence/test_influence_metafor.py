"""Influence, leave-one-out, Baujat and cumulative results against metafor's (tests/reference/influence.R)."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

REFERENCE = Path(__file__).parents[2] / "reference"
sys.path.insert(0, str(REFERENCE))

from tables import data_sets, grouped

from twostage.stats.influence.baujat import baujat
from twostage.stats.influence.casewise import influence, leave_one_out
from twostage.stats.influence.cumulative import cumulative

# Same arithmetic in another order; differences of nearly equal pooled effects lose a few digits of it.
CLOSED_TOLERANCE = 1e-10
# metafor's iterations stop at a step of 1e-13 of the variance of y, or a bracket of 1e-15 of it.
ITERATIVE_TOLERANCE = 1e-8
# The change of a pooled effect that hardly changes is rounding: 1e-12 standard errors. In "offset" the estimates
# are 1000 with standard errors of 0.06: rounding is 4e-12 of them, several times over.
CHANGE = {"offset": 1e-10}
LITTLE_CHANGE = 1e-12
# Where tau2 is 0, metafor's scoring halves its steps toward 0 and stops at up to 1e-13 of the variance of y, 7e-12
# for the estimates of "six_orders"; that is an I2 of 1e-8 percent.
ABSOLUTE = {"tau2": 1e-11, "tau2_del": 1e-11, "i2": 1e-7, "q": 1e-12, "q_del": 1e-12}
CASEWISE = ["rstudent", "dffits", "cook_d", "cov_ratio", "tau2_del", "q_del", "hat", "weight", "dfbetas"]
LEFT_OUT = [
    "estimate",
    "std_error",
    "statistic",
    "p_value",
    "ci_low",
    "ci_high",
    "tau2",
    "i2",
    "h2",
    "q",
    "q_p_value",
]
DATA = data_sets()
CASES = grouped("influence_casewise.csv.gz", "dataset", "method", "ci")
CUMULATIVE = grouped("influence_cumulative.csv.gz", "dataset", "method", "ci", "by")
SETS = {n for n, (y, _) in DATA.items() if 2 <= len(y) <= 24}
COMBINATIONS = {
    ("FE", "wald"),
    ("DL", "hartung-knapp"),
    ("REML", "wald"),
    ("REML", "hartung-knapp"),
    ("PM", "hartung-knapp-adhoc"),
    ("ML", "wald"),
}


def agree(ours, theirs, method, name, data=""):
    rtol = CLOSED_TOLERANCE if method in ("FE", "DL") else ITERATIVE_TOLERANCE
    atol = ABSOLUTE.get(name, CHANGE.get(data, LITTLE_CHANGE))
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol, err_msg=name)


def comparable(theirs, single, ci):
    """Rows that can agree: metafor found the highest likelihood; not Hartung-Knapp's with one study."""
    return (theirs["lower"] < 1e-9) & (ci == "wald" or not single)


def test_the_grid_has_not_shrunk():
    assert len(SETS) == 22 and {"k2_agree", "k3", "tau2_zero", "outlier", "six_orders", "bcg"} <= SETS
    wanted = {(d, *c) for d in SETS for c in COMBINATIONS if d != "identical" or c[1] == "wald"}
    assert set(CASES) == wanted and len(CASES) == 129
    assert all(len(c["study"]) == len(DATA[d][0]) for (d, _, _), c in CASES.items())
    three = [("FE", "wald"), ("DL", "hartung-knapp"), ("REML", "hartung-knapp")]
    assert set(CUMULATIVE) == {
        (d, *c, by) for d in SETS for c in three for by in ("given", "variance", "falling")
    }
    about = json.loads((REFERENCE / "influence_versions.json").read_text())
    assert about["R"] and about["metafor"] == "3.8.1" and set(about["datasets"]) == SETS


def test_metafor_misses_the_maximum_only_where_there_are_two():
    """Rows left out of the comparison, counted."""
    missed = {(d, m) for (d, m, _), c in CASES.items() if (c["lower"] > 1e-9).any()}
    assert missed == {
        ("two_maxima_8", "REML"),
        ("two_maxima_8", "ML"),
        ("two_maxima_5", "REML"),
        ("two_maxima_5", "ML"),
    }
    assert sum(int((c["lower"] > 1e-9).sum()) for c in CASES.values()) == 36


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_casewise_numbers_agree(case):
    name, method, ci = case
    theirs = CASES[case]
    fit = influence(*DATA[name], method=method, ci=ci)
    left, plot = leave_one_out(fit.fit), baujat(fit.fit)
    rows = comparable(theirs, len(DATA[name][0]) == 2, ci)
    ours = {n: getattr(fit, n) for n in CASEWISE} | {n: getattr(left, n) for n in LEFT_OUT}
    ours |= {"baujat_x": plot.heterogeneity, "baujat_y": plot.influence}
    for number, values in ours.items():
        agree(values[rows], theirs[number][rows], method, number, name)
    assert (fit.is_influential == theirs["is_influential"])[rows].all()
    assert fit.converged.all() and left.converged.all()


@pytest.mark.parametrize("case", CUMULATIVE, ids="-".join)
def test_cumulative_numbers_agree(case):
    name, method, ci, by = case
    theirs = CUMULATIVE[case]
    y, v = DATA[name]
    how = {"given": {}, "variance": {"order": "precision"}, "falling": {"order": y, "descending": True}}[by]
    ours = cumulative(y, v, method=method, ci=ci, **how)
    assert (ours.order == theirs["study"]).all()
    rows = (theirs["lower"] < 1e-9) & ((theirs["step"] > 1) | (ci == "wald"))
    if name == "identical":
        rows &= ci == "wald"  # metafor: rounding over rounding
    assert rows.any() or name == "identical"
    for number in LEFT_OUT:
        agree(getattr(ours, number)[rows], theirs[number][rows], method, number, name)
