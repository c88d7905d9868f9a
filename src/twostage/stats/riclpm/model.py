"""The random-intercept cross-lagged panel model of two variables: the panels that it can be fitted to, its covariance
structure and its starting values.
"""

from dataclasses import dataclass, field, fields, replace
from functools import lru_cache

import numpy as np

from twostage.stats.base import NotEstimable, real_array
from twostage.stats.fiml import STEP, LinearStructure, sums

FEWEST_OCCASIONS = 3


# Relative: a variable that varies less is constant; two variables correlated closer to 1 are one.
SAME = 1e-10


_SHOWN = 5


def check_variables(variables):
    """The names of the two variables as strings; they must differ."""
    variables = tuple(str(name) for name in variables)
    if len(set(variables)) != 2 or len(variables) != 2:
        raise ValueError(f"two different names of variables are needed, got {variables}")
    return variables


def common_occasions(sets):
    """How many occasions the data sets (n, T, 2) have, at least as many as a model needs."""
    occasions = {np.shape(Y)[1] for Y in sets if np.ndim(Y) == 3}
    if len(sets) == 0 or len(occasions) > 1:
        raise ValueError(f"data sets must have the same number of occasions; found {sorted(occasions)}")
    return max([*occasions, FEWEST_OCCASIONS])


@dataclass(frozen=True)
class Stacked:
    """Panels of the right shape and size, one under the other.

    Attributes
    ----------
    rows : (n, 2T) array
        Persons with an observation; columns x_1, y_1, x_2, ..., NaN where missing.
    seen : (n, 2T) array of bool
        Where they are not missing.
    set_of : (n,) array of int
        Place of the person's panel in `kept`, ascending.
    kept : (b,) array of int
        Places of the panels among those given.
    dropped : (b,) array of int
        Persons without any observation.
    refused : dict of int to ValueError
        Panels that cannot be fitted, and why not.
    """

    rows: np.ndarray
    seen: np.ndarray
    set_of: np.ndarray
    kept: np.ndarray
    dropped: np.ndarray
    refused: dict

    def select(self, sets):
        """The panels marked in the boolean array `sets` (b,), renumbered."""
        if sets.all():
            return self
        if not sets.any():
            return Stacked(*(getattr(self, f.name)[:0] for f in fields(self)[:-1]), self.refused)
        used = sets[self.set_of]
        number = (np.cumsum(sets) - 1)[self.set_of[used]]
        return Stacked(
            self.rows[used], self.seen[used], number, self.kept[sets], self.dropped[sets], self.refused
        )


@dataclass(frozen=True)
class Panels:
    """The panels that can be fitted, one under the other.

    Attributes
    ----------
    rows : (n, 2T) array
        Persons with an observation; columns x_1, y_1, x_2, ..., each variable divided by its panel's `spread`, NaN where
        missing.
    set_of : (n,) array of int
        Place of the person's panel in `kept`, ascending.
    kept : (b,) array of int
        Places of the panels among those given.
    spread : (b, 2) array
        Pooled standard deviations about the occasions' means.
    dropped : (b,) array of int
        Persons without any observation.
    n_values : (b, 2) array of int
        Observed values of each variable.
    refused : dict of int to ValueError
        Panels that cannot be fitted, and why not.
    """

    rows: np.ndarray
    set_of: np.ndarray
    kept: np.ndarray
    spread: np.ndarray
    dropped: np.ndarray
    n_values: np.ndarray
    refused: dict


def check_panels(sets, variables, n_parameters) -> Panels:
    """Check panels Y (n, T, 2), T the same for all, for a model of `n_parameters` besides the means.

    Notes
    -----
    Refused are, as ValueError: wrong shapes, fewer than three occasions, infinite values (their places are named); as
    NotEstimable: too few persons, a variable that never varies (at all, or within persons), two variables that are one,
    nobody with a variable at an occasion and a variable at the next.
    """
    return check_stacked(stack_panels(sets, variables, n_parameters), variables)


def stack_panels(sets, variables, n_parameters) -> Stacked:
    """The first half of :func:`check_panels`: shapes, infinite values, numbers of persons."""
    refused, arrays = {}, {}
    for b, Y in enumerate(sets):
        try:
            arrays[b] = _array(Y, variables)
        except ValueError as error:
            refused[b] = error
    given = np.array(list(arrays), dtype=int)
    if not arrays:
        return Stacked(np.empty((0, 0)), np.empty((0, 0), dtype=bool), given, given, given, refused)
    rows = np.concatenate([Y.reshape(len(Y), 2 * Y.shape[1]) for Y in arrays.values()])
    lengths = np.array([len(Y) for Y in arrays.values()])
    place = np.repeat(np.arange(len(given)), lengths)
    seen = ~np.isnan(rows)
    someone = seen[:, 0] if seen[:, 0].all() else seen.any(axis=1)
    sizes = np.bincount(place[someone], minlength=len(given))
    for b in np.flatnonzero(sizes <= n_parameters):
        text = f"{sizes[b]} persons with an observation for {n_parameters} parameters besides the means"
        refused[int(given[b])] = NotEstimable(text)
    stacked = Stacked(rows, seen, place, given, lengths - sizes, refused)
    if not someone.all():
        stacked = replace(stacked, rows=rows[someone], seen=seen[someone], set_of=place[someone])
    return stacked.select(sizes > n_parameters)


def only_dropout(seen, set_of, b):
    """In which of b panels everybody has both variables up to some occasion and nothing after it, (b,) bool."""
    if seen.all():
        return np.ones(b, dtype=bool)
    otherwise = seen[:, ::2] != seen[:, 1::2]
    otherwise[:, 1:] |= seen[:, 2::2] > seen[:, :-2:2]
    return ~np.logical_or.reduceat(otherwise, np.searchsorted(set_of, np.arange(b)), axis=0).any(axis=1)


def check_stacked(stacked, variables) -> Panels:
    """The second half of :func:`check_panels`: what the values themselves must be like."""
    refused = stacked.refused
    if not len(stacked.kept):
        return Panels(*[np.empty(0)] * 6, refused)
    found = _Moments(stacked.rows, stacked.seen, stacked.set_of, len(stacked.kept))
    faults = found.faults(variables)
    refused |= {int(stacked.kept[b]): NotEstimable(fault) for b, fault in faults.items()}
    good = np.array([b not in faults for b in range(len(stacked.kept))])
    chosen, spread = stacked.select(good), found.spread[good]
    rows = chosen.rows
    if len(spread):
        rows = rows / np.tile(spread, rows.shape[1] // 2)[chosen.set_of]
    return Panels(rows, chosen.set_of, chosen.kept, spread, chosen.dropped, found.n_values[good], refused)


def _array(Y, variables):
    Y = real_array(Y, "Y")
    if Y.ndim != 3 or Y.shape[2] != 2:
        raise ValueError(f"Y must be (persons, occasions, 2 variables), got {Y.shape}")
    if Y.shape[1] < FEWEST_OCCASIONS:
        raise ValueError(f"the model needs at least {FEWEST_OCCASIONS} occasions, got {Y.shape[1]}")
    if np.isinf(Y).any():
        at = np.argwhere(np.isinf(Y))
        named = [f"person {i}, occasion {t + 1}, {variables[v]}: {Y[i, t, v]}" for i, t, v in at[:_SHOWN]]
        more = f"; and {len(at) - _SHOWN} more" if len(at) > _SHOWN else ""
        raise ValueError(f"values must be finite, or NaN where missing: {'; '.join(named)}{more}")
    return Y


class _Moments:
    """Second moments about occasion means of panels one under the other, columns x_1, y_1, x_2, ..."""

    def __init__(self, rows, seen, place, n):
        def total(values):
            """Sums over each panel's persons."""
            return sums(values, place, n)

        def per_variable(columns):
            """Sums over occasions."""
            return columns.reshape(n, -1, 2).sum(axis=1)

        pick = np.tile(np.eye(2), (rows.shape[1] // 2, 1))
        filled, one = np.where(seen, rows, 0.0), seen.astype(float)
        per_column = total(one)
        deviation = (filled - (total(filled) / np.maximum(per_column, 1.0))[place]) * one
        self.n_values = per_variable(per_column)
        counts = np.maximum(self.n_values, 1.0)
        squares = deviation**2
        self.spread = np.sqrt(per_variable(total(squares)) / counts)
        own = (filled @ pick) / np.maximum(one @ pick, 1.0)
        self.inside = np.sqrt(per_variable(total((filled - own @ pick.T) ** 2 * one)) / counts)
        firsts = np.searchsorted(place, np.arange(n))
        self.size = np.maximum.reduceat(np.abs(filled), firsts, axis=0).reshape(n, -1, 2).max(axis=1)
        x, y = (deviation[:, v::2] for v in (0, 1))
        parts = (x * y, squares[:, ::2] * one[:, 1::2], squares[:, 1::2] * one[:, ::2])
        self.products = np.column_stack([total(part).sum(axis=1) for part in parts])
        self.transitions = np.empty((n, 2, 2), dtype=bool)
        for i, j in np.ndindex(2, 2):
            pair = seen[:, 2 + i :: 2] & seen[:, j:-2:2]
            self.transitions[:, i, j] = np.logical_or.reduceat(pair, firsts, axis=0).any(axis=1)

    def faults(self, variables):
        """Panel -> why the model cannot be fitted to it."""
        xy, xx, yy = self.products.T
        found = {}
        for b, v in np.argwhere(self.spread <= SAME * self.size):
            found.setdefault(int(b), f"{variables[v]} never varies between persons at any occasion")
        for b, v in np.argwhere(self.inside <= SAME * np.maximum(self.spread, self.size)):
            found.setdefault(int(b), f"{variables[v]} never varies within persons: there is nothing to lag")
        for b, i, j in np.argwhere(~self.transitions):
            found.setdefault(
                int(b), f"nobody has {variables[j]} at an occasion and {variables[i]} at the next"
            )
        for b in np.flatnonzero((xy**2 >= (1.0 - SAME) * xx * yy) & (xx * yy > 0.0)):
            found.setdefault(int(b), f"{' and '.join(variables)} are the same variable in other units")
        return found


_PAIRS = ((0, 0), (1, 0), (1, 1))  # variance, covariance, variance


# Bounds of starting values, as shares of the variables' variance: intercepts, within-person parts, norm of Phi.
_BETWEEN = (0.1, 0.8)


_WITHIN = (0.15, 2.0)


_STABLE = 0.7


# The same where much is carried over and little lasts: a second start, as far from the first as makes sense.
_PERSISTENT = ((0.02, 0.1), (0.02, 2.0), 1.35)


@dataclass(frozen=True)
class RiclpmStructure:
    """``y_t = mu_t + r + w_t``, ``w_{t+1} = Phi w_t + e_{t+1}``, r ~ N(0, R), w_1 ~ N(0, W), e_t ~ N(0, Q).

    Observed columns are y_1 (x, y), y_2 (x, y), ...; r is uncorrelated with w_1 and with e. Parameters in order:
    R (xx, yx, yy), Phi row by row (per transition if `lags` is free), W (absent if `first` is stationary), Q (per
    occasion from the second if `residuals` are free).

    Attributes
    ----------
    occasions : int
    residuals, lags : {"equal", "free"}
    first : {"free", "stationary"}
        Stationary: ``W = Phi W Phi' + Q``.
    """

    occasions: int
    residuals: str
    lags: str
    first: str
    base: LinearStructure = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        object.__setattr__(
            self, "base", _linear(self.occasions, self.residuals == "free", self.lags == "free")
        )

    @property
    def n_parameters(self) -> int:
        """Length of theta."""
        return self.base.n_parameters - (3 if self.first == "stationary" else 0)

    @property
    def curved(self) -> tuple[int, ...]:
        """Parameters in which Sigma is not linear when the others are held: the lag coefficients."""
        return self.base.curved

    @property
    def core(self):
        """What to maximise over: the linear structure itself unless the first occasion is derived."""
        return self.base if self.first == "free" else self

    def sigma(self, theta):
        """Implied covariance matrix of the 2T columns, (..., 2T, 2T)."""
        return self.base.sigma(self.full(theta))

    def jacobian(self, theta):
        """Its derivatives, (..., K, 2T, 2T)."""
        J = self.base.jacobian(self.full(theta))
        if self.first == "free":
            return J
        return np.einsum("...kf,...fab->...kab", self.full_jacobian(theta), J)

    def pullback(self, theta, G):
        """Inner products of the derivatives with symmetric matrices G, (..., K)."""
        pulled = self.base.pullback(self.full(theta), G)
        if self.first == "free":
            return pulled
        return np.einsum("...kf,...f->...k", self.full_jacobian(theta), pulled)

    def phi(self, theta):
        """Lag coefficients, (..., 2, 2), or (..., T - 1, 2, 2) if they are free."""
        theta = np.asarray(theta)
        free = (self.occasions - 1,) if self.lags == "free" else ()
        return theta[..., list(self.curved)].reshape(*theta.shape[:-1], *free, 2, 2)

    def intercepts(self, theta):
        """R, (..., 2, 2)."""
        return _symmetric(np.asarray(theta)[..., :3])

    def first_within(self, theta):
        """W, (..., 2, 2)."""
        at = 3 + len(self.curved)
        return _symmetric(self.full(theta)[..., at : at + 3])

    def innovations(self, theta):
        """Q, (..., 2, 2), or (..., T - 1, 2, 2) if free."""
        rest = self.full(theta)[..., 6 + len(self.curved) :]
        free = (self.occasions - 1,) if self.residuals == "free" else ()
        return _symmetric(rest.reshape(*rest.shape[:-1], *free, 3))

    def within(self, theta):
        """Covariance matrices of w_1 .. w_T, (..., T, 2, 2)."""
        latent = self.base.latent(self.full(theta))[..., 2:, 2:]
        blocks = latent.reshape(*latent.shape[:-2], self.occasions, 2, self.occasions, 2)
        return np.moveaxis(np.diagonal(blocks, axis1=-4, axis2=-2), -1, -3)

    def standardized(self, theta):
        """Lag coefficients in within-person standard deviations, per transition: (..., T - 1, 2, 2)."""
        return self.standardized_by(theta, self.within(theta))

    def standardized_by(self, theta, within):
        """The same for the covariance matrices `within` (..., T, 2, 2)."""
        spread = np.sqrt(np.diagonal(within, axis1=-2, axis2=-1))
        phi = self.phi(theta)
        phi = phi if self.lags == "free" else phi[..., None, :, :]
        return phi * spread[..., :-1, None, :] / spread[..., 1:, :, None]

    def full(self, theta):
        """theta with the first occasion's W, which a stationary model derives from Phi and Q."""
        theta = np.asarray(theta)
        if self.first == "free":
            return theta
        W = np.linalg.solve(self._lyapunov(theta), _spread(theta[..., 7:10])[..., None])[..., 0]
        return np.concatenate([theta[..., :7], W[..., [0, 2, 3]], theta[..., 7:]], axis=-1)

    def _lyapunov(self, theta):
        phi = self.phi(theta)
        return np.eye(4) - _kron(phi, phi)

    def full_jacobian(self, theta):
        """Derivatives of `full`, (..., K, K + 3)."""
        theta = np.asarray(theta)
        W, phi = self.first_within(theta), self.phi(theta)
        out = np.zeros((*theta.shape, 13), dtype=theta.dtype)
        out[..., range(7), range(7)] = 1.0
        out[..., [7, 8, 9], [10, 11, 12]] = 1.0
        right = np.zeros((*theta.shape, 4), dtype=theta.dtype)
        for k in range(4):
            d = np.zeros((2, 2))
            d[k // 2, k % 2] = 1.0
            moved = d @ W @ np.swapaxes(phi, -1, -2)
            right[..., 3 + k, :] = (moved + np.swapaxes(moved, -1, -2)).reshape(*theta.shape[:-1], 4)
        right[..., [7, 8, 9], :] = _spread(np.eye(3))
        solved = np.linalg.solve(self._lyapunov(theta)[..., None, :, :], right[..., None])[..., 0]
        out[..., 7:10] = solved[..., [0, 2, 3]]
        return out

    def names(self, variables):
        """Names of theta for two variables' names."""
        x, y = variables
        covs = [f"var({{0}}_{x})", f"cov({{0}}_{x},{{0}}_{y})", f"var({{0}}_{y})"]
        steps = range(2, self.occasions + 1)
        out = [c.format("intercept") for c in covs]
        arrows = [f"{b}->{a}" for a in (x, y) for b in (x, y)]
        out += [f"{a}[{t}]" for t in steps for a in arrows] if self.lags == "free" else arrows
        out += [c.format("first") for c in covs] if self.first == "free" else []
        residual = [c.format("residual") for c in covs]
        out += [f"{c}[{t}]" for t in steps for c in residual] if self.residuals == "free" else residual
        return tuple(out)

    def scales(self, spread):
        """Units of theta for variables in units of `spread` (..., 2): theta of the raw data over the scaled data's."""
        a, b = spread[..., 0], spread[..., 1]
        covs = np.stack([a * a, a * b, b * b], axis=-1)
        paths = np.stack([np.ones_like(a), a / b, b / a, np.ones_like(a)], axis=-1)
        times = self.occasions - 1
        parts = [covs, np.tile(paths, times if self.lags == "free" else 1)]
        parts += [covs] if self.first == "free" else []
        return np.concatenate([*parts, np.tile(covs, times if self.residuals == "free" else 1)], axis=-1)


@lru_cache(maxsize=32)
def riclpm_structure(occasions, residuals, lags, first) -> RiclpmStructure:
    """The structure, made once for all fits that ask for the same."""
    return RiclpmStructure(occasions, residuals, lags, first)


def standardized_expansion(structure, theta):
    """Of one theta (K,): covariances `within` (T, 2, 2), standardized coefficients (T - 1, 2, 2), derivatives of these
    (K, T - 1, 2, 2), by complex step.
    """
    moved = np.asarray(theta, dtype=complex) + 1j * STEP * np.eye(len(theta))
    within = structure.within(moved)
    found = structure.standardized_by(moved, within)
    return within[0].real.copy(), found[0].real.copy(), found.imag / STEP


def starting_values(structure, patterns, *, persistent=False):
    """Starting values (b, K) from pairwise covariances averaged over occasions, for data with unit variances.

    `persistent`: such that what lasts is an autoregression near 1 rather than a random intercept.
    """
    return starts(structure, *covariances_by_distance(structure.occasions, patterns), persistent=persistent)


def covariances_by_distance(T, patterns):
    """Mean covariances (b, 2, 2) at one occasion, at neighbouring ones and at those farther apart."""
    covariance, shared = (m.reshape(-1, T, 2, T, 2) for m in patterns.pairwise_covariance())
    apart = np.subtract.outer(np.arange(T), np.arange(T))
    return [_average(covariance, shared, at) for at in (apart == 0, apart == 1, apart >= 2)]


def starts(structure, total, near, far, *, persistent=False):
    """The same from covariances (b, 2, 2) at one occasion, at neighbouring ones and at those farther apart."""
    T, b = structure.occasions, len(total)
    between, within, phi, residual = start_parts(total, near, far, persistent)
    times = T - 1
    parts = [_three(between), np.tile(phi.reshape(b, 4), times if structure.lags == "free" else 1)]
    parts += [_three(within)] if structure.first == "free" else []
    parts += [np.tile(_three(residual), times if structure.residuals == "free" else 1)]
    return np.concatenate(parts, axis=1)


def start_parts(total, near, far, persistent, error=0.0):
    """R, W, Phi and Q (b, 2, 2) to start from, with W = Phi W Phi' + Q; `error`, its share of the variance within persons.

    The share is one number, or (b, 2) for the variables.
    """
    levels, inside, most = _PERSISTENT if persistent else (_BETWEEN, _WITHIN, _STABLE)
    between = _within_bounds((far + np.swapaxes(far, 1, 2)) / 2, *levels)
    within = _within_bounds(total - between, *inside)
    kept = 1.0 - np.broadcast_to(error, (len(total), 2))
    within = _within_bounds(within - within * (1.0 - kept[:, :, None]) * np.eye(2), *inside)
    phi = _shrunk((near - between) @ np.linalg.inv(within), most)
    return between, within, phi, _within_bounds(within - phi @ within @ np.swapaxes(phi, 1, 2), *inside)


def _average(covariance, shared, at):
    """Mean 2 x 2 covariance over the pairs of occasions marked in `at`, weighted by persons, (b, 2, 2)."""
    t, s = np.nonzero(at)
    weight = shared[:, t, :, s, :]
    return (covariance[:, t, :, s, :] * weight).sum(axis=0) / np.maximum(weight.sum(axis=0), 1.0)


def _within_bounds(matrices, low, high):
    """Symmetric matrices with eigenvalues moved into [low, high]."""
    values, vectors = np.linalg.eigh(matrices)
    return (vectors * np.minimum(np.maximum(values, low), high)[:, None, :]) @ np.swapaxes(vectors, 1, 2)


def _shrunk(phi, most):
    """Lag coefficients with a norm of at most `most`."""
    size = np.sqrt(np.einsum("bij,bij->b", phi, phi))
    return phi * (most / np.maximum(size, most))[:, None, None]


def _linear(T, free_residuals, free_lags):
    """The model with free first occasion: variables are r_x, r_y, then w_1 (x, y), w_2, ..."""
    select = np.zeros((2 * T, 2 * T + 2))
    select[np.arange(2 * T), np.arange(2 * T) % 2] = 1.0
    select[np.arange(2 * T), np.arange(2 * T) + 2] = 1.0
    steps = range(1, T)
    paths, covariances = {}, {k: [(i, j)] for k, (i, j) in enumerate(_PAIRS)}
    for t in steps:
        for c in range(4):
            k = 3 + c + (4 * (t - 1) if free_lags else 0)
            paths.setdefault(k, []).append((2 + 2 * t + c // 2, 2 * t + c % 2))
    first = 3 + len(paths)
    covariances |= {first + c: [(2 + i, 2 + j)] for c, (i, j) in enumerate(_PAIRS)}
    for t in steps:
        for c, (i, j) in enumerate(_PAIRS):
            k = first + 3 + c + (3 * (t - 1) if free_residuals else 0)
            covariances.setdefault(k, []).append((2 + 2 * t + i, 2 + 2 * t + j))
    return LinearStructure(select, paths, covariances, len(paths) + len(covariances))


def _symmetric(three):
    """(..., 3) -> (..., 2, 2)."""
    return three[..., [0, 1, 1, 2]].reshape(*three.shape[:-1], 2, 2)


def _three(matrices):
    return matrices[..., [0, 1, 1], [0, 0, 1]]


def _spread(three):
    return three[..., [0, 1, 1, 2]]


def _kron(a, b):
    return np.einsum("...ij,...kl->...ikjl", a, b).reshape(*a.shape[:-2], 4, 4)
