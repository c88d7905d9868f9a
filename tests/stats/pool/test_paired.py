"""The difference of two pooled estimates: by hand, against R, and its coverage."""

import json
from pathlib import Path

import numpy as np
import pytest

from twostage.stats.pool.paired import paired_difference

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "paired.json").read_text())

#: DL and FE are closed forms; the iterative ones end at metafor's threshold of 1e-13 of tau2.
CLOSED, ITERATIVE = 1e-10, 1e-7


@pytest.mark.parametrize("case", REFERENCE["fits"], ids=lambda c: f"{c['data']}-{c['method']}")
def test_agrees_with_metafor(case):
    found = paired_difference(*(case[n] for n in ("y1", "v1", "y2", "v2")), method=case["method"])
    tolerance = CLOSED if case["method"] in {"FE", "DL"} else ITERATIVE
    assert found.estimate == pytest.approx(case["estimate"], abs=tolerance)
    assert found.std_error == pytest.approx(case["std_error"], abs=tolerance)


def test_the_grid_has_not_shrunk():
    assert len(REFERENCE["fits"]) == 16
    assert {len(c["y1"]) for c in REFERENCE["fits"]} == {13, 9, 16, 3}


def test_with_equal_variances_it_is_the_paired_t_test():
    case = next(c for c in REFERENCE["fits"] if c["data"] == "molloy")
    ones = np.ones(len(case["y1"]))
    found = paired_difference(case["y1"], ones, case["y2"], 2 * ones, method="FE")
    for name, value in REFERENCE["t_test"].items():
        assert getattr(found, name) == pytest.approx(value, abs=CLOSED), name


def test_by_hand():
    """Differences 1, 2, 6 of equally precise studies: mean 3, standard error sqrt(7 / 3)."""
    found = paired_difference([0, 0, 0], [1, 1, 1], [1, 2, 6], [1, 1, 1], method="FE")
    assert found.estimate == pytest.approx(3.0, abs=CLOSED)
    assert found.std_error == pytest.approx(np.sqrt(7 / 3), abs=CLOSED)
    assert (found.df, found.k) == (2.0, 3)


def test_two_studies_have_a_difference_and_no_interval():
    found = paired_difference([0.0, 1.0], [1.0, 1.0], [1.0, 2.0], [1.0, 1.0])
    assert found.estimate == pytest.approx(1.0)
    assert all(np.isnan([found.std_error, found.df, found.p_value, found.ci_low, found.ci_high]))


def test_the_interval_covers_the_true_difference():
    """500 collections of 17 studies whose two estimators share half of their error and differ by 0.05 on average."""
    rng, covered = np.random.default_rng(1), 0
    v = np.linspace(0.002, 0.02, 17)
    for _ in range(500):
        shared, one, two = rng.standard_normal((3, 17)) * np.sqrt(v / 2)
        effect = rng.normal(0, 0.05, 17)
        found = paired_difference(effect + shared + one, v, effect + 0.05 + shared + two, v, method="DL")
        covered += found.ci_low <= 0.05 <= found.ci_high
    # Four standard errors of a proportion of 95 % in 500.
    assert abs(covered / 500 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 500)


def test_other_studies_are_refused():
    with pytest.raises(ValueError, match="the same studies twice"):
        paired_difference([0.0, 1.0, 2.0], [1.0, 1.0, 1.0], [1.0, 2.0], [1.0, 1.0])
