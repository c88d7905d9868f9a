"""The sentence on panel models holds the numbers of the fits."""

import numpy as np
import pytest
from scipy.stats import chi2

from twostage.pages.study.choice import PLAIN, choose
from twostage.params import make_parameters
from twostage.stage1 import make_panel
from twostage.stats.base import NotEstimable
from twostage.stats.riclpm import fit_indices, fit_riclpm


def test_numbers_are_those_of_the_fits(panels):
    panel = panels["S02"]
    scores, _ = panel.wide()
    choice, plain, free = choose(panel), fit_riclpm(scores), fit_riclpm(scores, lags="free")
    table = choice.tidy().set_index("model")
    assert table.index[0] == PLAIN
    assert table.loc[PLAIN, ["loglik", "aic", "bic"]].tolist() == [plain.loglik, plain.aic, plain.bic]
    row = table.loc["lags of each transition"]
    assert (row["chi2"], row["df"]) == (2 * (free.loglik - plain.loglik), 20)
    assert row["p_value"] == pytest.approx(chi2.sf(row["chi2"], 20), rel=1e-10)
    assert np.isnan(table.loc["measurement error", "chi2"])
    indices = fit_indices(scores, plain)
    assert f"χ²({indices.df}) = {indices.chi2:.1f}" in choice.words
    assert f"prefer the model with {table['bic'].idxmin()}" in choice.words or "BIC that with" in choice.words
    n = plain.n_obs
    assert all(n < 4 * k for k, _ in choice.crowded.values())
    assert (PLAIN in choice.crowded) == (n < 4 * plain.n_parameters)
    assert "dynamic panel model" in choice.crowded
    assert "Warning: fewer than 4 patients" in choice.words


def test_where_there_is_nothing_to_choose(three):
    panel = make_panel(three.study("S02"), make_parameters({"lag": 2}))
    with pytest.raises(NotEstimable, match="lag 1"):
        choose(panel)
