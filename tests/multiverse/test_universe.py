"""A specification can be compared with a run."""

import numpy as np
import pytest

from twostage.multiverse.grid import make_grid
from twostage.multiverse.specifications import specify
from twostage.multiverse.store import MultiverseError
from twostage.multiverse.universe import universe_results
from twostage.pages.compare.analysis import compare
from twostage.records.analyse import analyse
from twostage.stage2.results import pool_results


@pytest.fixture(scope="module")
def run(three):
    parameters = make_grid(three).parameters
    return pool_results("run", three, parameters, analyse(three, parameters, ["lagged"]).records)


def test_the_main_analysis_is_the_run(three, run):
    found = compare(run, universe_results(three, 0))
    rows = found.headline().query("term in ('x_within', 'y_within')").dropna(subset=["estimate_diff"])
    assert len(rows) == 2 and found.parameters.empty
    for name in ("estimate", "ci_low", "pi_high", "tau2", "i2", "k", "n_patients"):
        np.testing.assert_allclose(rows[f"{name}_a"], rows[f"{name}_b"], rtol=1e-10, atol=1e-14)


def test_what_differs_is_named(three, run):
    specs = specify(make_grid(three))
    table = specs.table()
    number = int(table.query("estimator == 'riclpm' and window == '1-5' and tau2_method == 'DL'").index[0])
    found = compare(run, universe_results(three, number))
    assert found.b == f"{three.name}#{number}"
    chosen = found.parameters.set_index("parameter")
    assert chosen.loc["estimator"].tolist() == ["centred", "riclpm"]
    assert chosen.loc["last_session", "b"] == 5 and chosen.loc["tau2_method", "b"] == "DL"
    cross = found.headline().dropna(subset=["estimate_diff"])
    assert set(cross["estimator"]) == {"centred → riclpm"}
    assert set(found.shared) == set(three.studies["study"])


def test_there_is_no_such_specification(three):
    with pytest.raises(MultiverseError, match="0 to"):
        universe_results(three, 10**6)
