"""What the data say of a lagged effect when reliability is not known: profile likelihood, a curve over reliabilities."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq

from twostage.stats.base import NotEstimable, check_level, critical_value, frame, html, wald
from twostage.stats.fiml import evaluate, group_rows, maximise
from twostage.stats.riclpm.error import fit_starts_many, structure_for
from twostage.stats.riclpm.latent import Held, latent_starts
from twostage.stats.riclpm.latent_search import MOST_STEPS, faces, not_negative, solve_latent
from twostage.stats.riclpm.model import check_panels, check_variables

#: Reliabilities of a curve where none are asked for.
RELIABILITIES = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)


# Of an interval's end, in standard errors; and how far out one is looked for: lag coefficients beyond are none.
_CLOSE, _FARTHEST = 1e-4, 4.0


@dataclass(frozen=True)
class ReliabilityCurve:
    """Lagged effects under several reliabilities of both variables.

    Attributes
    ----------
    reliability : (m,) array
    phi, phi_se : (m, 2, 2) arrays
        NaN where no maximum was reached.
    loglik : (m,) array
    converged, admissible : (m,) arrays of bool
    messages : tuple of str
    variables, kind, lines, se, level
        As asked for.
    """

    reliability: np.ndarray
    phi: np.ndarray
    phi_se: np.ndarray
    loglik: np.ndarray
    converged: np.ndarray
    admissible: np.ndarray
    messages: tuple[str, ...]
    variables: tuple[str, str]
    kind: str
    lines: bool
    se: str
    level: float

    def tidy(self):
        """One row per reliability and lag coefficient."""
        m = len(self.reliability)
        terms = [f"{b}->{a}" for a in self.variables for b in self.variables]
        columns = {"reliability": np.repeat(self.reliability, 4), "term": np.tile(terms, m)}
        numbers = {"estimate": self.phi.ravel(), "std_error": self.phi_se.ravel()}
        columns |= numbers | wald(numbers["estimate"], numbers["std_error"], level=self.level)
        both = {name: np.repeat(getattr(self, name), 4) for name in ("converged", "admissible")}
        return frame(columns | both)

    def glance(self):
        """One row per reliability."""
        fields = ("reliability", "loglik", "converged", "admissible")
        return frame({name: getattr(self, name) for name in fields} | {"message": self.messages})

    def _repr_html_(self) -> str:
        columns = ["reliability", "term", "estimate", "ci_low", "ci_high"]
        return html("Lagged effects by reliability", self.tidy()[columns])


def reliability_curve(
    Y,
    reliabilities=RELIABILITIES,
    *,
    kind="within",
    lines=False,
    se="observed",
    level=0.95,
    variables=("x", "y"),
) -> ReliabilityCurve:
    """Lagged effects of one panel had both variables each of several reliabilities.

    Parameters
    ----------
    Y : (n, T, 2) array
    reliabilities : sequence of float
        Above 0, at most 1. With 1 the model is the one without error.
    kind, lines, se, level, variables
        As of :func:`twostage.stats.riclpm.error.fit_starts`.

    Returns
    -------
    ReliabilityCurve

    Raises
    ------
    ValueError
        As :func:`twostage.stats.riclpm.error.fit_starts`.

    Notes
    -----
    The log-likelihoods say which reliabilities the data themselves speak against: twice a difference of more than 3.84 at
    the 5 % level, if the truth is on the curve.

    Examples
    --------
    >>> import twostage as ts
    >>> panel = ts.make_panel(ts.read_collection("data").study("S02"))
    >>> from twostage.stats.riclpm import reliability_curve
    >>> reliability_curve(panel.wide()[0], (0.7, 1.0)).phi[:, 1, 0].round(3)
    array([-0.071, -0.116])
    """
    known = np.array(reliabilities, dtype=float)
    if known.ndim != 1 or not len(known):
        raise ValueError("reliabilities must be a sequence of numbers, at least one")
    rules = {"kind": kind, "lines": lines, "se": se, "level": level, "variables": variables}
    error = np.column_stack([known, known])
    fit = fit_starts_many([Y] * len(known), error=error, **rules)
    if not np.isfinite(fit.loglik).any():
        raise NotEstimable(fit.messages[0])
    lost = ~fit.converged
    phi, phi_se = (np.where(lost[:, None, None], np.nan, one) for one in (fit.phi, fit.phi_se))
    own = {name: getattr(fit, name) for name in ("loglik", "converged", "admissible", "messages")}
    own |= {name: getattr(fit, name) for name in ("variables", "kind", "lines", "se", "level")}
    return ReliabilityCurve(known, phi, phi_se, **own)


@dataclass(frozen=True)
class ProfiledEffects:
    """Profile-likelihood intervals of lagged effects.

    Attributes
    ----------
    names : tuple of str
    estimate, ci_low, ci_high : (m,) arrays
        An infinite end: the data do not bound the effect on this side.
    level : float
    evaluations : int
        Maxima computed.
    """

    names: tuple[str, ...]
    estimate: np.ndarray
    ci_low: np.ndarray
    ci_high: np.ndarray
    level: float
    evaluations: int

    def tidy(self):
        """One row per effect."""
        columns = {
            "term": self.names,
            "estimate": self.estimate,
            "ci_low": self.ci_low,
            "ci_high": self.ci_high,
        }
        return frame(columns | {"bounded": np.isfinite(self.ci_low) & np.isfinite(self.ci_high)})

    def glance(self):
        """One row."""
        return frame([{"level": self.level, "evaluations": self.evaluations}])

    def _repr_html_(self) -> str:
        return html("Profile likelihood of lagged effects", self.tidy())


def profile_effects(
    Y, *, effects=((1, 0), (0, 1)), error="free", kind="within", lines=False, level=0.95, variables=("x", "y")
) -> ProfiledEffects:
    """Profile-likelihood intervals of lagged effects of one panel.

    Parameters
    ----------
    Y, error, kind, lines, level, variables
        As of :func:`twostage.stats.riclpm.error.fit_starts`.
    effects : sequence of (int, int)
        Outcome and predictor of each effect, 0 for x, 1 for y; both cross-lags unless asked for.

    Returns
    -------
    ProfiledEffects

    Raises
    ------
    NotEstimable
        As :func:`twostage.stats.riclpm.error.fit_starts`; no maximum to start from.

    Notes
    -----
    The interval holds the values that a likelihood-ratio test does not reject: ``2 (l_max - l(b)) <= chi2``, l(b) maximised
    over everything else, error variances at least 0. Where error variances are hardly determined it is far from symmetric,
    and Wald intervals are wrong (Pawitan 2001, In All Likelihood, ch. 3).
    """
    level, variables = check_level(level), check_variables(variables)
    structure = structure_for([Y], error, kind, lines)
    panels = check_panels([Y], variables, structure.n_parameters)
    if panels.refused:
        raise panels.refused[0]
    patterns = group_rows(panels.rows, panels.set_of, 1)
    solved = solve_latent(structure, patterns, "observed")
    if not solved.converged[0]:
        raise NotEstimable(f"there is no maximum to take intervals from: {solved.messages[0]}")
    structure = replace(structure, ratios=structure.ratios[:, 0])
    cut, theta = critical_value(np.inf, level), solved.theta[0]
    names = structure.names(variables)
    places = [structure.n_first + 2 * outcome + predictor for outcome, predictor in effects]
    ends, count = [], 0
    for place in places:
        error_of = np.sqrt(solved.cov[0, place, place])
        for side in (-1.0, 1.0):
            curve = _Profile(structure, patterns, place, theta, float(solved.value[0]))
            ends.append(curve.end(side * error_of, cut))
            count += curve.count
    units = structure.scales(panels.spread)[0][places]
    low, high = (np.array(ends[side::2]) * units for side in (0, 1))
    return ProfiledEffects(tuple(names[p] for p in places), theta[places] * units, low, high, level, count)


class _Profile:
    """How far below the maximum the likelihood is, maximised over everything but one parameter.

    Attributes
    ----------
    count : int
        Maxima computed.
    """

    def __init__(self, structure, patterns, place, theta, value):
        self.structure, self.patterns, self.place, self.value = structure, patterns, place, value
        self.centre, self.count = float(theta[place]), 0
        self.start = np.delete(theta, place)[None]

    def end(self, step, cut):
        """Where the root of the deviance is `cut`, in the direction of `step`; infinite if nowhere.

        The root is nearly linear in the parameter, so that a few secant steps find it.
        """
        inside, at = 0.0, cut * step
        while self.root(at) < cut:
            inside, at = at, 1.5 * at
            if abs(self.centre + at) > _FARTHEST:
                return np.copysign(np.inf, step)
        if np.isinf(self.root(at)):
            return np.copysign(np.inf, step)
        found = brentq(lambda far: self.root(far) - cut, inside, at, xtol=_CLOSE * abs(step))
        return self.centre + found

    def root(self, far):
        """Root of the deviance with the parameter `far` from its estimate; infinite where no maximum was reached."""
        if far == 0.0:
            return 0.0
        held = Held(self.structure, self.place, self.centre + far)
        value, theta = self._maximum(held, self.start)
        if value is None or not not_negative(self.structure, held.whole(theta))[0]:
            value = self._on_boundary(far)
        else:
            self.start = theta
        return np.inf if value is None else float(np.sqrt(max(2.0 * (value - self.value), 0.0)))

    def _maximum(self, held, start):
        self.count += 1
        if not np.isfinite(evaluate(held, self.patterns, start).value[0]):
            start = np.delete(latent_starts(held.base, self.patterns), self.place, axis=1)
        found = maximise(held, self.patterns, start, max_iterations=MOST_STEPS)
        return (float(found.point.value[0]) if found.converged[0] else None), found.point.theta

    def _on_boundary(self, far):
        """The least value with error variances at 0."""
        found = []
        for face, _ in faces(self.structure):
            held = Held(face, self.place, self.centre + far)
            whole = np.insert(self.start, self.place, 0.0, axis=1)[:, self.structure.kept(face)]
            value, theta = self._maximum(held, np.delete(whole, self.place, axis=1))
            if value is not None and not_negative(face, held.whole(theta))[0]:
                found.append(value)
        return min(found, default=None)
