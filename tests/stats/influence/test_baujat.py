"""Baujat coordinates by hand (against metafor: test_influence_metafor.py)."""

import numpy as np
import pytest

from twostage.stats.influence.baujat import baujat
from twostage.stats.pool.pool import pool

ROUNDING = 1e-12


def test_two_studies_by_hand():
    """Pooled 2; without the first 3 with variance 1/2."""
    plot = baujat([1.0, 3.0], [0.5, 0.5], method="FE", ci="wald")
    assert plot.heterogeneity == pytest.approx([2.0, 2.0], rel=ROUNDING)
    assert plot.influence == pytest.approx([2.0, 2.0], rel=ROUNDING)


def test_between_study_variance_enters():
    """REML: tau2 = 3/2, total variance 2."""
    plot = baujat([1.0, 3.0], [0.5, 0.5])
    assert plot.heterogeneity == pytest.approx([0.5, 0.5], rel=ROUNDING)


def test_contributions_add_up_to_q():
    rng = np.random.default_rng(2)
    fit = pool(rng.normal(size=20), rng.uniform(0.01, 1, 20), method="FE", ci="wald")
    assert baujat(fit).heterogeneity.sum() == pytest.approx(fit.q, rel=ROUNDING)


def test_table_and_input():
    plot = baujat([0.1, 0.2, 2.0], [0.1, 0.1, 0.01], method="FE", ci="wald", labels=["a", "b", "c"])
    assert plot.tidy()["study"].tolist() == ["a", "b", "c"]
    assert plot.glance().loc[0, "most_influential"] == "c"
    assert "<td>c</td>" in plot._repr_html_()
    with pytest.raises(ValueError, match="at least 2"):
        baujat([1.0], [1.0])
