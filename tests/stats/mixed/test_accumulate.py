"""Sums of a mixed model: added to, merged, fitted."""

import pickle

import numpy as np
import pytest

from twostage.stats.base import Moments, NotEstimable, Spread, least_squares
from twostage.stats.mixed import MixedSums, StackedSums, fit_mixed, influence, stacked_covariance

#: In standard errors: sums in another order differ in their last digits.
SAME = 1e-11


def panel(seed, slopes=False, offset=0.0, n=200):
    """y, X, groups, Z of groups of one to seven rows."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, n)
    group = np.repeat(np.arange(n), sizes)
    X = np.column_stack(
        [np.ones(len(group)), rng.normal(size=(len(group), 2)), offset + rng.normal(size=n)[group]]
    )
    u = rng.normal(size=(n, 3)) * (0.5, 0.3, 0.3)
    y = offset + 0.2 * X[:, 1] + 0.5 * (X[:, 3] - offset) + u[group, 0] + rng.normal(size=len(group))
    if slopes:
        y += (u[group, 1:] * X[:, 1:3]).sum(axis=1)
    return y, X, group, X[:, :3] if slopes else None


def in_pieces(data, edges, names=("one", "a", "b", "m")):
    """Sums of the groups between edges."""
    y, X, group, Z = data
    found = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        i = (group >= low) & (group < high)
        sums = MixedSums(names, 1 if Z is None else 3)
        found.append(sums.add(y[i], X[i], group[i], None if Z is None else Z[i]))
    return found


def same(fit, other):
    """Fits that differ by rounding."""
    # The intercept of columns far from zero is a difference of large numbers: it has their rounding.
    rounding = 4 * np.finfo(float).eps * np.abs(other.coef).max()
    assert (np.abs(fit.coef - other.coef) < SAME * other.std_error + rounding).all()
    assert fit.std_error == pytest.approx(other.std_error, rel=SAME)
    assert fit.df == pytest.approx(other.df, rel=1e-9)
    assert fit.cov_re == pytest.approx(other.cov_re, abs=1e-11)
    assert fit.sigma2 == pytest.approx(other.sigma2, rel=SAME)
    assert fit.loglik == pytest.approx(other.loglik, rel=1e-13)
    assert (fit.n_obs, fit.n_groups, fit.singular) == (other.n_obs, other.n_groups, other.singular)


@pytest.mark.parametrize("slopes", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e5])
@pytest.mark.parametrize("reml", [True, False])
def test_pieces_in_any_order_are_the_whole(slopes, offset, reml):
    data = panel(1, slopes, offset)
    whole = fit_mixed(*data, reml=reml)
    parts = in_pieces(data, [0, 3, 50, 51, 140, 200])
    forward = parts[0] + parts[1] + parts[2] + parts[3] + parts[4]
    other = (parts[3] + (parts[4] + parts[0])) + (parts[2] + parts[1])
    same(forward.fit(reml=reml), whole)
    same(other.fit(reml=reml), whole)
    same(pickle.loads(pickle.dumps(other)).fit(reml=reml), whole)


def test_one_piece_is_the_array_entry():
    data = panel(2)
    same(in_pieces(data, [0, 200])[0].fit(), fit_mixed(*data))


def test_turned_sums_are_those_of_turned_columns():
    for slopes in (False, True):
        y, X, group, Z = data = panel(3, slopes)
        A = np.eye(4)
        A[0, 3], A[1, 2] = -2.5, 0.7
        turned = (in_pieces(data, [0, 80, 200])[0] + in_pieces(data, [0, 80, 200])[1]).turned(A)
        same(turned.fit(), fit_mixed(y, X @ A, group, Z))


def test_nothing_added_changes_nothing():
    y, X, group, _ = data = panel(4)
    sums = in_pieces(data, [0, 200])[0]
    assert sums + MixedSums(sums.names) is sums
    assert MixedSums(sums.names) + sums is sums
    assert sums.add(y[:0], X[:0], group[:0]) is sums


def test_other_models_are_not_merged():
    sums = in_pieces(panel(5), [0, 200])[0]
    with pytest.raises(ValueError, match="sums of different models"):
        sums + MixedSums(("one", "a"))
    with pytest.raises(ValueError, match="random effects"):
        y, X, group, Z = panel(5, True)
        sums.add(y, X, group, Z)
    with pytest.raises(ValueError, match="first column of Z"):
        MixedSums(sums.names, 3).add(y, X, group, Z + 1)


def test_what_cannot_be_fitted_says_so():
    y, X, group, _ = panel(6)
    names = ("one", "a", "b", "m")
    again = np.column_stack([X[:, :3], X[:, 1] + X[:, 2]])
    with pytest.raises(NotEstimable, match="collinear"):
        MixedSums(names).add(y, again, group).fit()
    with pytest.raises(NotEstimable, match="at least two"):
        MixedSums(names).add(y[:20], X[:20], np.zeros(20)).fit()
    constant = np.arange(200.0)[group]
    with pytest.raises(NotEstimable, match="does not vary within groups"):
        MixedSums(names).add(constant, X, group).fit()


def test_residual_left_or_not():
    y, X, group, _ = panel(7)
    names = ("one", "a", "b", "m")
    assert MixedSums(names).add(y, X, group).leaves_residual(1e-12)
    exact = X @ [3.0, 0.2, -0.1, 0.4] + np.arange(200.0)[group]
    assert not MixedSums(names).add(exact, X, group).leaves_residual(1e-12)


@pytest.mark.parametrize("slopes", [False, True])
def test_stacked_sums_are_the_stacked_covariance(slopes):
    data = panel(8, slopes)
    some = data[2] < 150
    parts = [data, tuple(None if a is None else a[some] for a in data)]
    fits = [fit_mixed(*part) for part in parts]
    whole = stacked_covariance([influence(f, *part) for f, part in zip(fits, parts, strict=True)])
    total = None
    for low, high in ((0, 60), (60, 130), (130, 200)):
        own = []
        for fit, (y, X, group, Z) in zip(fits, parts, strict=True):
            i = (group >= low) & (group < high)
            own.append(influence(fit, y[i], X[i], group[i] - low, None if Z is None else Z[i]))
        piece = StackedSums.of(own, high - low)
        total = piece if total is None else total + piece
    assert total.covariance([4, 4]) == pytest.approx(whole.matrix, rel=1e-10, abs=1e-16)
    assert (total.n_any, total.n_all) == (whole.n_any, whole.n_all)


def test_least_squares_from_moments_is_that_of_rows():
    rng = np.random.default_rng(9)
    X = rng.normal(size=(60, 3)) + [5.0, -3.0, 0.0]
    y = X @ [0.4, 0.0, -0.2] + 7.0 + rng.normal(size=60)
    rows = np.column_stack([X, y])
    fit = least_squares(Moments.of(rows[:7]) + Moments.of(rows[7:40]) + Moments.of(rows[40:]))
    design = np.column_stack([np.ones(60), X])
    coef, rss, _, _ = np.linalg.lstsq(design, y, rcond=None)
    assert fit.coef == pytest.approx(coef, rel=1e-12)
    assert fit.residual == pytest.approx(rss[0], rel=1e-12)
    assert fit.cov == pytest.approx(rss[0] / 56 * np.linalg.inv(design.T @ design), rel=1e-10)
    assert fit.total == pytest.approx(y @ y, rel=1e-13)
    assert fit.loglik == pytest.approx(-30 * (np.log(2 * np.pi * rss[0] / 60) + 1), rel=1e-13)
    with pytest.raises(NotEstimable, match="repeats another"):
        least_squares(Moments.of(np.column_stack([X, X[:, 0] - X[:, 1], y])))


def test_spread_of_pieces_with_gaps():
    rng = np.random.default_rng(10)
    rows = rng.normal(size=(50, 4, 2)) + 100.0
    rows[rng.random(rows.shape) < 0.4] = np.nan
    rows[:, 3, 1] = np.nan
    found = Spread.of(rows[:20]) + Spread.of(rows[20:21]) + Spread.of(rows[21:])
    known = np.isfinite(rows).any(axis=0)
    assert found.count == pytest.approx(np.isfinite(rows).sum(axis=0))
    assert found.mean[known] == pytest.approx(np.nanmean(rows[:, known], axis=0), rel=1e-13)
    assert found.square[known] == pytest.approx(
        np.nanvar(rows[:, known], axis=0) * found.count[known], rel=1e-10
    )
    total = found.over(0)
    assert total.low == pytest.approx(np.nanmin(rows, axis=(0, 1)))
    assert total.square == pytest.approx(np.nanvar(rows, axis=(0, 1)) * total.count, rel=1e-10)
