"""What a page of the book pools in the reader's browser is what the package pools: the module is run by node."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm, t

from twostage.stats.base import INTERVALS
from twostage.stats.pool import pool, pool_many
from twostage.stats.pool.tau2 import METHODS

MODULE = Path(__file__).resolve().parents[3] / "book" / "assets" / "pool.mjs"
NODE = Path(__file__).with_name("pool.node.mjs")

#: Of the pooled effect's standard error (Wald's, which is never 0), or of tau2's scale: the mean sampling variance and the
#: variance of the estimates. Two programs that add in another order differ by rounding alone, times the condition of the
#: sums: 1e-8 is far above it and far below what any page shows.
TOLERANCE = 1e-8

NUMBERS = ("estimate", "std_error", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "q", "i2")

pytestmark = pytest.mark.slow

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="needs node, which runs the pages' scripts")


def drawn(seed: int, k: int) -> dict:
    """A meta-analysis: variances over up to six orders of magnitude, tau2 from 0 to far above them, ties, outliers."""
    rng = np.random.default_rng([seed, k])
    v = 10.0 ** (rng.uniform(-6, 2) + rng.uniform(0, 6) * rng.uniform(-0.5, 0.5, size=k))
    tau2 = rng.choice([0.0, 0.0, 0.1, 1.0, 100.0]) * v.mean()
    y = rng.choice([0.0, 1.0, -30.0]) * np.sqrt(v.mean()) + rng.normal(size=k) * np.sqrt(v + tau2)
    kind = rng.integers(8)
    if kind == 0:
        v[:] = v[0]  # ties of precision
    elif kind == 1:
        y = np.round(y / np.sqrt(v.mean())) * np.sqrt(v.mean())  # ties of estimates
    elif kind == 2:
        y[:] = y[0]  # exact agreement
    elif kind == 3:
        y[0] += 50.0 * np.sqrt(v[0] + tau2)
    return {"y": y.tolist(), "v": v.tolist(), "level": float(rng.choice([0.5, 0.8, 0.9, 0.95, 0.99, 0.999]))}


@pytest.fixture(scope="module")
def asked() -> dict:
    cases = [drawn(seed, k) for k in range(1, 61) for seed in range(34)]
    frees = [None, *range(1, 60), 1.5, 7.3, 99.9, 1000.0, 1000.1, 4e4, 1e9]
    quantiles = [(df, level) for df in frees for level in (0.05, 0.5, 0.8, 0.95, 0.99, 0.999)]
    return {"cases": cases, "quantiles": quantiles}


@pytest.fixture(scope="module")
def answered(asked, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("node")
    (folder / "in.json").write_text(json.dumps(asked))
    command = ["node", str(NODE), str(MODULE), str(folder / "in.json"), str(folder / "out.json")]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return json.loads((folder / "out.json").read_text())


@needs_node
def test_quantiles_are_those_of_scipy(asked, answered):
    expected = [
        norm.ppf(0.5 + level / 2) if df is None else t.ppf(0.5 + level / 2, df)
        for df, level in asked["quantiles"]
    ]
    # The series for more than 1000 degrees of freedom leaves out a term below 1e-10.
    np.testing.assert_allclose(answered["quantiles"], expected, rtol=2e-10)


@needs_node
def test_the_page_offers_what_the_package_has(answered):
    assert (set(answered["methods"]), set(answered["intervals"])) == (set(METHODS), set(INTERVALS))


def differences(y: np.ndarray, v: np.ndarray, found: np.ndarray, fits) -> dict[str, np.ndarray]:
    """Differences of n meta-analyses (n, k) from the package's numbers, in units of their tolerance's scale."""
    error = np.sqrt(1.0 / np.sum(1.0 / (v + fits.tau2[:, None]), axis=1))
    scale = dict.fromkeys(NUMBERS, error) | {
        "tau2": v.mean(axis=1) + y.var(axis=1),
        "q": 1.0 + fits.q,
        "i2": 100.0,
    }
    # The ends of intervals carry the critical value, which is up to 637 with one degree of freedom.
    for name in ("ci_low", "ci_high", "pi_low", "pi_high"):
        reach = np.abs(getattr(fits, name) - fits.estimate)
        scale[name] = np.where(reach > error, reach, error)
    apart = {}
    for j, name in enumerate(NUMBERS):
        expected = getattr(fits, name)
        far = np.where(np.isnan(found[:, j]) & np.isnan(expected), 0.0, np.abs(found[:, j] - expected))
        apart[name] = np.where(np.isnan(far), np.inf, far / scale[name])
    apart["weights"] = np.abs(found[:, len(NUMBERS) :] - fits.weights).max(axis=1) / 100.0
    return apart


@needs_node
def test_it_pools_as_the_package_does(asked, answered):
    cases, groups = asked["cases"], {}
    assert len(cases) >= 2000
    for i, case in enumerate(cases):
        groups.setdefault((len(case["y"]), case["level"]), []).append(i)
    for (_, level), members in groups.items():
        y, v = (np.array([cases[i][name] for i in members]) for name in "yv")
        for m, method in enumerate(answered["methods"]):
            for c, ci in enumerate(answered["intervals"]):
                found = np.array([answered["fits"][i][m][c] for i in members], dtype=float)
                apart = differences(y, v, found, pool_many(y, v, method=method, ci=ci, level=level))
                for name, far in apart.items():
                    assert far.max() <= TOLERANCE, (method, ci, name, far.max(), cases[members[far.argmax()]])


@needs_node
def test_many_are_pooled_as_each_by_itself(asked, answered):
    i = next(i for i, case in enumerate(asked["cases"]) if len(case["y"]) == 17)
    case = asked["cases"][i]
    fit = pool(case["y"], case["v"], level=case["level"])
    found = answered["fits"][i][answered["methods"].index("REML")][
        answered["intervals"].index("hartung-knapp")
    ]
    assert found[0] == pytest.approx(fit.estimate, rel=TOLERANCE)
    assert found[2:4] == pytest.approx([fit.ci_low, fit.ci_high], rel=TOLERANCE)
