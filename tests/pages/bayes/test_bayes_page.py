"""The Bayesian pool on a page: the right fit under the right priors, its words from its numbers."""

import numpy as np
import pandas as pd
import pytest

from twostage.pages.bayes.analysis import STANDARDIZED, UNKNOWN, examine_bayes, examine_priors, priors_for
from twostage.pages.bayes.tables import bayes_sentences, bayes_table, priors_table, shrunken_table
from twostage.stage2 import PooledTable
from twostage.stats.bayes import bayes_pool
from twostage.stats.pool import pool

Y = {"x_to_y": [-0.09, -0.02, -0.05, -0.12], "y_to_x": [0.01, 0.02]}


class _Variable:
    def __init__(self, label):
        self.label = label


class _Collection:
    x, y = _Variable("a"), _Variable("b")


@pytest.fixture
def pooled():
    rows, studies, fits = [], [], {}
    for direction, y in Y.items():
        term = {"x_to_y": "x_within", "y_to_x": "y_within"}[direction]
        fit = pool(y, np.full(len(y), 0.0009))
        key = {"variant": "main", "direction": direction, "term": term}
        numbers = {n: getattr(fit, n) for n in ("estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau2")}
        rows.append(key | numbers)
        studies += [key | {"label": f"study {i}"} for i in range(len(y))]
        fits["main", direction, term] = fit
    return PooledTable(
        "lagged",
        pd.DataFrame(studies),
        pd.DataFrame(rows),
        fits,
        pd.DataFrame(),
        "REML",
        "hartung-knapp",
        0.95,
    )


def test_the_page_shows_the_fit_under_its_priors(pooled):
    found = examine_bayes(pooled, STANDARDIZED)
    fit = bayes_pool(Y["x_to_y"], [0.0009] * 4, prior=STANDARDIZED.tau, sd=STANDARDIZED.mean_sd)
    assert found["x_to_y"].result.effect == fit.effect
    table = bayes_table(found, pooled, _Collection)
    assert list(table["pooled"]) == ["frequentist (REML)", "Bayesian (median)"] * 2
    assert table["estimate"][1] == f"{fit.effect.median:.3f}".replace("-", "−")
    assert list(shrunken_table(fit)["study"]) == ["0", "1", "2", "3"]


def test_words_follow_the_numbers(pooled):
    found = examine_bayes(pooled, STANDARDIZED)
    said, fit = bayes_sentences(found, STANDARDIZED), found["x_to_y"].result
    assert f"negative with a probability of {100 * fit.probability(0.0):.1f} %" in said["x_to_y"]
    assert f"with one of {100 * fit.probability(-0.03):.1f} %" in said["x_to_y"]
    other = found["y_to_x"].result
    assert f"positive with a probability of {100 * (1 - other.probability(0.0)):.1f} %" in said["y_to_x"]
    assert "for a mean effect of 0" in said["y_to_x"] and other.bf_effect > 1
    assert "against a mean effect of 0" in said["x_to_y"] and fit.bf_effect < 1


def test_without_a_unit_nothing_is_believed(pooled):
    """Scale points: uniform priors, no smallest effect of interest, and too few studies are named."""
    assert priors_for("none") is UNKNOWN and priors_for("within") is STANDARDIZED
    found = examine_bayes(pooled, UNKNOWN)
    said = bayes_sentences(found, UNKNOWN)
    assert "smallest effect" not in said["x_to_y"] and "Bayes factor" not in said["x_to_y"]
    assert said["y_to_x"].startswith("Not computed: 2 studies do not bound tau")
    assert set(bayes_table(found, pooled, _Collection)["effect"]) == {"a → b"}


def test_other_priors_stand_beside(pooled):
    table = priors_table(
        examine_bayes(pooled, STANDARDIZED), examine_priors(pooled, STANDARDIZED), _Collection
    )
    of_first = table[table["effect"] == "a → b"]
    assert list(of_first["prior of τ"])[0] == "half-normal with scale 0.1" and len(of_first) == 6
    # Two studies with uniform priors have no posterior: that row is not there.
    assert len(table[table["effect"] == "b → a"]) == 5


def test_the_prior_has_the_quartiles_that_the_page_says():
    """Sizes of N(0, 0.1^2) against .03, .07 and .12, to the digits that these have."""
    sizes = np.abs(np.random.default_rng(1).normal(0, STANDARDIZED.mean_sd, 400_000))
    assert np.allclose(np.quantile(sizes, [0.25, 0.5, 0.75]), [0.03, 0.07, 0.12], atol=0.006)
