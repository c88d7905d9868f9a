"""Nested panel models over studies: sums by hand, the studies' own choices, recovery of what is there."""

import numpy as np
import pandas as pd
import pytest

from twostage.pages.estimators.nested import add_up, nested_models, nested_sentence, nested_table
from twostage.pages.study.choice import PLAIN, choose
from twostage.params import make_parameters
from twostage.stage1 import make_panel
from twostage.stats.base import NotEstimable


def table(**models):
    rows = {PLAIN: (0.0, np.nan, np.nan, 100.0, 110.0)} | {k.replace("_", " "): v for k, v in models.items()}
    return pd.DataFrame(rows, index=["loglik", "chi2", "df", "aic", "bic"]).T


def test_sums_by_hand():
    studies = {
        "A": table(
            lags_of_each_transition=(1.0, 5.0, 4.0, 103.0, 120.0),
            measurement_error=(1, np.nan, np.nan, 90.0, 95.0),
        ),
        "B": table(lags_of_each_transition=(1.0, 7.0, 4.0, 101.0, 118.0)),
    }
    found = add_up(studies, {"C": "it shared results, not data"})
    rows = found.table.set_index("model")
    lags, error = rows.loc["lags of each transition"], rows.loc["measurement error"]
    assert lags[["k", "chi2", "df", "aic", "bic", "k_aic", "k_bic"]].tolist() == [
        2,
        12.0,
        8.0,
        4.0,
        18.0,
        0,
        0,
    ]
    # Of chi-square with 8 degrees of freedom above 12: exp(-6) (1 + 6 + 18 + 36).
    assert lags["p_value"] == pytest.approx(61 * np.exp(-6.0), rel=1e-12)
    assert error[["k", "aic", "bic", "k_aic", "k_bic"]].tolist() == [1, -10.0, -15.0, 1, 1]
    assert np.isnan(error["chi2"]) and np.isnan(error["p_value"])
    text = nested_sentence(found)
    assert "AIC and BIC prefer the model with measurement error" in text
    assert "measurement error: 1" in text and "C: it shared results" in text
    assert nested_table(found)["k"].tolist() == ["2", "1"]
    with pytest.raises(NotEstimable, match="in no study"):
        add_up({}, {})


def test_they_are_the_sums_of_the_studies_own_choices(three):
    found = nested_models(three, make_parameters({}))
    own = [choose(make_panel(three.study(s))).table.set_index("model") for s in three.studies["study"]]
    for row in found.table.itertuples():
        both = [t for t in own if row.model in t.index]
        assert row.k == len(both)
        assert row.bic == pytest.approx(sum(t.loc[row.model, "bic"] - t.loc[PLAIN, "bic"] for t in both))
    # Drawn with equal lags and residuals: BIC does not ask for others.
    assert not (
        found.table.set_index("model").loc[["lags of each transition", "residuals of each session"], "bic"]
        < 0
    ).any()
