"""The panel model with measurement error and own lines as a covariance structure."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from twostage.stats.fiml import STEP
from twostage.stats.riclpm.model import covariances_by_distance, start_parts

# Of starting values: the errors' share of the variance within persons, and the variance of slopes over that of a slope
# that makes up for it.
_ERROR = 0.25


_SLOPE = 0.1


@dataclass(frozen=True)
class LatentStructure:
    """``y_t = mu_t + r + (t - 1) s + w_t + m_t``, ``w_{t+1} = Phi w_t + e_{t+1}``, m_t ~ N(0, diag(E)).

    Observed columns are y_1 (x, y), y_2 (x, y), ...; the line (r, s), w_1, e and m are uncorrelated. Parameters in order:
    G, the covariance matrix of the line (r_x, r_y, with `lines` s_x, s_y; its lower triangle row by row), Phi row by row,
    W (xx, yx, yy) of w_1, Q of e, and those of E that are free.

    Attributes
    ----------
    occasions : int
    lines : bool
        Whether there are slopes s.
    error : (str, str)
        Of each variable: `none`; `free`, an error variance that is a parameter; `ratio`, one that is a given multiple
        of a variance of true scores, which the parameters imply.
    total : bool
        Which variance: that of all true scores, or (False) their variance within persons. Both as averages over
        occasions; a person's own line counts as variance within, as far as it is no level.
    ratios : (2,) or (2, n) array
        The multiples; one pair, or one for each parameter vector.
    """

    occasions: int
    lines: bool
    error: tuple[str, str]
    total: bool = False
    ratios: np.ndarray = field(default_factory=lambda: np.zeros(2), compare=False)

    @property
    def n_line(self) -> int:
        """Dimensions of the line: 2, or 4."""
        return 4 if self.lines else 2

    @property
    def n_first(self) -> int:
        """Place of Phi: parameters of G."""
        return self.n_line * (self.n_line + 1) // 2

    @property
    def free(self) -> tuple[int, ...]:
        """Variables with an error variance among the parameters."""
        return tuple(v for v in (0, 1) if self.error[v] == "free")

    @property
    def n_parameters(self) -> int:
        """Length of theta."""
        return self.n_first + 10 + len(self.free)

    @property
    def curved(self) -> tuple[int, ...]:
        """Parameters in which Sigma is not linear when the others are held: the lag coefficients."""
        return tuple(range(self.n_first, self.n_first + 4))

    def without(self, variables) -> "LatentStructure":
        """The structure with the error variances of these variables at 0."""
        return replace(self, error=tuple("none" if v in variables else self.error[v] for v in (0, 1)))

    def at(self, sets) -> "LatentStructure":
        """The structure for some of the parameter vectors, if they have ratios of their own."""
        return replace(self, ratios=self.ratios[:, sets]) if self.ratios.ndim == 2 else self

    def kept(self, smaller) -> np.ndarray:
        """Places of the parameters of a structure :meth:`without` some error variances among this one's."""
        first = self.n_first + 10
        own = [first + at for at, v in enumerate(self.free) if v in smaller.free]
        return np.array([*range(first), *own])

    # Parameters last: theta (..., K), as `fiml` wants them.

    def sigma(self, theta):
        """Implied covariance matrix of the 2T columns, (..., 2T, 2T)."""
        flat, lead = _flat(theta)
        return np.moveaxis(self.sigma_of(flat), -1, 0).reshape(*lead, *2 * [2 * self.occasions])

    def jacobian(self, theta):
        """Its derivatives, (..., K, 2T, 2T), by complex step."""
        theta = np.asarray(theta)
        moved = theta[..., None, :] + 1j * STEP * np.eye(theta.shape[-1])
        return self.sigma(moved).imag / STEP

    def pullback(self, theta, G):
        """Inner products of the derivatives with symmetric matrices G (..., 2T, 2T), (..., K)."""
        theta = np.asarray(theta)
        lead = np.broadcast_shapes(theta.shape[:-1], np.shape(G)[:-2])
        flat, _ = _flat(np.broadcast_to(theta, (*lead, theta.shape[-1])))
        p = 2 * self.occasions
        slope = np.moveaxis(np.broadcast_to(G, (*lead, p, p)).reshape(-1, p, p), 0, -1)
        return self.pulled_back(flat, slope).T.reshape(*lead, -1)

    def phi(self, theta):
        """Lag coefficients, (..., 2, 2)."""
        return theta[..., self.n_first : self.n_first + 4].reshape(*theta.shape[:-1], 2, 2)

    def line(self, theta):
        """Covariance matrix G of intercepts and slopes, (..., 2, 2) or (..., 4, 4)."""
        rows, cols = _triangle(self.n_line)
        out = np.empty((*theta.shape[:-1], self.n_line, self.n_line), dtype=theta.dtype)
        out[..., rows, cols] = out[..., cols, rows] = theta[..., : self.n_first]
        return out

    def first_within(self, theta):
        """Covariance matrix W of w_1, (..., 2, 2)."""
        return theta[..., self.n_first + np.array([[4, 5], [5, 6]])]

    def innovations(self, theta):
        """Covariance matrix Q of e, (..., 2, 2)."""
        return theta[..., self.n_first + np.array([[7, 8], [8, 9]])]

    def errors(self, theta):
        """Error variances, (..., 2)."""
        flat, lead = _flat(theta)
        return np.moveaxis(self._errors(flat, *self._true(flat)), -1, 0).reshape(*lead, 2)

    def true_variances(self, theta):
        """Variances of true scores within persons and in all, averaged over occasions, (..., 2) each."""
        flat, lead = _flat(theta)
        G, columns = self._true(flat)
        both = (replace(self, total=total)._averages(G, columns) for total in (False, True))
        return tuple(np.moveaxis(one, -1, 0).reshape(*lead, 2) for one in both)

    # Parameters first: theta (K, n), matrices (., ., n); complex ones too.

    def sigma_of(self, theta):
        """Sigma, (2T, 2T, n)."""
        G, columns = self._true(theta)
        out = _twice(_loadings(self.occasions, self.lines), G)
        for t, column in enumerate(columns):
            out[: 2 * t + 2, 2 * t : 2 * t + 2] += column
            out[2 * t : 2 * t + 2, : 2 * t] += column[: 2 * t].swapaxes(0, 1)
        every = np.arange(2 * self.occasions)
        out[every, every] += np.tile(self._errors(theta, G, columns), (self.occasions, 1))
        return out

    def pulled_back(self, theta, slope):
        """Inner products of the derivatives of Sigma with symmetric `slope` (2T, 2T, n), (K, n)."""
        G, columns = self._true(theta)
        T, f = self.occasions, self.n_first
        Phi = theta[f : f + 4].reshape(2, 2, -1)
        by_G = _twice(_loadings(T, self.lines).T, slope)
        by_E = np.einsum("ttn->tn", slope).reshape(T, 2, -1).sum(axis=0)
        by_Phi, by_Q = np.zeros_like(Phi * slope[0, 0]), np.zeros_like(Phi * slope[0, 0])
        shared = np.zeros_like(by_Q)
        for v in (0, 1):
            if self.error[v] == "ratio":
                scaled = self._ratio(v, theta.shape[1]) * by_E[v]
                shared[v, v] = scaled / T
                own = slice(v, None, 2)
                by_G[own, own] = by_G[own, own] + self._weights()[:, :, None] * scaled
        pull = np.zeros((2 * T, 2, theta.shape[1]), dtype=np.result_type(theta, slope))
        for t in reversed(range(T)):
            pull[: 2 * t] += 2.0 * slope[: 2 * t, 2 * t : 2 * t + 2]
            pull[2 * t : 2 * t + 2] += slope[2 * t : 2 * t + 2, 2 * t : 2 * t + 2] + shared
            if t == 0:
                break
            # column_t = (column_t-1 Phi', Phi W_t-1 Phi' + Q)
            own, before = pull[2 * t : 2 * t + 2], columns[t - 1]
            within = before[-2:]
            by_Q += own
            by_Phi += _mul(own + own.swapaxes(0, 1), _mul(Phi, within)) + np.einsum(
                "ain,abn->bin", before, pull[: 2 * t]
            )
            pull = np.einsum("abn,bin->ain", pull[: 2 * t], Phi)
            pull[-2:] += np.einsum("ain,ajn->ijn", Phi, _mul(own, Phi))
        rows, cols = _triangle(self.n_line)
        twice = np.where(rows == cols, 1.0, 2.0)[:, None]
        parts = [by_G[rows, cols] * twice, by_Phi.reshape(4, -1), _three(pull), _three(by_Q)]
        return np.concatenate([*parts, by_E[list(self.free)]])

    def _true(self, theta):
        """G, and cov((w_1 .. w_t), w_t) of every t, (2t, 2, n)."""
        f, n = self.n_first, theta.shape[1]
        G = np.moveaxis(self.line(theta.T), 0, -1)
        Phi = theta[f : f + 4].reshape(2, 2, n)
        W, Q = (theta[f + np.array([[at, at + 1], [at + 1, at + 2]])] for at in (4, 7))
        columns = [W]
        for _ in range(1, self.occasions):
            lagged = np.einsum("abn,ibn->ain", columns[-1], Phi)
            columns.append(np.concatenate([lagged, _mul(Phi, lagged[-2:]) + Q]))
        return G, columns

    def _averages(self, G, columns):
        """Variances of the true scores, (2, n): in all or within persons."""
        within = sum(np.einsum("vvn->vn", column[-2:]) for column in columns) / self.occasions
        line = [np.einsum("gh,ghn->n", self._weights(), G[v::2, v::2]) for v in (0, 1)]
        return within + np.array(line)

    def _weights(self):
        """What (r, s) of a variable add to it, as weights of their covariance matrix."""
        load = _loadings(self.occasions, self.lines)[::2, ::2]
        mean = load.mean(axis=0)
        return load.T @ load / self.occasions - (0.0 if self.total else np.outer(mean, mean))

    def _errors(self, theta, G, columns):
        out = np.zeros((2, theta.shape[1]), dtype=theta.dtype)
        out[list(self.free)] = theta[self.n_first + 10 :]
        if "ratio" in self.error:
            average = self._averages(G, columns)
            for v in (0, 1):
                if self.error[v] == "ratio":
                    out[v] = self._ratio(v, theta.shape[1]) * average[v]
        return out

    def _ratio(self, v, n):
        """The multiples of n parameter vectors; these are the vectors of each panel one after the other."""
        ratios = self.ratios[v]
        return np.repeat(ratios, n // max(len(ratios), 1)) if np.ndim(ratios) else ratios

    def names(self, variables):
        """Names of theta for two variables' names."""
        line = [f"{part}_{v}" for part in ("intercept", "slope")[: self.n_line // 2] for v in variables]
        out = [
            f"var({line[i]})" if i == j else f"cov({line[j]},{line[i]})"
            for i, j in zip(*np.tril_indices(self.n_line), strict=True)
        ]
        x, y = variables
        out += [f"{b}->{a}" for a in variables for b in variables]
        for part in ("first", "residual"):
            out += [f"var({part}_{x})", f"cov({part}_{x},{part}_{y})", f"var({part}_{y})"]
        return (*out, *(f"var(error_{variables[v]})" for v in self.free))

    def scales(self, spread):
        """Units of theta for variables in units of `spread` (..., 2): theta of the raw data over the scaled data's."""
        a, b = spread[..., 0], spread[..., 1]
        line = np.stack([a, b] * (self.n_line // 2), axis=-1)
        rows, cols = np.tril_indices(self.n_line)
        covs = np.stack([a * a, a * b, b * b], axis=-1)
        paths = np.stack([np.ones_like(a), a / b, b / a, np.ones_like(a)], axis=-1)
        errors = [spread[..., [v]] ** 2 for v in self.free]
        return np.concatenate([line[..., rows] * line[..., cols], paths, covs, covs, *errors], axis=-1)


@dataclass(frozen=True)
class Held:
    """A structure with one parameter held at a value; theta is the others."""

    base: LatentStructure
    place: int
    value: float

    @property
    def curved(self) -> tuple[int, ...]:
        """As of the structure."""
        return tuple(k - (k > self.place) for k in self.base.curved if k != self.place)

    def whole(self, theta):
        """theta with the parameter held."""
        return np.insert(np.asarray(theta), self.place, self.value, axis=-1)

    def sigma(self, theta):
        """Implied covariance matrix."""
        return self.base.sigma(self.whole(theta))

    def jacobian(self, theta):
        """Its derivatives."""
        return np.delete(self.base.jacobian(self.whole(theta)), self.place, axis=-3)

    def pullback(self, theta, G):
        """Inner products of the derivatives with symmetric matrices."""
        return np.delete(self.base.pullback(self.whole(theta), G), self.place, axis=-1)


def latent_starts(structure, patterns, share=_ERROR, *, persistent=False):
    """Starting values (b, K) from pairwise covariances averaged over occasions, for data with unit variances.

    Parameters
    ----------
    share : float
        Of the variance within persons, that is taken for error where the error variance is free.
    persistent : bool
        As of :func:`twostage.stats.riclpm.model.starting_values`.
    """
    T, b = structure.occasions, patterns.n_sets
    ratios = np.broadcast_to(structure.ratios.reshape(2, -1), (2, b))
    shares = [
        {"none": 0.0 * r, "free": share + 0.0 * r}.get(e, r / (1.0 + r))
        for e, r in zip(structure.error, ratios, strict=True)
    ]
    shares = np.array(shares).T
    between, within, phi, residual = start_parts(*covariances_by_distance(T, patterns), persistent, shares)
    error = np.einsum("bvv->bv", within) * shares / (1.0 - shares)
    line = np.zeros((b, structure.n_line, structure.n_line))
    line[:, :2, :2] = between
    if structure.lines:
        line[:, 2:, 2:] = _SLOPE * within / np.var(np.arange(T))
        line[:, :2, 2:] = line[:, 2:, :2] = -line[:, 2:, 2:] * (T - 1) / 2
    rows, cols = np.tril_indices(structure.n_line)
    parts = [line[:, rows, cols], phi.reshape(b, 4), _last_three(within), _last_three(residual)]
    return np.concatenate([*parts, error[:, list(structure.free)]], axis=1)


@lru_cache(maxsize=32)
def _loadings(occasions, lines):
    """Of the columns on the line, (2T, 2 or 4)."""
    time = np.arange(float(occasions))
    base = np.column_stack([np.ones_like(time), time]) if lines else np.ones((occasions, 1))
    return np.kron(base, np.eye(2))


@lru_cache(maxsize=4)
def _triangle(size):
    return np.tril_indices(size)


def _twice(a, matrices):
    """a M a' of symmetric matrices (m, m, n)."""
    return np.tensordot(a, np.tensordot(a, matrices, axes=(1, 0)), axes=(1, 1))


def _flat(theta):
    """theta (..., K) as (K, n), and its leading shape."""
    theta = np.asarray(theta)
    return theta.reshape(-1, theta.shape[-1]).T, theta.shape[:-1]


def _mul(a, b):
    return np.einsum("ijn,jkn->ikn", a, b)


def _three(matrix):
    """(2, 2, n) pulled back to a symmetric matrix's three elements."""
    return np.stack([matrix[0, 0], matrix[0, 1] + matrix[1, 0], matrix[1, 1]])


def _last_three(matrices):
    return matrices[..., [0, 1, 1], [0, 0, 1]]
