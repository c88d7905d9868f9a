"""Under which conditions a collection is drawn again: most depart in one thing from the plain one, some in several.

The plain condition is the random-intercept cross-lagged panel model's own: patients share their coefficients, nothing
but the process moves the scores, they are measured without error, and sessions are missing for no reason. The values are
those of :mod:`twostage.simulation.model` where it has them, and choices of this project otherwise.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from twostage.beside import table_beside
from twostage.simulation import GENERATING

#: The condition that a collection is like where it does not say otherwise.
REALISTIC = "realistic"


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
    unseen : bool
        Whether leaving depends on the y of the session that is missed first instead.
    own_autoregressions : float
        SD over patients of both autoregressions.
    reliability : float
        Of both variables' session scores, within patients: true variance there over this and the error's.
    floor : float, optional
        Lowest y and, with the other sign, highest x that the scales have, on the latent scale; scores are then rounded to
        :data:`STEP` too.
    spacing : tuple of float
        Probabilities that 1, 2, ... steps of the process lie between a patient's session and the next.
    therapists : float
        SD over therapists of both cross-lagged effects; where it is not 0 their patients' levels are alike too.
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
    unseen: bool = False
    own_autoregressions: float = 0.0
    reliability: float = 1.0
    floor: float | None = None
    spacing: tuple[float, ...] = (1.0,)
    therapists: float = 0.0
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
        ``Phi^L``, and where L differs from session to session they are those of its mean. This is the mean over patients
        and studies only where all share one Phi. The truth is that of true scores on their latent scale, whatever error
        and floor make of them.
        """
        c = self.coefficients
        if self.lag == 1 == len(self.spacing):
            return c[PARAMETER[direction, term]]
        phi = np.array([[c["phi_xx"], c["b_yx"]], [c["b_xy"], c["phi_yy"]]])
        step = sum(p * np.linalg.matrix_power(phi, g) for g, p in enumerate(self.spacing, start=1))
        places = {"phi_xx": (0, 0), "b_yx": (0, 1), "b_xy": (1, 0), "phi_yy": (1, 1)}
        return float(np.linalg.matrix_power(step, self.lag)[places[PARAMETER[direction, term]]])


#: What the pool of all of a collection's studies is called; and of how many others are, drawn anew in each replicate.
ALL, FEW = "all", (3, 5)


#: (direction, term) -> the coefficient that generates it.
PARAMETER = {
    ("x_to_y", "x_within"): "b_xy",
    ("x_to_y", "y_within"): "phi_yy",
    ("y_to_x", "y_within"): "b_yx",
    ("y_to_x", "x_within"): "phi_xx",
}


#: Between neighbouring scores of an ordinal total, on the latent scale.
STEP = 0.2


#: Patients of a therapist, and the share of the variance between patients that lies between therapists.
PER_THERAPIST, BETWEEN_THERAPISTS = 8, 0.1


def _kind(name: str, row: dict[str, Any]) -> Condition:
    changes = {coefficient: MEANS[coefficient] for coefficient in row.get("changes", ())}
    between = {coefficient: GENERATING[coefficient][1] for coefficient in row.get("between", ())}
    spacing = tuple(row.get("spacing", Condition.spacing))
    return Condition(**{"name": name} | row | {"changes": changes, "between": between, "spacing": spacing})


_KINDS = tuple(_kind(name, row) for name, row in table_beside(__file__).items())


def _without_effects(kind: Condition) -> Condition:
    return Condition(**{**vars(kind), "name": f"{kind.name}_null", "null": True})


#: Every kind with cross-lagged effects, then without.
CONDITIONS = {c.name: c for kind in _KINDS for c in (kind, _without_effects(kind))}


#: Longer lags that a recovery study of lags covers.
LAGS = (2, 3)


_LAGGED = ("plain", "shared_trends", "own_trends", "unequal_variances", "dropout")


#: The same at longer lags, of kinds in which all patients share one process: of the others the true values at such lags
#: are no simple function of the coefficients.
LAG_CONDITIONS = {
    f"{name}_lag{lag}": replace(c, name=f"{name}_lag{lag}", lag=lag)
    for lag in LAGS
    for name, c in CONDITIONS.items()
    if name.removesuffix("_null") in _LAGGED
}
