"""Tests and intervals of the mean slopes on the number of studies.

Hartung and Knapp's: K times ``sum e_s'T_s^-1 e_s / (q (k - 1))``, the studies' distance from the mean slopes in units of
what the model expects of it (Jackson & Riley 2014, doi:10.1002/sim.5957), with k - 1 degrees of freedom; for one slope
it is what a two-stage analysis has at the same variance between studies.

Kenward and Roger's (1997, doi:10.2307/2533558): between the studies the model is ``b_s ~ N(beta, Sigma + S_s)``. The S_s
rest on all patients of a study and count as known; Sigma rests on the k studies. With ``W_s = T_s^-1``, H = sum W_s,
K = H^-1 and V the inverse of the expected information of Sigma's entries (as free, also where Sigma is at a bound), the
covariance of beta is ``K + 2 K [sum_ab V_ab (Q_ab - P_a K P_b)] K``, ``P_a = -sum W E_a W``, ``Q_ab = sum W E_a W E_b W``,
and the degrees of freedom of a coefficient are ``2 K_jj^2 / (g'V g)``, g the derivatives of K_jj. Studies of equal size
give k - 1.
"""

import numpy as np

from twostage.stats.onestage.likelihood import State, lower_entries

INFERENCES = ("hartung-knapp", "kenward-roger", "wald")


def infer(state: State, inference: str) -> tuple[np.ndarray, np.ndarray]:
    """Covariance (q, q) and degrees of freedom (q,) of the mean slopes by one of :data:`INFERENCES`."""
    k, q = state.own.slope.shape
    if inference == "kenward-roger":
        return kenward_roger(state.W, state.K)
    if inference == "wald":
        return state.K, np.full(q, np.inf)
    e = state.apart
    factor = np.einsum("ki,kij,kj->", e, state.W, e) / (q * (k - 1))
    return factor * state.K, np.full(q, k - 1.0)


def kenward_roger(W: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance (q, q) and degrees of freedom (q,) of the mean slopes.

    Parameters
    ----------
    W : (k, q, q) array
    K : (q, q) array
    """
    lower = lower_entries(len(K))
    E = np.array([e if np.trace(e) else e + e.T for e in lower])
    WE = W[:, None] @ E
    first = WE @ W[:, None]
    P = -first.sum(axis=0)
    Q = np.einsum("kaij,kbjl->abil", WE, first)
    traces = np.einsum("kaij,kbji->ab", WE, WE)
    KP = K @ P
    information = 0.5 * (traces - 2.0 * np.einsum("ij,abji->ab", K, Q) + np.einsum("aij,bji->ab", KP, KP))
    V = np.linalg.pinv(information, hermitian=True)
    bias = np.einsum("ab,abij->ij", V, Q - P[:, None] @ K @ P[None])
    covariance = K + K @ (bias + bias.T) @ K
    gradient = -np.einsum("aij,jl->ail", KP, K)
    by_coefficient = np.einsum("ajj->ja", gradient)
    spread = np.einsum("ja,ab,jb->j", by_coefficient, V, by_coefficient)
    return covariance, 2.0 * np.diagonal(K) ** 2 / spread
