"""Multilevel and multivariate meta-analysis: estimates that share random effects or sampling error."""

import numpy as np

from twostage.stats.base import check_choice, check_level, real_array
from twostage.stats.multilevel.blocks import check_numbers, cut, full_covariance
from twostage.stats.multilevel.inference import DFS, TESTS, contained_df, infer
from twostage.stats.multilevel.likelihood import evaluate
from twostage.stats.multilevel.pieces import check_identified, check_terms, make_pieces, singular, snapped
from twostage.stats.multilevel.results import MvFit
from twostage.stats.multilevel.search import climb, starting_points

METHODS = ("REML", "ML")


# Share of its length that a column of X must keep beyond the earlier ones (R's tolerance in `lm`).
DEPENDENT = 1e-7


# Smallest eigenvalue of the scaled observed information below which the likelihood counts as flat.
FLAT = 1e-6


def pool_mv(
    y,
    V,
    X=None,
    *,
    random,
    struct=None,
    method="REML",
    test="z",
    dfs="residual",
    level=0.95,
    names=None,
    labels=None,
):
    """Pool estimates that share random effects or sampling error: ``y ~ N(X beta, V + random effects)``.

    Parameters
    ----------
    y : array_like, shape (n,)
        Estimates, one row each; an outcome that a study did not measure has no row.
    V : array_like, shape (n,) or (n, n), or sequence of square blocks
        Their sampling variances, or their sampling covariance matrix, in squared units of y. Blocks follow the
        order of the rows.
    X : array_like, shape (n, p), optional
        Model matrix as it is used: no intercept is added. Default: a column of ones.
    random : Nested, InnerOuter, or a sequence of them, or None
        What :func:`nested` and :func:`inner_outer` (one at most) return. None: no random effects.
    struct : {"CS", "HCS", "UN", "DIAG"}, optional
        Covariance G of the inner levels of :func:`inner_outer` (default CS): one variance and one correlation;
        a variance per level and one correlation; unrestricted; a variance per level and no correlation.
    method : {"REML", "ML"}
    test : {"z", "t"}
        Wald tests with normal or t (and F) distributions.
    dfs : {"residual", "contain"}
        Degrees of freedom of ``test="t"``: n - p; or, per coefficient, the smallest number of groups of a
        random factor within whose groups the column of X is constant, minus p (at least 1).
    level : float
        Coverage of intervals, in (0, 1).
    names, labels : sequence of str, optional
        Names of the columns of X and of the rows, used in tables and messages.

    Returns
    -------
    MvFit

    Raises
    ------
    ValueError
        Numbers that cannot be used (every row is named), a sampling covariance that is not positive definite,
        collinear columns of X (named), no residual degree of freedom, unknown options, variance components
        that the grouping of the estimates does not identify.

    Notes
    -----
    The marginal covariance is ``M = V + sum_j sigma2_j Z_j Z_j' + Z G Z'`` (G once per outer group). Fixed
    effects are profiled; the criterion is in :func:`twostage.stats.multilevel.likelihood.evaluate`. It is maximised by
    Newton's method with exact derivatives from the best points of a grid, variances of 0 and correlations of 1
    or -1 included: `singular` tells which. Where two maxima are found, the highest is reported and noted.

    In CS and HCS the correlation is at least ``-1 / (m - 1)``, m being the largest number of levels in an outer
    group: below, G would be no covariance matrix. metafor (up to 3.8-1) only asks M to be positive definite,
    there and with UN of three and more levels, so that its estimate may lie outside.

    Checked against metafor 3.8-1 (``rma.mv``, ``predict``, ``confint``, ``logLik``), see the tests' reference.
    """
    data = _checked(y, V, X, names, labels)
    _check_options(method, test, dfs)
    y, V, X = data["y"], data["V"], data["X"]
    terms, struct = check_terms(random, struct, len(y))
    pieces = make_pieces(terms, struct)
    check_identified(terms, struct, pieces)
    blocks = cut(y, V, X, terms, struct)
    maximum = _maximise(blocks, pieces, method == "REML", float(np.diag(V).min()))
    at = evaluate(blocks, maximum["g"], reml=method == "REML", derivatives=False)
    df = contained_df(X, terms) if dfs == "contain" else np.full(X.shape[1], float(len(y) - X.shape[1]))
    options = {"method": method, "test": test, "dfs": dfs, "level": check_level(level)}
    inference = infer(blocks, at, X, data["names"], np.inf if test == "z" else df, options)
    model = {"pieces": pieces, "terms": terms, "struct": struct, "blocks": blocks}
    return MvFit(**inference, **options, **maximum, **model, **data)


def _checked(y, V, X, names, labels):
    """Estimates, their covariance matrix, the model matrix and names, as fields of the result."""
    y, X = real_array(y, "y"), None if X is None else real_array(X, "X", booleans=True)
    if y.ndim != 1 or y.size == 0:
        raise ValueError(f"y must be one-dimensional and not empty, got shape {y.shape}")
    V = full_covariance(V, len(y))
    X, names = _model_matrix(X, len(y), names)
    labels = tuple(f"row {i}" for i in range(len(y))) if labels is None else tuple(str(x) for x in labels)
    if len(labels) != len(y):
        raise ValueError(f"{len(labels)} labels for {len(y)} estimates")
    check_numbers(y, V, X, labels)
    _check_columns(X, names)
    return {"y": y, "V": V, "X": X, "names": names, "labels": labels}


def _maximise(blocks, pieces, reml, unit):
    """Parameters of highest likelihood, and how they were reached, as fields of the result."""
    starts = starting_points(blocks, pieces, reml=reml)
    found = climb(blocks, [piece.map for piece in pieces], starts, reml=reml)
    g = snapped(pieces, found.g, unit)
    on_edge = singular(pieces, g, unit)
    fields = {"g": g, "on_edge": on_edge, "singular": any(on_edge), "search": found}
    return fields | {"converged": found.optimum.converged, "note": _note(found)}


def _model_matrix(X, n, names):
    if X is None:
        X, names = np.ones((n, 1)), ("intercept",) if names is None else names
    if X.ndim != 2 or X.shape[0] != n or X.shape[1] == 0:
        raise ValueError(f"X must be (n, p) with n = {n} and p at least 1, got {X.shape}")
    if X.shape[1] >= n:
        raise ValueError(f"{X.shape[1]} coefficients for {n} estimates: no degree of freedom is left")
    names = tuple(f"x{j}" for j in range(X.shape[1])) if names is None else tuple(str(x) for x in names)
    if len(names) != X.shape[1]:
        raise ValueError(f"{len(names)} names for {X.shape[1]} columns of X")
    return X, names


def _check_columns(X, names):
    size = np.sqrt((X**2).sum(axis=0))
    if (size == 0.0).any():
        raise ValueError(f"column {names[int(np.argmin(size))]} of X is zero")
    triangle = np.linalg.qr(X / size, mode="r")
    kept = np.abs(np.diag(triangle))
    if (kept <= DEPENDENT).any():
        j = int(np.argmax(kept <= DEPENDENT))
        weights = np.linalg.solve(triangle[:j, :j], triangle[:j, j])
        parts = [names[i] for i in range(j) if abs(weights[i]) > DEPENDENT]
        raise ValueError(f"columns of X are collinear: {names[j]} is a combination of {', '.join(parts)}")


def _check_options(method, test, dfs):
    for name, value, known in (("method", method, METHODS), ("test", test, TESTS), ("dfs", dfs, DFS)):
        check_choice(name, value, known)


def _note(found):
    notes = []
    if found.n_maxima > 1:
        notes.append(f"the likelihood has {found.n_maxima} local maxima; the highest is reported")
    if found.optimum.curvature < FLAT:
        notes.append("the likelihood is flat in some variance components: the data do not determine them all")
    return "; ".join(notes)
