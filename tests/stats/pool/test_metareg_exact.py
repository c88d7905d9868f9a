"""`metareg` against rational arithmetic, which has no rounding, where metafor's own digits are not enough."""

import sys
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.special import chdtri

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))

from metareg_tables import DATA, ours

# The issue asks for 1e-10 of closed forms. Measured: below 1e-11.
TOLERANCE = 1e-10
# All that are badly conditioned, and some that are not.
NAMES = (
    "offset",
    "near_collinear",
    "units",
    "six_orders",
    "bcg_year",
    "bcg_all",
    "hart",
    "outlier",
    "saturated",
)


def solve(A, B):
    """Gauss-Jordan elimination of the rational system A X = B."""
    n = len(A)
    rows = [list(a) + list(b) for a, b in zip(A, B, strict=True)]
    for i in range(n):
        pivot = next(j for j in range(i, n) if rows[j][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for j in range(n):
            if j != i and rows[j][i] != 0:
                rows[j] = [x - rows[j][i] * z for x, z in zip(rows[j], rows[i], strict=True)]
    return [row[n:] for row in rows]


class Regression:
    """Weighted least squares of rational numbers."""

    def __init__(self, y, X, w):
        k, p = len(y), len(X[0])
        cross = [[sum(w[i] * X[i][a] * X[i][b] for i in range(k)) for b in range(p)] for a in range(p)]
        unit = [[Fraction(int(a == b)) for b in range(p)] for a in range(p)]
        self.inverse = solve(cross, unit)
        right = [sum(w[i] * X[i][a] * y[i] for i in range(k)) for a in range(p)]
        self.coef = [sum(self.inverse[a][b] * right[b] for b in range(p)) for a in range(p)]
        residual = [y[i] - sum(X[i][a] * self.coef[a] for a in range(p)) for i in range(k)]
        self.q = sum(w[i] * residual[i] ** 2 for i in range(k))
        self.hat = [w[i] * quadratic(self.inverse, X[i]) for i in range(k)]
        self.trace = sum(w[i] * (1 - self.hat[i]) for i in range(k))


def quadratic(A, x):
    return sum(x[a] * A[a][b] * x[b] for a in range(len(x)) for b in range(len(x)))


@cache
def rational(name):
    data = DATA[name]
    X = np.array(data["X"], dtype=float).reshape(len(data["y"]), -1)
    X = np.column_stack([np.ones(len(X)), X]) if data["intercept"] else X
    y, v = ([Fraction(x) for x in data[c]] for c in "yv")
    return y, v, [[Fraction(x) for x in row] for row in X.tolist()]


@cache
def plain(name):
    """Unit weights, and the sampling variances' own."""
    y, v, X = rational(name)
    return Regression(y, X, [Fraction(1)] * len(y)), Regression(y, X, [1 / x for x in v])


def exact_tau2(name, method):
    y, v, X = rational(name)
    k, p = len(y), len(X[0])
    unit, at_zero = plain(name)
    if method == "HE":
        return (unit.q - sum(x * (1 - h) for x, h in zip(v, unit.hat, strict=True))) / (k - p)
    if method == "DL":
        return (at_zero.q - (k - p)) / at_zero.trace
    if method == "HS":
        return (at_zero.q - k) / sum(1 / x for x in v)
    mean = sum(y) / k
    start = sum((x - mean) ** 2 for x in y) / k
    return start * Regression(y, X, [1 / (x + start) for x in v]).q / (k - p)


@pytest.mark.parametrize("method", ["FE", "DL", "HE", "HS", "SJ"])
@pytest.mark.parametrize("name", NAMES)
def test_closed_forms_are_exact(name, method):
    y, v, X = rational(name)
    tau2 = Fraction(0) if method == "FE" else max(Fraction(0), exact_tau2(name, method))
    fit = ours(name, method, "hartung-knapp")
    assert fit.tau2 == pytest.approx(float(tau2), rel=TOLERANCE, abs=0.0)
    # The rest at the tau2 we report: its own error would otherwise be counted again.
    at = Regression(y, X, [1 / (x + Fraction(fit.tau2)) for x in v])
    p = len(X[0])
    factor = at.q / (len(y) - p)
    np.testing.assert_allclose(fit.coef, [float(b) for b in at.coef], rtol=TOLERANCE)
    se = [float(factor * at.inverse[a][a]) ** 0.5 for a in range(p)]
    np.testing.assert_allclose(fit.std_error, se, rtol=TOLERANCE)
    np.testing.assert_allclose(fit.hat, [float(h) for h in at.hat], rtol=TOLERANCE)
    assert fit.qe == pytest.approx(float(plain(name)[1].q), rel=TOLERANCE)
    tested = [row[1:] for row in at.inverse[1:]]
    weights = solve(tested, [[b] for b in at.coef[1:]])
    qm = sum(b * w[0] for b, w in zip(at.coef[1:], weights, strict=True)) / factor / (p - 1)
    assert fit.qm == pytest.approx(float(qm), rel=TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_iterative_estimators_solve_their_equations(name):
    """Paule-Mandel: Q = k - p. REML and ML: the slope of the likelihood, relative to its terms, is 0."""
    y, v, X = rational(name)
    df = len(y) - len(X[0])
    fit = ours(name, "PM", "wald")
    if fit.tau2 > 0:
        at = Regression(y, X, [1 / (x + Fraction(fit.tau2)) for x in v])
        assert float(at.q) == pytest.approx(df, rel=TOLERANCE)
    for method in ("REML", "ML"):
        fit = ours(name, method, "wald")
        w = [1 / (x + Fraction(fit.tau2)) for x in v]
        at = Regression(y, X, w)
        residual = [
            b - sum(x * c for x, c in zip(row, at.coef, strict=True)) for b, row in zip(y, X, strict=True)
        ]
        rise = sum((a * r) ** 2 for a, r in zip(w, residual, strict=True))
        fall = at.trace if method == "REML" else sum(w)
        slope = float((rise - fall) / fall)
        assert abs(slope) < TOLERANCE if fit.tau2 > 0 else slope <= 0


@pytest.mark.parametrize("name", NAMES)
def test_q_profile_ends_solve_their_equations(name):
    y, v, X = rational(name)
    df = len(y) - len(X[0])
    profile = ours(name, "DL", "wald").qprofile(0.9)
    for tau2, tail in ((profile.tau2_low, 0.05), (profile.tau2_high, 0.95)):
        if tau2 > 0:
            q = Regression(y, X, [1 / (x + Fraction(tau2)) for x in v]).q
            assert float(q) == pytest.approx(chdtri(df, tail), rel=TOLERANCE)
