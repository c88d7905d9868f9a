"""Half-panel jackknife of the centred lagged model: twice the estimate less that of half panels."""

from dataclasses import dataclass
from html import escape

import numpy as np
from scipy.special import ndtr, ndtri

from twostage.stats.base import (
    DIRECTIONS,
    VARIABLES,
    NotEstimable,
    check_choice,
    check_level,
    check_panel,
    frame,
    observed_span,
)
from twostage.stats.centred.centring import centred_transitions
from twostage.stats.mixed import fit_mixed_weighted_many

# Where the coefficients of x's and y's deviations stand in the equations of x and of y.
_ORDER = ([2, 1], [1, 2])


# Intervals and standard errors rest on replicates in which every part of the panel could be fitted; with fewer
# than this share of them they would describe other data than these.
ENOUGH = 0.9


@dataclass(frozen=True)
class JackknifeFit:
    """Both directions' half-panel jackknife estimates.

    Attributes
    ----------
    phi, phi_se : (2, 2) arrays
        ``phi[i, j]``: effect of variable j (0: x, 1: y) at t on variable i at t + lag; standard errors, the
        standard deviations over the bootstrap's replicates.
    centred : (2, 2) array
        The centred model's estimates on all sessions, not corrected.
    parts : tuple of (int, int)
        First and last session (from 1) of the whole panel and of each half.
    estimates : (k, 2, 2) array
        The centred model's estimates in each part.
    shares : (k,) array
        phi = shares @ estimates: 2 for the whole, minus its weight for a half.
    replicates : (R, 2, 2) array
        phi of each bootstrap replicate; NaN where a part could not be fitted.
    n_patients, n_transitions : (2,) int arrays
        Patients and rows of the equations of x and of y.
    converged, singular : bool
        Whether every fit converged; whether one of them lies on the boundary (no variance between patients).
    """

    phi: np.ndarray
    phi_se: np.ndarray
    centred: np.ndarray
    parts: tuple[tuple[int, int], ...]
    estimates: np.ndarray
    shares: np.ndarray
    replicates: np.ndarray
    n_patients: np.ndarray
    n_transitions: np.ndarray
    converged: bool
    singular: bool

    @property
    def n_failed(self) -> int:
        """Replicates in which a part of the panel could not be fitted."""
        return int(np.isnan(self.replicates).any(axis=(1, 2)).sum())

    def conf_int(self, level: float = 0.95, *, kind: str = "normal") -> np.ndarray:
        """Intervals, (2, 2, 2), low and high last: `normal` (phi and its standard error) or `percentile` (the
        replicates' quantiles)."""
        check_level(level)
        check_choice("kind", kind, ("normal", "percentile"))
        tails = np.array([0.5 - level / 2, 0.5 + level / 2])
        if kind == "normal":
            return self.phi[..., None] + self.phi_se[..., None] * ndtri(tails)
        return np.moveaxis(np.nanquantile(self.replicates, tails, axis=0), 0, -1)

    def tidy(self, level: float = 0.95, *, kind: str = "normal"):
        """One row per direction and term: direction, term, estimate, std_error, df (infinite), statistic,
        p_value, ci_low, ci_high, and the uncorrected estimate `centred`."""
        ends, rows = self.conf_int(level, kind=kind), []
        for outcome, predictor in ((1, 0), (1, 1), (0, 1), (0, 0)):
            at = outcome, predictor
            z = self.phi[at] / self.phi_se[at]
            row = {"direction": DIRECTIONS[outcome], "term": f"{VARIABLES[predictor]}_within"}
            row |= {"estimate": self.phi[at], "std_error": self.phi_se[at], "df": np.inf, "statistic": z}
            row |= {"p_value": 2 * ndtr(-abs(z)), "ci_low": ends[at][0], "ci_high": ends[at][1]}
            rows.append(row | {"centred": self.centred[at]})
        return frame(rows)

    def glance(self):
        """One row per direction: sizes, replicates, how the fits ended."""
        common = {"replicates": len(self.replicates), "n_failed": self.n_failed}
        common |= {"converged": self.converged, "singular": self.singular}
        sizes = ("n_patients", "n_transitions")
        rows = [{"direction": DIRECTIONS[k]} | {n: getattr(self, n)[k] for n in sizes} for k in (1, 0)]
        return frame([row | common for row in rows])

    def _repr_html_(self) -> str:
        """The table of estimates with a line on parts and replicates."""
        halves = ", ".join(f"{first}-{last}" for first, last in self.parts[1:])
        line = f"half-panel jackknife; halves: sessions {halves}; {len(self.replicates)} replicates"
        line += f", {self.n_failed} not fitted" if self.n_failed else ""
        return f"{self.tidy().to_html(index=False)}<p>{escape(line)}</p>"


def fit_jackknife(Y, *, lag: int = 1, replicates: int = 1000, seed=0) -> JackknifeFit:
    """Half-panel jackknife of the centred lagged model, both directions.

    ``phi = 2 phi_whole - sum over halves of (share of transitions) * phi_half``, every phi by the centred model
    (REML, random intercept) with person means and deviations of that part's own sessions.

    Parameters
    ----------
    Y : (n, T, 2) array
        x and y of n patients on a grid of T sessions, NaN where missing.
    lag : int
        Sessions between predictors and outcome.
    replicates : int
        Bootstrap replicates of patients, at least 2.
    seed : int, SeedSequence or Generator
        Of the bootstrap.

    Returns
    -------
    JackknifeFit

    Raises
    ------
    NotEstimable
        If a part of the panel cannot be fitted (it is named), or could not in more than a tenth of the
        replicates.
    ValueError
        If Y has another shape or holds infinite numbers, or lag or replicates are too small.

    Notes
    -----
    Dhaene & Jochmans (2015), doi:10.1093/restud/rdv007. Their periods are the transitions, each panel taken
    conditional on its first session: sessions 1-7 have six transitions, so the halves are sessions 1-4 and
    4-7. With an odd number of transitions the panel is split both ways, after the smaller and after the
    larger half, and the two are averaged. Halves go by session number, from the first session anybody came to
    to the last, the same for every patient; a patient who misses sessions or leaves early is in each part that
    has a transition of theirs, with the mean of their sessions there. The jackknife removes the part of the
    bias that falls with 1/T in panels that are stationary; dropout and trends leave some of it. Checked by
    hand algebra, against lme4 fits of the parts and by simulation.
    """
    Y = check_panel(Y)
    if replicates < 2:
        raise ValueError(f"replicates must be at least 2, got {replicates}")
    first, last = observed_span(Y)
    parts, shares = split_panel(last - first, lag)
    parts = [(first + start, first + stop) for start, stop in parts]
    rows = [centred_transitions(Y[:, start:stop], lag) for start, stop in parts]
    patients = np.unique(rows[0].patient)
    if not len(patients):
        raise NotEstimable(f"no session with both variables is followed by a score at lag {lag}")
    draws = np.random.default_rng(seed)
    # The first replicate takes everybody once: the estimate itself.
    weights = np.zeros((replicates + 1, len(Y)), dtype=int)
    weights[0, patients] = 1
    weights[1:, patients] = draws.multinomial(
        len(patients), np.full(len(patients), 1 / len(patients)), size=replicates
    )
    fits = _fit_parts(rows, weights, [f"sessions {start + 1} to {stop}" for start, stop in parts])
    coef = np.array([[fit.coef[:, _ORDER[k]] for k, fit in enumerate(pair)] for pair in fits])
    estimates, repeated = coef[:, :, 0], coef[:, :, 1:]
    drawn = np.einsum("k,kirj->rij", shares, repeated)
    return JackknifeFit(
        phi=np.tensordot(shares, estimates, 1),
        phi_se=_spread(drawn),
        centred=estimates[0],
        parts=tuple((start + 1, stop) for start, stop in parts),
        estimates=estimates,
        shares=shares,
        replicates=drawn,
        n_patients=np.array([fit.n_groups[0] for fit in fits[0]]),
        n_transitions=np.array([fit.n_obs[0] for fit in fits[0]]),
        converged=all(bool(fit.converged[0]) for pair in fits for fit in pair),
        singular=any(bool(fit.singular[0]) for pair in fits for fit in pair),
    )


def split_panel(T: int, lag: int = 1) -> tuple[list[tuple[int, int]], np.ndarray]:
    """The whole panel and its halves, as ranges of occasions (from 0, end excluded), and their shares.

    Raises
    ------
    NotEstimable
        If there are fewer than four transitions: a half of one transition has one row per patient.
    """
    m = T - lag
    if m < 4:
        raise NotEstimable(f"{T} sessions are too few to halve at lag {lag}: {lag + 4} are needed")
    cuts = sorted({m // 2, m - m // 2})
    parts, shares = [(0, T)], [2.0]
    for cut in cuts:
        parts += [(0, cut + lag), (cut, T)]
        shares += [-cut / m / len(cuts), -(m - cut) / m / len(cuts)]
    return parts, np.array(shares)


def _fit_parts(rows, weights, spans):
    """Both equations in every part of the panel, all replicates together: (of x, of y) for each part."""
    labels = [f"{span}, {direction}" for span in spans for direction in DIRECTIONS]
    pieces = [(part, outcome) for part in rows for outcome in (0, 1)]
    found = [_design(*piece, weights, label) for piece, label in zip(pieces, labels, strict=True)]
    fits = fit_mixed_weighted_many([one[:4] for one in found], names=[one[4] for one in found])
    for label, fit in zip(labels, fits, strict=True):
        if fit.reasons[0]:
            raise NotEstimable(f"{label}: {fit.reasons[0]}")
    return list(zip(fits[::2], fits[1::2], strict=True))


def _design(part, outcome: int, weights, label: str):
    """One equation's rows, the weights of its patients, its columns' names."""
    y, X, patient, names = part.regression(outcome)
    patients = np.unique(patient)
    if len(y) - len(patients) <= len(_ORDER):
        raise NotEstimable(
            f"{label}: {len(y)} transitions of {len(patients)} patients say too little about "
            "change within patients"
        )
    return y, X, patient, weights[:, patients], names


def _spread(drawn: np.ndarray) -> np.ndarray:
    """Standard deviations over the replicates that could be fitted."""
    fitted = drawn[~np.isnan(drawn).any(axis=(1, 2))]
    if len(fitted) < max(2, ENOUGH * len(drawn)):
        raise NotEstimable(
            f"{len(drawn) - len(fitted)} of {len(drawn)} bootstrap replicates could not be fitted: "
            "the halves hold too few patients for a standard error"
        )
    return fitted.std(axis=0, ddof=1)
