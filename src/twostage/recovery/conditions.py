"""Under which conditions a collection is drawn again: each departs in one thing from the plain one, the last in all.

The plain condition is the random-intercept cross-lagged panel model's own: patients share their coefficients, nothing
but the process moves the scores, and sessions are missing for no reason. The values are those of
:mod:`twostage.simulation.model` where it has them, and choices of this project otherwise.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from twostage.simulation import GENERATING

MEANS = {name: mean for name, (mean, _) in GENERATING.items()}


MODERATION = ("c_xy_x", "c_xy_y", "c_yx_x", "c_yx_y")


TRENDS = ("trend_x", "trend_y")


CROSS = ("b_xy", "b_yx")


COEFFICIENTS = ("phi_xx", "phi_yy", *CROSS)


#: Coefficients of patients who share them, without trends: what every condition starts from.
PLAIN = MEANS | dict.fromkeys((*MODERATION, *TRENDS), 0.0)


@dataclass(frozen=True)
class Condition:
    """One way of generating a collection.

    Attributes
    ----------
    name : str
        For files and tables.
    words : str
        What it is, as "if your data look like this" reads it.
    null : bool
        Whether both cross-lagged effects are zero on average.
    changes : dict
        Means of coefficients that differ from :data:`PLAIN`.
    between : dict
        Coefficient -> SD over studies.
    own_effects : float
        SD over patients of both cross-lagged effects.
    own_trends : float
        SD over patients of a linear trend of x and of y, in units per session.
    growth : float
        By how much of its first value the innovations' variance grows from session to session.
    dropout : float
        Log odds ratio of leaving after a session per unit of the last observed y; 0: sessions are missing at random
        whatever the scores.
    lag : int
        Of the analysis, in sessions; the process moves by one.
    """

    name: str
    words: str
    null: bool = False
    changes: dict[str, float] = field(default_factory=dict)
    between: dict[str, float] = field(default_factory=dict)
    own_effects: float = 0.0
    own_trends: float = 0.0
    growth: float = 0.0
    dropout: float = 0.0
    lag: int = 1

    @property
    def coefficients(self) -> dict[str, float]:
        """Means over studies of every coefficient of the generating model."""
        return PLAIN | self.changes | (dict.fromkeys(CROSS, 0.0) if self.null else {})

    def truth(self, direction: str, term: str) -> float:
        """The pooled coefficient's true value.

        Notes
        -----
        ``w_{t+1} = Phi w_t + e`` gives ``E(w_{t+L} | w_t) = Phi^L w_t``: at lag L the effects are the elements of
        ``Phi^L``. This is the mean over patients and studies only where all share one Phi.
        """
        c = self.coefficients
        if self.lag == 1:
            return c[PARAMETER[direction, term]]
        phi = np.linalg.matrix_power([[c["phi_xx"], c["b_yx"]], [c["b_xy"], c["phi_yy"]]], self.lag)
        places = {"phi_xx": (0, 0), "b_yx": (0, 1), "b_xy": (1, 0), "phi_yy": (1, 1)}
        return float(phi[places[PARAMETER[direction, term]]])


#: (direction, term) -> the coefficient that generates it.
PARAMETER = {
    ("x_to_y", "x_within"): "b_xy",
    ("x_to_y", "y_within"): "phi_yy",
    ("y_to_x", "y_within"): "b_yx",
    ("y_to_x", "x_within"): "phi_xx",
}


_MODERATED = {name: MEANS[name] for name in MODERATION}


_TRENDING = {name: MEANS[name] for name in TRENDS}


_BETWEEN = {name: GENERATING[name][1] for name in COEFFICIENTS}


_OWN_EFFECTS, _OWN_TRENDS, _GROWTH, _DROPOUT = 0.10, 0.06, 0.15, 1.0


_KINDS = (
    Condition("plain", "one process for all, no trends, sessions missing for no reason"),
    Condition("shared_trends", "all patients move along the same line", changes=_TRENDING),
    Condition("own_trends", "each patient moves along a line of their own", own_trends=_OWN_TRENDS),
    Condition("unequal_variances", "fluctuations grow from session to session", growth=_GROWTH),
    Condition("dropout", "patients with a higher y leave earlier", dropout=_DROPOUT),
    Condition(
        "heterogeneous",
        "effects differ between studies and between patients",
        between=_BETWEEN,
        own_effects=_OWN_EFFECTS,
    ),
    Condition("moderated", "the cross-lagged effects depend on the patients' levels", changes=_MODERATED),
    Condition(
        "everything",
        "all of these at once",
        changes=_TRENDING | _MODERATED,
        between=_BETWEEN,
        own_effects=_OWN_EFFECTS,
        own_trends=_OWN_TRENDS,
        growth=_GROWTH,
        dropout=_DROPOUT,
    ),
)


def _without_effects(kind: Condition) -> Condition:
    return Condition(**{**vars(kind), "name": f"{kind.name}_null", "null": True})


#: Every kind with cross-lagged effects, then without.
CONDITIONS = {c.name: c for kind in _KINDS for c in (kind, _without_effects(kind))}


#: Longer lags that a recovery study of lags covers.
LAGS = (2, 3)


#: The same at longer lags, of the kinds in which all patients share one process: of the others the true values at such
#: lags are no simple function of the coefficients.
LAG_CONDITIONS = {
    f"{name}_lag{lag}": replace(c, name=f"{name}_lag{lag}", lag=lag)
    for lag in LAGS
    for name, c in CONDITIONS.items()
    if not (c.between or c.own_effects or any(c.coefficients[m] for m in MODERATION))
}
