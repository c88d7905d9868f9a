"""fit_mixed_many and fit_mixed_weighted: the same numbers as fit_mixed gives one by one, and a closed form."""

import numpy as np
import pytest

from twostage.stats.base.checks import NotEstimable
from twostage.stats.mixed.fit import fit_mixed
from twostage.stats.mixed.many import MixedBatch, fit_mixed_many, fit_mixed_weighted, fit_mixed_weighted_many

# Both minimise the same deviance by the same kind of steps: only rounding may differ.
AGREEMENT = 1e-10
# Closed forms: what the optimiser's last Newton step leaves with two groups.
EXACT = 1e-8
# A correct estimator's mean over replicates lies this many Monte Carlo errors from the truth in one of 16,000.
Z = 4.0
NAMES = ("intercept", "x_within", "y_within", "x_mean", "y_mean")


def stacked(seed, B=12, patients=20, occasions=6, *, sd=0.4, kept=1.0, offset=0.0):
    """B synthetic data sets (y, X, groups, data_sets); `kept` is the share of rows that are there."""
    rng = np.random.default_rng(seed)
    rows = B * patients * occasions
    data_sets = np.repeat(np.arange(B), patients * occasions)
    groups = np.tile(np.repeat(np.arange(patients), occasions), B)
    patient = data_sets * patients + groups
    means = rng.normal(size=(B * patients, 2))[patient]
    X = np.column_stack([np.ones(rows), rng.normal(size=(rows, 2)), means]) + offset * np.array(
        [0, 1, 1, 0, 1]
    )
    y = X @ [0.0, 0.1, 0.3, 0.2, 0.5] + rng.normal(size=rows) + rng.normal(0, sd, B * patients)[patient]
    there = rng.random(rows) < kept
    return y[there], X[there], groups[there], data_sets[there]


def assert_same(batch, k, fit):
    """Data set k of a batch is that fit."""
    np.testing.assert_allclose(batch.coef[k], fit.coef, rtol=AGREEMENT, atol=AGREEMENT * fit.std_error.min())
    np.testing.assert_allclose(batch.std_error[k], fit.std_error, rtol=AGREEMENT)
    np.testing.assert_allclose(batch.df[k], fit.df, rtol=AGREEMENT)
    np.testing.assert_allclose(batch.p_value[k], fit.p_value, rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(batch.conf_int(0.9)[k], fit.conf_int(0.9), rtol=1e-8, atol=1e-10)
    assert batch.sigma2[k] == pytest.approx(fit.sigma2, rel=AGREEMENT)
    assert batch.re_variance[k] == pytest.approx(fit.cov_re[0, 0], rel=AGREEMENT, abs=AGREEMENT * fit.sigma2)
    assert batch.loglik[k] == pytest.approx(fit.loglik, rel=AGREEMENT)
    flags = (bool(batch.singular[k]), bool(batch.converged[k]), int(batch.n_obs[k]), int(batch.n_groups[k]))
    assert flags == (fit.singular, fit.converged, fit.n_obs, fit.n_groups)


CASES = {
    "balanced": {},
    "unbalanced": {"kept": 0.6},
    "no variance between groups": {"sd": 0.0},
    "large variance between groups": {"sd": 30.0, "kept": 0.8},
    "offset": {"offset": 1e5, "kept": 0.8},
    "few rows": {"patients": 6, "occasions": 3, "kept": 0.8},
}


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_agrees_with_single_fits(options, reml):
    y, X, groups, data_sets = stacked(3, **options)
    batch = fit_mixed_many(y, X, groups, data_sets, reml=reml, names=NAMES)
    assert batch.estimable.all()
    for k in range(12):
        rows = data_sets == k
        assert_same(batch, k, fit_mixed(y[rows], X[rows], groups[rows], reml=reml, names=NAMES))


def test_the_cases_include_fits_on_the_boundary_and_inside():
    y, X, groups, data_sets = stacked(3, B=60, sd=0.0)
    singular = fit_mixed_many(y, X, groups, data_sets).singular
    assert 10 < singular.sum() < 50


def test_one_way_layouts_by_hand():
    """{1, 3}, {7, 9}: MSW 2, MSB 36: sigma2 2, variance (36 - 2) / 2, SE sqrt(36 / 4), df 1. And {1, 9}, {3, 7}:
    equal means, so no variance between groups: sigma2 = 40 / 3, SE sqrt(40 / 3 / 4), df 3."""
    y = [1.0, 3.0, 7.0, 9.0, 1.0, 9.0, 3.0, 7.0]
    batch = fit_mixed_many(y, np.ones((8, 1)), list("aabbaabb"), [0] * 4 + [1] * 4)
    np.testing.assert_allclose(batch.coef[:, 0], [5.0, 5.0], atol=EXACT)
    np.testing.assert_allclose(batch.sigma2, [2.0, 40 / 3], rtol=EXACT)
    np.testing.assert_allclose(batch.re_variance, [17.0, 0.0], rtol=EXACT)
    np.testing.assert_allclose(batch.std_error[:, 0], [3.0, np.sqrt(40 / 12)], rtol=EXACT)
    np.testing.assert_allclose(batch.df[:, 0], [1.0, 3.0], rtol=EXACT)
    assert batch.singular.tolist() == [False, True]


def test_order_of_rows_and_kind_of_labels_do_not_matter():
    y, X, groups, data_sets = stacked(5, B=4, kept=0.7)
    there = fit_mixed_many(y, X, groups, data_sets)
    order = np.random.default_rng(1).permutation(len(y))
    labels = np.array([f"patient {g}" for g in groups])[order]
    shuffled = fit_mixed_many(y[order], X[order], labels, data_sets[order])
    np.testing.assert_allclose(shuffled.coef, there.coef, rtol=AGREEMENT, atol=AGREEMENT)
    np.testing.assert_allclose(shuffled.df, there.df, rtol=AGREEMENT)


def test_bad_data_sets_are_named_and_disturb_nobody():
    y, X, groups, data_sets = stacked(7, B=6, offset=1e5)
    good = fit_mixed_many(y, X, groups, data_sets, names=NAMES)
    X, y = X.copy(), y.copy()
    X[data_sets == 1, 2] = 2 * X[data_sets == 1, 1]
    X[np.flatnonzero(data_sets == 2)[3], 1] = np.nan
    y[data_sets == 3] = 5.0
    kept = (data_sets != 4) | (np.cumsum(data_sets == 4) <= 5)
    batch = fit_mixed_many(y[kept], X[kept], groups[kept], data_sets[kept], n_data_sets=8, names=NAMES)
    assert batch.estimable.tolist() == [True, False, False, False, False, True, False, False]
    assert "y_within is a linear combination of x_within" in batch.reasons[1]
    assert "not finite" in batch.reasons[2]
    assert "residual variance" in batch.reasons[3]
    assert "5 observations are fewer" in batch.reasons[4]
    assert "no rows" in batch.reasons[6]
    assert np.isnan(batch.coef[1:5]).all() and not batch.converged[1:5].any()
    np.testing.assert_allclose(batch.coef[[0, 5]], good.coef[[0, 5]], rtol=AGREEMENT)
    assert batch.glance()["reason"].str.len().gt(0).sum() == 6


def test_nearly_collinear_columns_keep_their_digits():
    y, X, groups, data_sets = stacked(8, B=3)
    X[:, 2] = X[:, 1] + 1e-5 * X[:, 2]
    batch = fit_mixed_many(y, X, groups, data_sets)
    for k in range(3):
        rows = data_sets == k
        assert_same(batch, k, fit_mixed(y[rows], X[rows], groups[rows]))


@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("kept", [1.0, 0.6])
def test_weighted_agrees_with_rows_written_out(kept, reml):
    y, X, groups, _ = stacked(9, B=1, kept=kept)
    shuffled = np.random.default_rng(2).permutation(len(y))
    y, X, groups = y[shuffled], X[shuffled], groups[shuffled]
    labels = np.unique(groups)
    weights = np.random.default_rng(4).multinomial(len(labels), np.full(len(labels), 1 / len(labels)), 10)
    batch = fit_mixed_weighted(y, X, groups, weights, reml=reml)
    for k, times in enumerate(weights):
        drawn = np.repeat(labels, times)
        rows = [np.flatnonzero(groups == label) for label in drawn]
        copies = np.repeat(np.arange(len(drawn)), [len(r) for r in rows])
        rows = np.concatenate(rows)
        assert_same(batch, k, fit_mixed(y[rows], X[rows], copies, reml=reml))


def test_several_weighted_designs_at_once_are_each_of_them_alone():
    designs = []
    for seed, options in ((20, {}), (21, {"patients": 9, "kept": 0.6}), (22, {"occasions": 3})):
        y, X, groups, _ = stacked(seed, B=1, **options)
        n = len(np.unique(groups))
        weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), seed - 15)
        weights[1] = np.eye(n, dtype=int)[0] * n
        designs.append((y, X, groups, weights))
    names = [NAMES, None, NAMES]
    for design, own, together in zip(
        designs, names, fit_mixed_weighted_many(designs, names=names), strict=True
    ):
        alone = fit_mixed_weighted(*design, names=own)
        assert (together.names, together.reasons) == (alone.names, alone.reasons)
        assert alone.reasons[1] and not alone.reasons[0]
        for field in ("coef", "std_error", "df", "loglik", "re_variance"):
            ours, theirs = getattr(together, field), getattr(alone, field)
            np.testing.assert_allclose(ours, theirs, rtol=AGREEMENT, atol=AGREEMENT)
        for field in ("n_obs", "n_groups", "singular", "converged"):
            np.testing.assert_array_equal(getattr(together, field), getattr(alone, field))


def test_designs_with_other_columns_are_refused():
    y, X, groups, _ = stacked(23, B=1)
    weights = np.ones((2, 20), dtype=int)
    for other in (2 * X, X[:, 1:], X[:, ::-1]):
        with pytest.raises(ValueError, match="constant ones"):
            fit_mixed_weighted_many([(y, X, groups, weights), (y, other, groups, weights)])


def test_a_replicate_of_one_patient_is_flagged():
    y, X, groups, _ = stacked(10, B=1, patients=8)
    weights = np.ones((2, 8), dtype=int)
    weights[1, 1:] = 0
    weights[1, 0] = 8
    batch = fit_mixed_weighted(y, X, groups, weights, names=NAMES)
    assert batch.estimable.tolist() == [True, False]
    assert "linear combination" in batch.reasons[1] or "constant" in batch.reasons[1]
    assert_same(batch, 0, fit_mixed(y, X, groups, names=NAMES))


def test_recovers_the_truth():
    truth = np.array([0.0, 0.1, 0.3, 0.2, 0.5])
    y, X, groups, data_sets = stacked(12, B=300, kept=0.9)
    batch = fit_mixed_many(y, X, groups, data_sets)
    error = batch.coef.std(axis=0, ddof=1) / np.sqrt(300)
    assert (np.abs(batch.coef.mean(axis=0) - truth) < Z * error).all()
    covered = ((batch.conf_int()[..., 0] < truth) & (truth < batch.conf_int()[..., 1])).mean(axis=0)
    assert (np.abs(covered - 0.95) < Z * np.sqrt(0.95 * 0.05 / 300)).all()


def test_tables():
    y, X, groups, data_sets = stacked(13, B=3)
    batch = fit_mixed_many(y, X, groups, data_sets, names=NAMES)
    tidy = batch.tidy()
    assert list(tidy["term"][:5]) == list(NAMES) and len(tidy) == 15
    np.testing.assert_array_equal(tidy.query("data_set == 2")["estimate"], batch.coef[2])
    assert "3 data sets: 3 fitted" in batch._repr_html_()
    with pytest.raises(ValueError, match="level"):
        batch.conf_int(95)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.zeros(3)}, "y has 3 rows"),
        ({"data_sets": np.zeros(240)}, "whole numbers"),
        ({"data_sets": np.full(240, -1)}, "between 0"),
        ({"groups": np.zeros(3)}, "one label per row"),
        ({"groups": np.full(240, np.nan)}, "missing label in row 0"),
        ({"names": ("a", "a", "b", "c", "d")}, "must differ"),
    ],
)
def test_wrong_input_is_refused(change, message):
    names = ("y", "X", "groups", "data_sets")
    given = dict(zip(names, stacked(14, B=2), strict=True)) | change
    with pytest.raises(ValueError, match=message) as caught:
        fit_mixed_many(**given)
    assert not isinstance(caught.value, NotEstimable)


@pytest.mark.parametrize(
    ("weights", "message"),
    [(np.ones((2, 3), int), "one column"), (np.ones((2, 20)), "whole"), (-np.ones((2, 20), int), "negative")],
)
def test_wrong_weights_are_refused(weights, message):
    y, X, groups, _ = stacked(15, B=1)
    with pytest.raises(ValueError, match=message):
        fit_mixed_weighted(y, X, groups, weights)


def test_no_data_sets_give_an_empty_batch():
    batch = fit_mixed_many(np.empty(0), np.empty((0, 2)), np.empty(0, int), np.empty(0, int))
    assert isinstance(batch, MixedBatch) and batch.coef.shape == (0, 2) and not len(batch.reasons)


def test_group_dummies_leave_no_variance_to_estimate():
    y, X, groups, data_sets = stacked(16, B=2, patients=5)
    dummies = np.column_stack([X[:, :3], groups[:, None] == np.arange(1, 5)])
    batch = fit_mixed_many(y, dummies, groups, data_sets)
    assert not batch.estimable.any()
    assert all("no variation between groups" in reason for reason in batch.reasons)
