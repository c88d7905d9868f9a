"""What the lagged effects would be if those who left had later scores other than the ones their past predicts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twostage.stats.base import NotEstimable, frame, real_array
from twostage.stats.fiml import Patterns, evaluate, group_patterns, maximise
from twostage.stats.riclpm.fit import fit_riclpm, fit_riclpm_many
from twostage.stats.riclpm.model import riclpm_structure

#: Parts of the persons, each left out once for the standard errors, and the seed that makes them.
PARTS, SEED = 20, 20201101


#: Fewest of these fits that must end at a maximum.
_FEWEST = 10


@dataclass(frozen=True)
class UnseenFit:
    """Lagged effects under shifts of the scores after each person's last one.

    Attributes
    ----------
    shifts : (D, 2) array
        Of x and y, in standard deviations of the variable about the occasions' means.
    phi, phi_se : (D, 2, 2) arrays
        phi[d, i, j] is the effect of variable j at t on variable i at t + 1; NaN where no maximum was found.
    n_obs, n_left : int
        Persons, and those of them whose last score is before the last occasion.
    """

    shifts: np.ndarray
    phi: np.ndarray
    phi_se: np.ndarray
    n_obs: int
    n_left: int

    def tidy(self):
        """One row per shift and effect: shift_x, shift_y, outcome, predictor (0: x, 1: y), estimate, std_error."""
        shift, outcome, predictor = (at.ravel() for at in np.indices(self.phi.shape))
        columns = {"shift_x": self.shifts[shift, 0], "shift_y": self.shifts[shift, 1]}
        columns |= {"outcome": outcome, "predictor": predictor}
        return frame(columns | {"estimate": self.phi.ravel(), "std_error": self.phi_se.ravel()})


def fit_unseen(Y: ArrayLike, shifts: ArrayLike, *, parts: int = PARTS, seed: int = SEED) -> UnseenFit:
    """Fit the random-intercept cross-lagged panel model as if unseen scores after the last one were shifted.

    Parameters
    ----------
    Y : (n, T, 2) array
        As for :func:`twostage.stats.riclpm.fit.fit_riclpm`; NaN where missing.
    shifts : (D, 2) array
        What is added to each later score of x and y of those who left, in standard deviations.
    parts : int
        For the standard errors.
    seed : int
        Of who is in which part.

    Returns
    -------
    UnseenFit

    Raises
    ------
    NotEstimable
        As :func:`~twostage.stats.riclpm.fit.fit_riclpm`; no maximum without a shift; an occasion at which nobody has a
        score of a variable.

    Notes
    -----
    A pattern-mixture model (Little 1993, doi:10.1080/01621459.1993.10594302) with a shift as in delta-adjusted multiple
    imputation (Cro, Morris, Kenward & Carpenter 2020, doi:10.1002/sim.8569), without drawing: scores missing at random
    give the model's conditional means and covariances of what is missing; the later means of those who left are moved; and
    the model is fitted to the expected means and covariances of the completed panel, which is what infinitely many
    imputations at these parameters give. Without a shift that is a step of the EM algorithm at its fixed point, so the
    numbers are :func:`~twostage.stats.riclpm.fit.fit_riclpm`'s. Standard errors are that fit's times the ratio of
    delete-a-group jackknife errors with and without the shift, so that what is imputed is never counted as observed.

    Examples
    --------
    >>> import twostage as ts
    >>> from twostage.stats.riclpm import fit_unseen
    >>> scores, _ = ts.make_panel(ts.read_collection("data").study("S02")).wide()
    >>> fit = fit_unseen(scores, [[0, 0], [0, 0.5]])
    >>> fit.phi[:, 1, 0].round(3)
    array([-0.116, -0.126])
    """
    Y, shifts = real_array(Y, "Y"), real_array(shifts, "shifts")
    plain = fit_riclpm(Y)
    if not plain.converged:
        raise NotEstimable("the panel model did not converge")
    if np.isnan(Y).all(axis=0).any():
        raise NotEstimable("nobody has a score of a variable at some occasion")
    Y = Y[~np.isnan(Y).all(axis=(1, 2))]
    deviation = Y - np.nanmean(Y, axis=0)
    spread = np.sqrt(np.nanmean(deviation**2, axis=(0, 1)))
    scaled = deviation / spread
    order = np.random.default_rng(seed).permutation(len(Y)) % parts
    sets = [scaled, *(scaled[order != part] for part in range(min(parts, len(Y))))]
    batch = fit_riclpm_many(sets)
    good = np.flatnonzero(batch.converged)
    if not batch.converged[0] or len(good) <= _FEWEST:
        raise NotEstimable("the panel model did not converge without some of the persons")
    phi = _refitted([sets[b] for b in good], batch.estimate[good], shifts)
    left_out = phi[1:]
    n = len(left_out)
    error = np.sqrt((n - 1) / n * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    none = _refitted([sets[b] for b in good], batch.estimate[good], np.zeros((1, 2)))[1:]
    base = np.sqrt((n - 1) / n * ((none - none.mean(axis=0)) ** 2).sum(axis=0))
    units = spread[:, None] / spread
    later = _after_last(Y)
    return UnseenFit(
        shifts, phi[0] * units, plain.phi_se * error / base, len(Y), int(later.any(axis=(1, 2)).sum())
    )


def _refitted(sets, theta, shifts) -> np.ndarray:
    """Lag coefficients (b, D, 2, 2) of the completed data sets, whose own maxima are theta (b, K)."""
    structure = riclpm_structure(sets[0].shape[1], "equal", "equal", "free")
    completed = [_completed(structure, one, at, shifts) for one, at in zip(sets, theta, strict=True)]
    covariances = np.concatenate(completed)
    counts = np.repeat([float(len(one)) for one in sets], len(shifts))
    found = maximise(
        structure.core, _of_covariances(covariances, counts), np.repeat(theta, len(shifts), axis=0)
    )
    phi = np.where(found.converged[:, None, None], structure.phi(found.point.theta), np.nan)
    return phi.reshape(len(sets), len(shifts), 2, 2)


def _after_last(Y) -> np.ndarray:
    """Occasions after each person's last score, (n, T, 1)."""
    seen = ~np.isnan(Y).all(axis=2)
    return (np.cumsum(seen[:, ::-1], axis=1)[:, ::-1] == 0)[:, :, None]


def _completed(structure, Y, theta, shifts) -> np.ndarray:
    """Expected covariance matrices (D, 2T, 2T) of a panel whose missing scores follow the model, later ones shifted."""
    rows = Y.reshape(len(Y), -1)
    patterns = group_patterns([rows])
    mean = evaluate(structure.core, patterns, theta[None]).means[0] + patterns.centre[0]
    sigma = structure.sigma(theta)
    filled, spare = rows - mean, np.zeros_like(sigma)
    for mask in np.unique(np.isnan(rows), axis=0):
        own = (np.isnan(rows) == mask).all(axis=1)
        if mask.any():
            slope = np.linalg.solve(sigma[np.ix_(~mask, ~mask)], sigma[np.ix_(~mask, mask)])
            filled[np.ix_(own, mask)] = filled[np.ix_(own, ~mask)] @ slope
            spare[np.ix_(mask, mask)] += own.sum() * (
                sigma[np.ix_(mask, mask)] - sigma[np.ix_(mask, ~mask)] @ slope
            )
    later = np.broadcast_to(_after_last(Y), Y.shape)
    moved = filled + (later * shifts[:, None, None, :]).reshape(len(shifts), len(Y), -1)
    moved = moved - moved.mean(axis=1, keepdims=True)
    return (np.swapaxes(moved, 1, 2) @ moved + spare) / len(Y)


def _of_covariances(covariances, counts) -> Patterns:
    """Complete data sets with these covariance matrices (b, p, p) and numbers of persons."""
    b, p = covariances.shape[:2]
    own, whole = np.arange(b), np.ones((b, p))
    n = counts[:, None, None]
    return Patterns(
        mask=whole,
        count=counts,
        mean=np.zeros((b, p)),
        cross=n * covariances,
        owner=own,
        leaf=own,
        leaf_mask=whole,
        leaf_owner=own,
        leaf_pairs=n * np.ones((b, p, p)),
        centre=np.zeros((b, p)),
        rows=np.zeros((0, p)),
        row_pattern=np.zeros(0, dtype=int),
        n_obs=counts.astype(int),
    )
