"""The results of stage 1 and how fitted equations are gathered into them."""

from dataclasses import dataclass, field

import pandas as pd

from twostage.display import html_table
from twostage.stage1.bounds import why_not
from twostage.stage1.panel import Panel
from twostage.stats.base import Attempt, NotEstimable
from twostage.stats.mixed import stacked_covariance
from twostage.terms import COLUMNS, HEADLINE


@dataclass(frozen=True)
class JointCovariance:
    """Cluster-robust covariance of all equations' coefficients, patients as clusters.

    Attributes
    ----------
    matrix : pandas.DataFrame
        (direction, term) on both axes; see :func:`twostage.stats.mixed.stacked.stacked_covariance`.
    n_patients, n_both : int
        Patients in at least one equation; in every one of them.
    """

    matrix: pd.DataFrame
    n_patients: int
    n_both: int


@dataclass(frozen=True)
class StudyEstimates:
    """What one study says in one analysis.

    Attributes
    ----------
    study, analysis : str
        Study id; lagged, transition, crosslevel, outcome or sensitivity.
    table : pandas.DataFrame
        One row per variant, direction and term, in the standard columns of :data:`twostage.terms.COLUMNS`.
    covariances : dict
        (variant, direction) -> DataFrame, the coefficients' covariance matrix, terms as index and columns.
    fits : pandas.DataFrame
        One row per fitted equation: variant, direction, n_patients, n_transitions, loglik, sigma2,
        re_variance (the random intercept's), converged, singular, evaluations.
    exclusions : pandas.DataFrame
        reason, n_patients: patients of the study who are not in this analysis.
    failures : pandas.DataFrame
        variant, direction, reason: equations that could not be estimated.
    joint_covariances : dict
        variant -> :class:`JointCovariance` of the two-level equations that have more patients than coefficients.
    """

    study: str
    analysis: str
    table: pd.DataFrame
    covariances: dict[tuple[str, str], pd.DataFrame] = field(default_factory=dict)
    fits: pd.DataFrame = field(default_factory=pd.DataFrame)
    exclusions: pd.DataFrame = field(default_factory=pd.DataFrame)
    failures: pd.DataFrame = field(default_factory=pd.DataFrame)
    joint_covariances: dict[str, JointCovariance] = field(default_factory=dict)

    def tidy(self) -> pd.DataFrame:
        """One row per term with the standard columns."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row per fitted equation."""
        return self.fits.copy()

    def _repr_html_(self) -> str:
        shown = self.table.drop(columns=["study", "analysis", "estimator"])
        return html_table(shown) + (html_table(self.failures) if len(self.failures) else "")


@dataclass(frozen=True)
class Equation:
    """One fitted equation on its way into a :class:`StudyEstimates`.

    Attributes
    ----------
    table : pandas.DataFrame
        Rows as of :meth:`StudyEstimates.tidy`, without variant, direction and the columns that are the same for the study.
    covariance : pandas.DataFrame
        Of the coefficients.
    fit : dict
        loglik, sigma2, re_variance, converged, singular, evaluations.
    influence : pandas.DataFrame, optional
        What each patient (index: a number) adds to each coefficient (columns).
    """

    table: pd.DataFrame
    covariance: pd.DataFrame
    fit: dict
    influence: pd.DataFrame | None = None


#: The equations of an analysis, or why they could not be fitted, by variant and direction.
Equations = dict[tuple[str, str], Attempt]


def require(condition: bool, reason: str) -> None:
    """Raise ``NotEstimable(reason)`` unless the condition holds."""
    if not condition:
        raise NotEstimable(reason)


def counted(table: pd.DataFrame, n_patients: int, n_transitions: int) -> pd.DataFrame:
    """A table of coefficients with the numbers behind it."""
    return table.assign(n_patients=n_patients, n_transitions=n_transitions)


def collect(panel: Panel, analysis: str, results: Equations, lost: str = "") -> StudyEstimates:
    """Gather an analysis's equations and failures; `lost` says why patients of the panel are not in it."""
    results = {key: _within_bounds(found) for key, found in results.items()}
    equations = {key: found.result for key, found in results.items() if found}
    failures = [(*key, found.reason) for key, found in results.items() if not found]
    labels = {"study": panel.study, "analysis": analysis, "estimator": HEADLINE}
    tables = [e.table.assign(variant=v, direction=d, **labels) for (v, d), e in equations.items()]
    table = pd.concat(tables, ignore_index=True)[COLUMNS] if tables else pd.DataFrame(columns=COLUMNS)
    counts = [t.iloc[0][["variant", "direction", "n_patients", "n_transitions"]].to_dict() for t in tables]
    fits = pd.DataFrame([c | e.fit for c, e in zip(counts, equations.values(), strict=True)])
    return StudyEstimates(
        study=panel.study,
        analysis=analysis,
        table=table,
        covariances={key: equation.covariance for key, equation in equations.items()},
        fits=fits,
        exclusions=_exclusions(panel, fits, lost),
        failures=pd.DataFrame(failures, columns=["variant", "direction", "reason"]),
        joint_covariances=_joint_covariances(equations),
    )


def _within_bounds(found: Attempt) -> Attempt:
    """An equation whose numbers can be handed on; otherwise the reason says what is out of bounds."""
    for row in found.result.table.to_dict("records") if found else ():
        if (reason := why_not({str(name): value for name, value in row.items()})) is not None:
            return Attempt(None, f"{row['term']}: {reason}")
    return found


def _joint_covariances(equations: dict[tuple[str, str], Equation]) -> dict[str, JointCovariance]:
    known = {key: e.influence for key, e in equations.items() if e.influence is not None}
    usable = {key: influence for key, influence in known.items() if len(influence) > influence.shape[1]}
    joint = {}
    for variant in dict.fromkeys(variant for variant, _ in usable):
        own = [(direction, influence) for (v, direction), influence in usable.items() if v == variant]
        found = stacked_covariance(
            [(influence.index.to_numpy(), influence.to_numpy()) for _, influence in own]
        )
        axis = pd.MultiIndex.from_tuples(
            [(direction, term) for direction, influence in own for term in influence],
            names=["direction", "term"],
        )
        matrix = pd.DataFrame(found.matrix, index=axis, columns=axis)
        joint[variant] = JointCovariance(matrix, found.n_any, found.n_all)
    return joint


def _exclusions(panel: Panel, fits: pd.DataFrame, lost: str) -> pd.DataFrame:
    if not lost or fits.empty:
        return panel.exclusions
    missing = panel.n_patients - int(fits["n_patients"].max())
    extra = pd.DataFrame([(lost, missing)], columns=["reason", "n_patients"])
    return pd.concat([panel.exclusions, extra], ignore_index=True)
