"""PET-PEESE by hand, against R's lm (tests/reference/smallstudy.R), and on simulated truth."""

import sys
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

REFERENCE = Path(__file__).parents[2] / "reference"
sys.path.insert(0, str(REFERENCE))

from tables import data_sets, read_rows

from twostage.stats.base.checks import NotEstimable
from twostage.stats.pool.pool import pool
from twostage.stats.small_study.line import weighted_line
from twostage.stats.small_study.petpeese import petpeese

# Closed forms, same arithmetic in another order.
TOLERANCE = 1e-10
ROUNDING = 1e-12

DATA = data_sets()
ROWS = {r["dataset"]: r for r in read_rows("smallstudy_petpeese.csv")}
COLUMNS = {
    ("pet", "intercept"): "pet",
    ("pet", "intercept_se"): "pet_se",
    ("pet", "intercept_statistic"): "pet_t",
    ("pet", "intercept_p_value"): "pet_p",
    ("pet", "slope"): "pet_slope",
    ("pet", "slope_se"): "pet_slope_se",
    ("pet", "slope_p_value"): "pet_slope_p",
    ("peese", "intercept"): "peese",
    ("peese", "intercept_se"): "peese_se",
    ("peese", "intercept_statistic"): "peese_t",
    ("peese", "intercept_p_value"): "peese_p",
    ("peese", "slope"): "peese_slope",
    ("peese", "slope_se"): "peese_slope_se",
}


def test_the_grid_has_not_shrunk():
    assert set(ROWS) == {n for n, (y, _) in DATA.items() if len(y) > 2} - {"identical", "equal_variances"}
    assert len(ROWS) == 24


@pytest.mark.parametrize("name", ROWS)
def test_agrees_with_lm(name):
    ours, theirs = petpeese(*DATA[name]), ROWS[name]
    for (line, number), column in COLUMNS.items():
        value = getattr(getattr(ours, line), number)
        np.testing.assert_allclose(value, theirs[column], rtol=TOLERANCE, atol=1e-14, err_msg=column)
    expected = "PEESE" if theirs["pet_p"] < 0.10 else "PET"
    assert ours.chosen == expected
    assert ours.estimate == getattr(ours, expected.lower()).intercept
    assert ours.std_error == getattr(ours, expected.lower()).intercept_se


def test_line_by_hand():
    """Weights 1, 1, 2 at x = 0, 1, 2, y = 0, 2, 2: means 5/4 and 3/2, Sxx 11/4, Sxy 5/2."""
    line = weighted_line(
        np.array([0.0, 2.0, 2.0]),
        np.array([1.0, 1.0, 0.5]),
        np.array([0.0, 1.0, 2.0]),
        predictor="x",
        level=0.95,
    )
    assert line.slope == pytest.approx(10 / 11, rel=ROUNDING)
    assert line.intercept == pytest.approx(3 / 2 - 10 / 11 * 5 / 4, rel=ROUNDING)
    rss = 3 - 25 / 11  # Syy = 4 + 8 - 9
    assert line.dispersion == pytest.approx(rss, rel=ROUNDING) and line.df == 1
    assert line.slope_se == pytest.approx(sqrt(rss / (11 / 4)), rel=ROUNDING)
    assert line.intercept_se == pytest.approx(sqrt(rss * (1 / 4 + 25 / 16 / (11 / 4))), rel=ROUNDING)
    assert line.slope_ci_high - line.slope == pytest.approx(
        12.706204736432095 * line.slope_se, rel=1e-9
    )  # t, 1 df


def test_truth_is_recovered_where_the_model_holds():
    """Bias proportional to the standard error: PET is unbiased, its interval covers; 1,000 data sets."""
    rng = np.random.default_rng(6)
    se = rng.uniform(0.05, 0.5, 25)
    fits = [petpeese(0.3 + 0.8 * se + se * rng.normal(size=25), se**2, method="FE").pet for _ in range(1000)]
    estimates = np.array([f.intercept for f in fits])
    assert estimates.mean() == pytest.approx(0.3, abs=4 * estimates.std() / sqrt(1000))
    covered = np.mean([f.intercept_ci_low < 0.3 < f.intercept_ci_high for f in fits])
    assert covered == pytest.approx(0.95, abs=4 * sqrt(0.95 * 0.05 / 1000))


def test_peese_is_unbiased_where_bias_follows_the_variance():
    rng = np.random.default_rng(7)
    v = rng.uniform(0.01, 0.25, 25)
    estimates = np.array(
        [
            petpeese(0.3 + 2 * v + np.sqrt(v) * rng.normal(size=25), v, method="FE").peese.intercept
            for _ in range(500)
        ]
    )
    assert estimates.mean() == pytest.approx(0.3, abs=4 * estimates.std() / sqrt(500))


def test_the_rule_follows_alpha_and_direction():
    y, v = DATA["bcg"]
    p = petpeese(y, v).decision_p_value
    assert petpeese(y, v).pet.intercept < 0 and petpeese(y, v).chosen == "PET"
    assert petpeese(y, v, alpha=p * 1.01).chosen == "PEESE" and petpeese(y, v, alpha=p * 0.99).chosen == "PET"
    assert petpeese(y, v, alternative="less").decision_p_value == pytest.approx(p / 2, rel=ROUNDING)
    assert petpeese(y, v, alternative="greater").decision_p_value == pytest.approx(1 - p / 2, rel=ROUNDING)


def test_input_and_tables():
    with pytest.raises(ValueError, match="at least 3 studies"):
        petpeese([0.1, 0.2], [0.1, 0.2])
    with pytest.raises(NotEstimable, match="std_error is the same"):
        petpeese([0.1, 0.2, 0.3], [0.1, 0.1, 0.1])
    for options in ({"alpha": 0.0}, {"alpha": 5}, {"alternative": "both"}):
        with pytest.raises(ValueError, match="alpha must lie"):
            petpeese([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], **options)
    result = petpeese(pool([0.1, 0.2, 0.4], [0.1, 0.2, 0.3], labels=["a", "b", "c"]))
    assert result.labels == ("a", "b", "c")
    assert result.tidy()["estimator"].tolist() == ["PET", "PEESE", "PET-PEESE"]
    assert result.pet.tidy()["term"].tolist() == ["intercept", "std_error"]
    assert len(result.glance()) == len(result.pet.glance()) == 1
    assert "PET-PEESE" in result._repr_html_() and "std_error" in result.pet._repr_html_()


def test_identical_estimates_fit_exactly():
    result = petpeese([0.4, 0.4, 0.4], [0.1, 0.2, 0.3])
    assert result.estimate == pytest.approx(0.4, rel=ROUNDING) and result.std_error == 0.0
    assert "exactly" in result.pet.note
