"""Stored simulations: what made them is known, and whether the same code still would."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from twostage.recovery.simulations import core_checksum, read_simulation, used_modules, write_simulation

PROJECT = Path(__file__).parents[2]
STORED = PROJECT / "book" / "simulations"


@pytest.fixture
def table():
    return pd.DataFrame(
        {"k": [5, 5, 10, 10], "rule": ["a", "b"] * 2, "coverage": [0.9, 0.95, 0.92, 0.94], "mc_error": 0.001}
    )


def test_what_is_written_is_read_with_its_making(table, tmp_path):
    write_simulation(tmp_path, "toy", table, seed=3, command="python toy.py", replicates=10)
    toy = read_simulation(tmp_path, "toy")
    pd.testing.assert_frame_equal(toy.table, table)
    assert toy.current and toy.facts["replicates"] == 10
    assert toy.how.startswith("Simulated with seed 3 by version 0.1.0, commit ") and "**" not in toy.how
    assert not list(tmp_path.glob("*.part"))


def test_changed_code_is_said(table, tmp_path):
    write_simulation(tmp_path, "toy", table, seed=3, command="python toy.py")
    path = tmp_path / "toy.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(told | {"modules": [*told["modules"], "gone"]}), encoding="utf-8")
    toy = read_simulation(tmp_path, "toy")
    assert not toy.current
    assert "has changed since" in toy.how and "`python toy.py`" in toy.how


def test_checksum_depends_on_the_modules():
    assert {"pool.pool", "pool.tau2"} <= set(used_modules())
    assert core_checksum(["pool.pool"]) != core_checksum(["pool.tau2"])
    assert core_checksum(["pool.pool"]) == core_checksum(["pool.pool"])


def test_ranges_and_pivot(table, tmp_path):
    write_simulation(tmp_path, "toy", table, seed=3, command="python toy.py")
    toy = read_simulation(tmp_path, "toy")
    assert (toy.lowest("coverage", 2, rule="a"), toy.highest("coverage", rule="a")) == ("0.90", "0.920")
    assert toy.highest("coverage", k=[5, 10], rule="b") == "0.950"
    wide = toy.pivot(["k"], "rule", "coverage", "mc_error")
    assert "<td>0.950 (0.0010)</td>" in wide and wide.count("<tr") == 3
    with pytest.raises(KeyError, match="no row with"):
        toy.lowest("coverage", rule="c")


def benchmark():
    spec = importlib.util.spec_from_file_location("coverage", PROJECT / "benchmarks" / "coverage.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_stored_coverage_is_what_the_benchmark_simulates():
    """2,000 replicates of the benchmark agree with the stored 100,000 within four Monte Carlo errors."""
    stored = read_simulation(STORED, "coverage")
    script = benchmark()
    assert stored.facts["replicates"] >= 10_000
    assert set(stored.table["k"]) == set(script.STUDIES) == {5, 10, 17, 40}
    assert set(stored.table["heterogeneity"]) == {"none", "small", "large"}
    assert len(stored.table) == 12 * (len(script.CONFIDENCE) + len(script.PREDICTION))
    rng = np.random.default_rng(9)
    for k, tau2 in ((5, 0.03), (17, 0.0)):
        for row in script.cell(*script.draw(rng, 2000, k, tau2), tau2):
            same = stored.rows(k=k, tau2=tau2, interval=row["interval"], rule=row["rule"]).iloc[0]
            error = np.hypot(row["mc_error"], same["mc_error"])
            assert abs(row["coverage"] - same["coverage"]) < 4 * error, (k, tau2, row["rule"])


def test_stored_coverage_says_what_the_methods_page_says():
    """The sentences around the generated numbers hold of them."""
    rows = read_simulation(STORED, "coverage").table.set_index(["interval", "rule", "k", "heterogeneity"])
    coverage = rows["coverage"].unstack("heterogeneity")
    wald, hk, ad_hoc = (coverage.loc["confidence", r] for r in ("Wald", "Hartung-Knapp", "ad hoc"))
    assert (wald[["small", "large"]] < hk[["small", "large"]]).all(axis=None)
    assert (ad_hoc >= hk).all(axis=None)
    ours, normal = (coverage.loc["prediction", r] for r in ("t(k-2), Hartung-Knapp", "normal, Wald"))
    assert (ours["large"] > normal["large"]).all()
    assert (coverage.loc["prediction"]["small"] < 0.95).all()
    assert np.isclose(rows["converged"], 1.0).all()


def test_stored_coverage_of_one_stage_says_what_its_page_says():
    stored = read_simulation(STORED, "onestage")
    assert (
        set(stored.table["k"]) == {5, 17}
        and (stored.table["tau"] == 0).any()
        and (stored.table["tau"] > 0).any()
    )
    cells = stored.table.set_index(["k", "tau", "rule"])
    coverage, width = (cells[column].unstack("rule") for column in ("coverage", "median_width"))
    kr, hk, wald = (f"one-stage, {rule}" for rule in ("Kenward-Roger", "Hartung-Knapp", "Wald"))
    assert (width.loc[5, kr] > 1.2 * width.loc[5, hk]).all()
    few = stored.rows(k=5, rule=wald).query("tau > 0").iloc[0]
    assert few["coverage"] + 2 * few["mc_error"] < 0.95
    # The default: as in two stages to three hundredths; with five studies whose effects differ, both less than .95.
    two = "two-stage, Hartung-Knapp"
    assert ((coverage[hk] - coverage[two]).abs() < 0.03).all()
    assert (coverage[[hk, two]] > 0.9).all(axis=None) and (coverage.loc[5].iloc[1][[hk, two]] < 0.95).all()
    assert (stored.table["bias"].abs() < 4 * stored.table["bias_error"]).all()
