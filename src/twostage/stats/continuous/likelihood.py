"""The Gaussian likelihood of two variables of persons who were observed at times of their own.

``y_i(t) = mu + r_i + w_i(t) + m_it``: random intercepts r ~ N(0, B), the process w of process.py from N(0, W) at the
person's first time on, errors m ~ N(0, diag(E)). So ``Cov(y(t), y(s)) = B + e^(A(t-s)) P + e^(A t) (W - P) e^(A s)'`` for
t >= s, times since the first one, and E where they are the same. Persons with the same times and scores observed are one
group.
"""

from dataclasses import dataclass

import numpy as np

from twostage.stats.continuous.process import (
    SYMMETRIC,
    TINY,
    carried,
    carried_slopes,
    settled,
    settled_slopes,
)

# Of forward differences of the gradient, for variables of unit variance: rounding and the step's own error are both 1e-7.
_FORWARD = 1e-7


_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class Persons:
    """Persons of one panel, grouped.

    Attributes
    ----------
    rows : (n, 2T) array
        Scores x_1, y_1, x_2, ...; 0 where missing.
    group : (n,) array of int
    seen : (g, 2T) array
        1 where there is a score.
    count : (g,) array
    mean : (g, 2T) array
    cross : (g, 2T, 2T) array
        Cross-products about the group's mean.
    intervals : (D,) array
        Every interval between two times of a person, and 0.
    between : (pairs, g) array of int
        Which of them lies between the sessions of each pair (later, earlier).
    since : (g, T) array of int
        Which of them lies between a session and the person's first time.
    """

    rows: np.ndarray
    group: np.ndarray
    seen: np.ndarray
    count: np.ndarray
    mean: np.ndarray
    cross: np.ndarray
    intervals: np.ndarray
    between: np.ndarray
    since: np.ndarray


def group_persons(Y: np.ndarray, times: np.ndarray, unit: float) -> Persons:
    """Group persons with scores Y (n, T, 2) at times (n, T), NaN where there are none; intervals are in units."""
    n, T, _ = Y.shape
    rows = Y.reshape(n, 2 * T)
    seen = ~np.isnan(rows)
    rows = np.where(seen, rows, 0.0)
    start = np.nanmin(times, axis=1, keepdims=True)
    elapsed = np.where(np.isnan(times), 0.0, times - start)
    alike, group = np.unique(np.column_stack([elapsed, seen]), axis=0, return_inverse=True)
    group = group.ravel()
    elapsed, mask = alike[:, :T], alike[:, T:]
    count = np.bincount(group).astype(float)
    mean = np.zeros((len(alike), 2 * T))
    np.add.at(mean, group, rows)
    mean /= count[:, None]
    off = rows - mean[group]
    cross = np.zeros((len(alike), 2 * T, 2 * T))
    np.add.at(cross, group, off[:, :, None] * off[:, None, :])
    later, earlier = np.tril_indices(T)
    # A pair of which one was not observed has no interval of its own; its sign does not matter.
    gaps = np.abs(elapsed[:, later] - elapsed[:, earlier])
    intervals, places = np.unique(np.concatenate([gaps, elapsed], axis=1), return_inverse=True)
    places = places.reshape(len(alike), -1)
    pairs = len(later)
    return Persons(
        rows, group, mask, count, mean, cross, intervals / unit, places[:, :pairs].T.copy(), places[:, pairs:]
    )


@dataclass(frozen=True)
class ContinuousLikelihood:
    """Minus log-likelihood in theta (K,), profiled over the means.

    theta: A row by row; Psi, then W if `free_start`, then B, each xx, xy, yy; E_x and E_y if `error`.

    Attributes
    ----------
    persons : Persons
    design : (2T, q) array
        Which mean each score has.
    free_start, error : bool
    """

    persons: Persons
    design: np.ndarray
    free_start: bool
    error: bool

    @property
    def places(self) -> dict[str, slice]:
        """Where in theta each matrix stands."""
        widths = {"drift": 4, "residual": 3, "first": 3 * self.free_start, "intercept": 3}
        widths |= {"error": 2 * self.error}
        found, at = {}, 0
        for name, width in widths.items():
            found[name] = slice(at, at + width)
            at += width
        return found

    @property
    def size(self) -> int:
        """Parameters besides the means."""
        return max(place.stop for place in self.places.values())

    def matrices(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """A, Psi, W, B (2, 2) and E (2,) of theta, and P."""
        places = self.places
        out = {name: np.tensordot(theta[places[name]], SYMMETRIC, 1) for name in ("residual", "intercept")}
        out["drift"] = theta[places["drift"]].reshape(2, 2)
        out["spread"] = settled(out["drift"], out["residual"])
        first = np.tensordot(theta[places["first"]], SYMMETRIC, 1) if self.free_start else out["spread"]
        error = theta[places["error"]] if self.error else np.zeros(2, dtype=theta.dtype)
        return out | {"first": first, "error": error}

    def covariances(self, theta: np.ndarray) -> np.ndarray:
        """Sigma (g, 2T, 2T) of each group's scores, the identity at those it has not; takes complex numbers."""
        persons, m = self.persons, self.matrices(theta)
        g, T = persons.since.shape
        later, earlier = np.tril_indices(T)
        flow = carried(m["drift"], persons.intervals)
        blocks = (flow @ m["spread"])[persons.between]
        sigma = np.empty((g, T, 2, T, 2), dtype=blocks.dtype)
        sigma[:, later, :, earlier, :] = blocks
        sigma[:, earlier, :, later, :] = np.swapaxes(blocks, -1, -2)
        sigma = sigma.reshape(g, 2 * T, 2 * T)
        if self.free_start:
            since = flow[persons.since].reshape(g, 2 * T, 2)
            sigma += since @ (m["first"] - m["spread"]) @ np.swapaxes(since, 1, 2)
        sigma += np.tile(m["intercept"], (T, T)) + np.diag(np.tile(m["error"], T))
        both = persons.seen[:, :, None] * persons.seen[:, None, :]
        return sigma * both + (1.0 - persons.seen)[:, :, None] * np.eye(2 * T)

    def means(self, inverse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means (q,) by generalized least squares, and their information, of Sigma's inverses (g, 2T, 2T)."""
        persons = self.persons
        weights = inverse * (persons.count[:, None] * persons.seen)[:, :, None] * persons.seen[:, None, :]
        information = self.design.T @ weights.sum(axis=0) @ self.design
        right = self.design.T @ np.einsum("gab,gb->a", weights, persons.mean)
        return np.linalg.solve(information, right), information

    def value_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray] | None:
        """Value and gradient (K,); None where a Sigma is not positive definite."""
        # Steps too long overflow; nobody goes there.
        with np.errstate(all="ignore"):
            try:
                sigma = self.covariances(theta)
                factor = np.linalg.cholesky(sigma)
                inverse = np.linalg.inv(sigma)
                mean = self.means(inverse)[0]
            except np.linalg.LinAlgError:
                return None
            persons = self.persons
            off = (persons.mean - self.design @ mean) * persons.seen
            square = persons.cross + persons.count[:, None, None] * off[:, :, None] * off[:, None, :]
            part = inverse @ square
            logs = np.log(np.einsum("gaa->ga", factor)).sum(axis=1)
            value = float((persons.count * (0.5 * _LOG_2PI * persons.seen.sum(axis=1) + logs)).sum())
            value += 0.5 * float(np.einsum("gaa->", part))
            slope = 0.5 * (persons.count[:, None, None] * inverse - part @ inverse)
            slope *= persons.seen[:, :, None] * persons.seen[:, None, :]
            gradient = self._pulled_back(theta, slope)
        return (value, gradient) if np.isfinite(value) and np.isfinite(gradient).all() else None

    def _pulled_back(self, theta: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """The gradient (K,) from the derivatives (g, 2T, 2T) in each Sigma."""
        persons, m, places = self.persons, self.matrices(theta), self.places
        g, T = persons.since.shape
        D = len(persons.intervals)
        later, earlier = np.tril_indices(T)
        flow = carried(m["drift"], persons.intervals)
        blocks = slope.reshape(g, T, 2, T, 2)
        pairs = blocks[:, later, :, earlier, :] * (2.0 - (later == earlier))[:, None, None, None]
        of_blocks = _gathered(persons.between, pairs, D)
        of_flow = of_blocks @ m["spread"]
        of_spread = np.einsum("dij,dik->jk", flow, of_blocks)
        gradient = np.zeros(len(theta))
        if self.free_start:
            since = flow[persons.since].reshape(g, 2 * T, 2)
            bent = slope @ since
            of_first = np.einsum("gai,gaj->ij", since, bent)
            of_since = 2.0 * bent @ (m["first"] - m["spread"])
            of_flow += _gathered(persons.since, of_since.reshape(g, T, 2, 2), D)
            of_spread = of_spread - of_first
            gradient[places["first"]] = np.einsum("kij,ij->k", SYMMETRIC, of_first)
        gradient[places["drift"]] = np.einsum(
            "kdij,dij->k", carried_slopes(m["drift"], persons.intervals), of_flow
        )
        both = np.einsum("kij,ij->k", settled_slopes(m["drift"], m["residual"]), of_spread)
        gradient[places["drift"]] += both[:4]
        gradient[places["residual"]] = both[4:]
        gradient[places["intercept"]] = np.einsum("kij,gtisj->k", SYMMETRIC, blocks, optimize=True)
        if self.error:
            gradient[places["error"]] = np.einsum("gtiti->i", blocks)
        return gradient

    def criterion(self, theta: np.ndarray):
        """Log-likelihood, gradient, second derivatives and information, for :func:`twostage.stats.base.maximise`."""
        at = self.value_and_gradient(theta)
        second = None if at is None else self.second_derivatives(theta, at[1])
        return None if at is None or second is None else (-at[0], -at[1], -second, second)

    def second_derivatives(self, theta: np.ndarray, gradient: np.ndarray) -> np.ndarray | None:
        """Second derivatives (K, K) by forward differences of the gradient; None where it has no neighbours."""
        rows = []
        for k in range(len(theta)):
            moved = theta.copy()
            moved[k] += _FORWARD
            at = self.value_and_gradient(moved)
            if at is None:
                return None
            rows.append((at[1] - gradient) / (moved[k] - theta[k]))
        second = np.array(rows)
        return 0.5 * (second + second.T)

    def scores(self, theta: np.ndarray) -> np.ndarray:
        """Each person's derivatives (n, K) of the log-likelihood, those of the means swept out."""
        persons = self.persons
        inverse = np.linalg.inv(self.covariances(theta))
        mean, information = self.means(inverse)
        off = (persons.rows - self.design @ mean) * persons.seen[persons.group]
        bent = np.einsum("nab,nb->na", inverse[persons.group], off)
        of_mean = bent @ self.design
        out = np.empty((len(off), len(theta)))
        for k in range(len(theta)):
            moved = theta.astype(complex)
            moved[k] += 1j * TINY
            change = self.covariances(moved).imag / TINY
            trace = np.einsum("gab,gab->g", inverse, change)
            turned = np.einsum("nab,nb->na", change[persons.group], bent)
            own = 0.5 * ((bent * turned).sum(axis=1) - trace[persons.group])
            # The means move with theta, by what makes their own score 0.
            moves = np.einsum("nab,nb->na", inverse[persons.group], turned).sum(axis=0) @ self.design
            out[:, k] = own - of_mean @ np.linalg.solve(information, moves)
        return out


def _gathered(places: np.ndarray, blocks: np.ndarray, D: int) -> np.ndarray:
    """Sums (D, 2, 2) of blocks (..., 2, 2) by their places."""
    flat, at = blocks.reshape(-1, 4), places.ravel()
    return np.column_stack([np.bincount(at, flat[:, j], D) for j in range(4)]).reshape(D, 2, 2)
