"""GOSH: subsets enumerated and sampled, pooled as `pool` and as metafor do (tests/reference/gosh.R)."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

REFERENCE = Path(__file__).parents[2] / "reference"
sys.path.insert(0, str(REFERENCE))

from tables import data_sets, grouped

from twostage.stats.influence.gosh import all_subsets, gosh, pack, pool_subsets, sampled_subsets, unpack
from twostage.stats.pool.pool import pool
from twostage.stats.pool.tau2 import METHODS

ROUNDING = 1e-12
# Sums as differences of sums: see CANCELLATION in gosh_tau2.
CLOSED_TOLERANCE = 1e-10
# Both searches end within 1e-13 of tau2 + min(v); metafor's as in test_influence_metafor.py.
ITERATIVE_TOLERANCE = 1e-8
ABSOLUTE = {"tau2": 1e-11, "i2": 1e-7, "q": 1e-12, "estimate": 1e-12}
CLOSED = {"FE", "DL", "HE", "HS", "SJ"}
NUMBERS = ("estimate", "tau2", "i2", "q")
BAND = 4.0  # Monte Carlo standard errors; seeds are fixed

DATA = data_sets()
CASES = grouped("influence_gosh.csv.gz", "dataset", "method")


def pooled_by_code(name, method, codes):
    """Our numbers for chosen subsets of a data set."""
    y, v = DATA[name]
    return pool_subsets(unpack(pack(np.array(codes, dtype=np.uint64), len(y)), len(y)), y, v, method)


def agree(ours, theirs, method, rows=slice(None)):
    rtol = CLOSED_TOLERANCE if method in CLOSED else ITERATIVE_TOLERANCE
    for name in NUMBERS:
        np.testing.assert_allclose(
            ours[name][rows], theirs[name][rows], rtol=rtol, atol=ABSOLUTE[name], err_msg=name
        )
    assert ours["converged"].all()


def test_the_grid_has_not_shrunk():
    sets = {n for n, (y, _) in DATA.items() if 2 <= len(y) <= 24}
    assert len(sets) == 22
    assert set(CASES) == {(d, m) for d in sets for m in METHODS}
    missing = {}
    for (name, method), case in CASES.items():
        k = len(DATA[name][0])
        among = np.round(np.linspace(3, 2**k - 2, 20)).astype(int).tolist()
        chosen = range(1, 2**k) if 2**k <= 64 else {*(2**i for i in range(k)), *among, 2**k - 1}
        missing[name, method] = len(set(chosen)) - len(case["code"])
    # One subset of "li" in which metafor's iterations do not end.
    assert {c: n for c, n in missing.items() if n} == {("li", "REML"): 1, ("li", "EB"): 1}
    about = json.loads((REFERENCE / "gosh_versions.json").read_text())
    assert about["R"] and about["metafor"] == "3.8.1" and set(about["datasets"]) == sets


@pytest.mark.parametrize("method", METHODS)
def test_subsets_agree_with_metafor(method):
    for name in {d for d, _ in CASES}:
        theirs = CASES[name, method]
        ours = pooled_by_code(name, method, theirs["code"])
        assert (ours["size"] == theirs["k"]).all()
        agree(ours, theirs, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name", ["k2_apart", "tau2_zero", "identical", "outlier", "six_orders", "two_maxima_8"]
)
def test_subsets_agree_with_pool(name, method):
    """Every 37th subset (all of the small sets), one by one."""
    y, v = DATA[name]
    codes = np.arange(1, 2 ** len(y), 1 if len(y) < 7 else 37)
    fits = [pool(y[m], v[m], method=method) for m in unpack(pack(codes, len(y)), len(y)).T.astype(bool)]
    agree(
        pooled_by_code(name, method, codes),
        {n: np.array([getattr(f, n) for f in fits]) for n in NUMBERS},
        method,
    )


def test_two_studies_by_hand():
    """y = 1, 3 with variances 1/2: REML's tau2 is 3/2, I2 75 percent, Q 4."""
    result = gosh([1.0, 3.0], [0.5, 0.5])
    assert result.size.tolist() == [1, 1, 2] and result.exhaustive and result.seed is None
    assert result.estimate == pytest.approx([1.0, 3.0, 2.0], rel=ROUNDING)
    assert result.tau2 == pytest.approx([0.0, 0.0, 1.5], rel=ROUNDING)
    assert result.i2 == pytest.approx([0.0, 0.0, 75.0], rel=ROUNDING)
    assert result.q == pytest.approx([0.0, 0.0, 4.0], rel=ROUNDING)


def test_far_subsets_keep_their_digits():
    """Two far estimates that nearly agree: Q = 0.1^2 / 2 / v, a difference of sums near 1e8 otherwise."""
    y = np.array([0.0, 0.1, 0.2, 1000.0, 1000.1])
    for method in METHODS:
        one = pool_subsets(np.array([[0.0, 0, 0, 1, 1]]).T, y, np.full(5, 0.01), method)
        assert one["q"][0] == pytest.approx(0.5, rel=1e-11)  # 1000.1 is no double: 1e-13 / 0.1
        assert one["tau2"][0] == pytest.approx(
            pool(y[3:], [0.01, 0.01], method=method).tau2, rel=1e-10, abs=1e-15
        )


def test_all_subsets_once():
    packed = all_subsets(11)
    member = unpack(packed, 11)
    assert packed.shape == (2047, 2) and member.shape == (11, 2047)
    assert (2.0 ** np.arange(11) @ member == np.arange(1, 2048)).all()


@pytest.mark.parametrize("k, n", [(10, 700), (20, 5000), (62, 5000), (63, 5000), (64, 5000), (100, 5000)])
def test_samples_are_different_seeded_and_uniform(k, n):
    packed = sampled_subsets(k, n, seed=5)
    assert len(np.unique(packed, axis=0)) == n
    assert packed.any(axis=1).all()
    assert (packed == sampled_subsets(k, n, seed=5)).all() and (packed != sampled_subsets(k, n, seed=6)).any()
    member = unpack(packed, k)
    assert member.shape == (k, n)
    share = member.mean(axis=1)  # each study is in half of the subsets
    assert np.abs(share - 0.5).max() < 1.2 * BAND * 0.5 / np.sqrt(n)
    if k > 10:
        assert member.sum(axis=0).var() == pytest.approx(k / 4, rel=BAND * np.sqrt(2 / n))
    halves = member[:, : n // 2].mean(axis=1) - member[:, n // 2 :].mean(axis=1)  # the order is random too
    assert np.abs(halves).max() < 1.2 * BAND / np.sqrt(n)


def test_repeated_draws_leave_every_subset_as_likely_and_the_empty_one_out():
    """7 of the 31 subsets of five studies are few enough to be drawn one by one; 300 samples."""
    drawn = np.concatenate([sampled_subsets(5, 7, seed=seed)[:, 0] for seed in range(300)])
    counts = np.bincount(drawn, minlength=32)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 2100 / 31).max() < BAND * np.sqrt(2100 / 31)


def test_a_sample_is_taken_only_where_there_are_more_subsets():
    y, v = DATA["tau2_zero"]
    assert gosh(y, v, subsets=63).exhaustive
    some = gosh(y, v, subsets=62, seed=9)
    assert not some.exhaustive and some.seed == 9 and some.size.size == 62
    whole = gosh(y, v)
    for name in NUMBERS:  # each sampled subset has the numbers it has among all
        theirs = dict(zip(whole.subsets[:, 0].tolist(), getattr(whole, name), strict=True))
        expected = [theirs[code] for code in some.subsets[:, 0].tolist()]
        assert getattr(some, name) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("method", ["DL", "REML", "PM"])
def test_chunks_do_not_matter_and_report_progress(method, monkeypatch):
    y, v = DATA["normand"]
    whole = gosh(y, v, method=method)
    monkeypatch.setattr(sys.modules[gosh.__module__], "CHUNK", 9 * 100)
    calls = []
    parts = gosh(y, v, method=method, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(100, 511), (200, 511), (300, 511), (400, 511), (500, 511), (511, 511)]
    assert (parts.size == whole.size).all()
    for name in NUMBERS:
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-10, atol=1e-12)


def test_all_subsets_of_fifteen_studies_by_default():
    rng = np.random.default_rng(4)
    whole = gosh(rng.normal(size=15), rng.uniform(0.1, 1.0, 15), method="DL")
    assert whole.exhaustive and whole.size.size == 2**15 - 1 and whole.seed is None


def test_a_million_subsets_in_bounded_memory():
    """k = 24, fixed effects: beside the results only the chunk's work space is allocated."""
    import tracemalloc

    y, v = DATA["linde"]
    tracemalloc.start()
    result = gosh(y, v, method="FE", ci="wald")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.size.size == 1_000_000 and not result.exhaustive
    results = sum(getattr(result, n).nbytes for n in ("size", "converged", "subsets", *NUMBERS))
    assert (
        peak < 3 * results + 20e6
    )  # sorting the codes, freezing the results; the masks alone would be 192 MB


def test_studies_of_a_subset():
    result = gosh(*DATA["collins"], labels=list("abcdefghi"))
    member = unpack(result.subsets, 9).astype(bool)
    for i, label in enumerate("abcdefghi"):
        assert (result.includes(i) == member[i]).all() and (result.includes(label) == member[i]).all()
    assert (result.size == member.sum(axis=0)).all()
    with pytest.raises(ValueError):
        result.includes("z")
    with pytest.raises(IndexError):
        result.includes(9)


def test_tables():
    y = np.append(np.linspace(-0.1, 0.1, 8), 4.0)
    result = gosh(y, np.full(9, 0.05), method="DL", labels=[f"S{i}" for i in range(9)])
    assert (
        list(result.tidy()) == ["size", "estimate", "tau2", "i2", "q", "converged"]
        and len(result.tidy()) == 511
    )
    glance = result.glance().iloc[0]
    assert glance["n_subsets"] == glance["n_converged"] == 511
    assert glance["estimate_max"] == pytest.approx(4.0, rel=ROUNDING) and glance["i2_min"] == 0.0
    studies = result.by_study().set_index("study")
    assert studies.loc["S8", "i2_with"] > 90 and studies.loc["S8", "i2_without"] == 0.0
    assert studies.loc["S8", "estimate_with"] == np.median(result.estimate[result.includes("S8")])
    assert studies.loc["S8", "estimate_without"] == np.median(result.estimate[~result.includes("S8")])
    assert "511 subsets" in result._repr_html_()


def test_input():
    with pytest.raises(ValueError, match="GOSH needs at least 2"):
        gosh([1.0], [1.0])
    with pytest.raises(ValueError, match="subsets must be at least 1"):
        gosh([1.0, 2.0], [1.0, 1.0], subsets=0)
    with pytest.raises(TypeError, match="either a fit"):
        gosh(pool([1.0, 2.0], [1.0, 1.0]), method="DL")
