"""The deviance of a mixed model written down plainly, in extended precision where the platform has it."""

import numpy as np

EXTENDED = np.longdouble


def dense_deviance(y, X, groups, Z, T, reml=True) -> float:
    """D(T) from the full n x n covariance: no reduction, no profiling tricks beyond the formula itself."""
    y, X, Z, T = (np.asarray(a, dtype=EXTENDED) for a in (y, X, Z, T))
    n, p = X.shape
    same = np.equal.outer(groups, groups)
    V = np.eye(n, dtype=EXTENDED) + np.where(same, Z @ T @ Z.T, 0)
    L = cholesky(V)
    R = orthogonal_triangle(forward(L, np.column_stack([X, y])))
    nu = n - p if reml else n
    value = 2 * np.log(np.diag(L)).sum() + nu * (1 + np.log(2 * EXTENDED(np.pi) * R[p, p] ** 2 / nu))
    return float(value + 2 * np.log(np.diag(R)[:p]).sum() if reml else value)


def dense_information(X, groups, Z, basis, T) -> np.ndarray:
    """tr(P Z E Z' P Z F Z') - tr(P Z E Z') tr(P Z F Z') / (n - p), the expected REML Hessian."""
    n, p = X.shape
    same = np.equal.outer(groups, groups)
    V = np.eye(n) + np.where(same, Z @ T @ Z.T, 0)
    W = np.linalg.inv(V)
    P = W - W @ X @ np.linalg.solve(X.T @ W @ X, X.T @ W)
    moved = [P @ np.where(same, Z @ E @ Z.T, 0) for E in basis]
    traces = np.array([np.trace(m) for m in moved])
    return np.array([[np.trace(a @ b) for b in moved] for a in moved]) - np.outer(traces, traces) / (n - p)


def cholesky(A):
    """Lower factor, in A's own precision."""
    A = A.copy()
    for j in range(len(A)):
        A[j, j] = np.sqrt(A[j, j] - (A[j, :j] ** 2).sum())
        A[j + 1 :, j] = (A[j + 1 :, j] - A[j + 1 :, :j] @ A[j, :j]) / A[j, j]
    return np.tril(A)


def forward(L, B):
    """L^-1 B."""
    B = B.copy()
    for j in range(len(L)):
        B[j] = (B[j] - L[j, :j] @ B[:j]) / L[j, j]
    return B


def orthogonal_triangle(C):
    """R of C = QR by modified Gram-Schmidt."""
    C = C.copy()
    k = C.shape[1]
    R = np.zeros((k, k), dtype=C.dtype)
    for i in range(k):
        R[i, i] = np.sqrt((C[:, i] ** 2).sum())
        C[:, i] /= R[i, i]
        R[i, i + 1 :] = C[:, i] @ C[:, i + 1 :]
        C[:, i + 1 :] -= np.outer(C[:, i], R[i, i + 1 :])
    return R


def random_panel(seed, n_groups=15, q=2, icc_sd=1.0, sizes=(1, 7), slope_sd=0.5):
    """Unbalanced groups, some with one row; columns const, two session-level, one group-level; Z the
    first q."""
    rng = np.random.default_rng(seed)
    size = rng.integers(*sizes, n_groups)
    while size.sum() <= n_groups * q + 8:
        size[rng.integers(n_groups)] += 2
    group = np.repeat(np.arange(n_groups), size)
    n = len(group)
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2)), rng.normal(size=n_groups)[group]])
    sd = np.array([icc_sd, slope_sd, slope_sd])[:q]
    effects = rng.normal(size=(n_groups, q)) * sd
    y = X @ rng.normal(0, 0.5, 4) + (X[:, :q] * effects[group]).sum(axis=1) + rng.normal(size=n)
    return y, X, group, X[:, :q].copy()
