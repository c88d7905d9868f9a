"""Both directions of the reciprocal pair pooled together, with their correlation within and between studies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from twostage.display import html_table
from twostage.params import Parameters
from twostage.records import Record
from twostage.stage2 import Attempt, attempt
from twostage.stats.base import NotEstimable
from twostage.stats.multilevel import PairFit, ProfileInterval, Region, pool_pair
from twostage.terms import DIRECTIONS, term_label


def examine_joint(records, options: dict) -> dict[str, Attempt]:
    """Pool both directions jointly, with the common sampling covariance and with the variances of the equations.

    Parameters
    ----------
    records : sequence of Record
    options : dict
        As :func:`twostage.pages.joint.analysis.joint_options` makes them.

    Returns
    -------
    dict of str to Attempt of JointPool
        ``robust`` and ``model``.
    """
    return {v: attempt(pool_joint, records, variances=v, **options) for v in ("robust", "model")}


#: The two cross-lagged effects.
PAIR = tuple((d.name, d.cross) for d in DIRECTIONS.values())


#: Where the sampling variances come from.
VARIANCES = ("robust", "model")


#: A between-study correlation this close to 1 or -1 counts as estimated at its bound.
BOUND = 1e-6


NO_COVARIANCE = (
    "its record has no cluster-robust covariance, because it has no more patients than coefficients"
)


_EFFECTS = ["estimate", "std_error", "df", "statistic", "p_value", "ci_low", "ci_high"]


@dataclass(frozen=True, eq=False)
class JointPool:
    """Two coefficients per study, pooled jointly.

    Attributes
    ----------
    pair : tuple of (direction, term)
        The first and the second coefficient.
    studies : pandas.DataFrame
        study, label, first, second (estimates; NaN where a study lacks one), first_se, second_se, correlation
        (of their sampling errors), n_patients. Studies with at least one of the two.
    left_out : pandas.DataFrame
        study, direction, reason.
    fit : PairFit
    rho : ProfileInterval or None
        Between-study correlation with its profile-likelihood interval; None where it is not defined.
    flags : tuple of str
        What a reader must know: a solution at a bound, too few studies, no convergence.
    method, test, variances : str
    level : float
    """

    pair: tuple[tuple[str, str], tuple[str, str]]
    studies: pd.DataFrame
    left_out: pd.DataFrame
    fit: PairFit
    rho: ProfileInterval | None
    flags: tuple[str, ...]
    method: str
    test: str
    variances: str
    level: float

    @property
    def converged(self) -> bool:
        """Whether the optimiser reached its tolerance."""
        return self.fit.converged

    @property
    def singular(self) -> bool:
        """Whether the between-study covariance lies on its boundary."""
        return self.fit.singular

    @property
    def knows_rho(self) -> bool:
        """Whether the data rule out any between-study correlation at all."""
        return self.rho is not None and not (self.rho.low_bounded and self.rho.high_bounded)

    def region(self, kind: str = "confidence") -> Region | None:
        """Joint confidence or prediction region; None where there are too few studies for one."""
        found = self.fit.region(kind)
        return found if np.isfinite(found.critical) else None

    def tidy(self) -> pd.DataFrame:
        """Three rows: both coefficients and the first less the second, with the standard columns."""
        names = [f"{d}:{t}" for d, t in self.pair]
        labels = {"first": names[0], "second": names[1], "difference": " - ".join(names)}
        rows = [
            {"effect": effect, "term": label} | {c: getattr(getattr(self.fit, effect), c) for c in _EFFECTS}
            for effect, label in labels.items()
        ]
        return pd.DataFrame(rows, columns=["effect", "term", *_EFFECTS])

    def glance(self) -> pd.DataFrame:
        """One row: studies, heterogeneity, correlations, joint test, flags."""
        fit, studies = self.fit, self.studies
        tau = np.sqrt(fit.tau2)
        row = {
            "k_first": fit.k[0],
            "k_second": fit.k[1],
            "k_both": fit.k_both,
            "tau_first": float(tau[0]),
            "tau_second": float(tau[1]),
            "rho": fit.rho,
            "rho_low": self.rho.low if self.rho else np.nan,
            "rho_high": self.rho.high if self.rho else np.nan,
            "error_correlation": float(studies["correlation"].median()),
            "joint_statistic": fit.joint.statistic,
            "joint_df1": fit.joint.df1,
            "joint_df2": fit.joint.df2,
            "joint_p_value": fit.joint.p_value,
        }
        names = ("method", "test", "variances", "level", "converged", "singular")
        row |= {c: getattr(self, c) for c in names} | {"flags": "; ".join(self.flags)}
        return pd.DataFrame([row])

    def _repr_html_(self) -> str:
        return html_table(self.tidy()) + html_table(self.glance())


def joint_options(parameters: Parameters) -> dict:
    """How a run's parameters translate: the bivariate model has REML and ML, t and normal tests."""
    return {
        "method": "ML" if parameters.tau2_method == "ML" else "REML",
        "test": "z" if parameters.ci_method == "wald" else "t",
        "level": parameters.level,
    }


def pool_joint(
    records: Sequence[Record],
    *,
    pair=PAIR,
    variant: str = "main",
    method: str = "REML",
    test: str = "t",
    variances: str = "robust",
    level: float = 0.95,
) -> JointPool:
    """Pool two coefficients of each study jointly, by default the two cross-lagged effects.

    Parameters
    ----------
    records : sequence of Record
        Of one analysis with joint covariances (lagged, crosslevel), one per study.
    pair : pair of (direction, term)
    variant : str
    method : {"REML", "ML"}
        Between-study covariance, unrestricted.
    test : {"t", "z"}
        As of :func:`twostage.stats.multilevel.pair.pool_pair`.
    variances : {"robust", "model"}
        Sampling covariance: the cluster-robust one of the record; or its correlation with the standard errors of
        the equations, which are those pooled elsewhere (with patients as clusters or the model's, as chosen).
    level : float
        Coverage of intervals and regions.

    Returns
    -------
    JointPool

    Raises
    ------
    ValueError
        No record, two of one study, different analyses, unknown options.
    NotEstimable
        Fewer than two studies with a direction, or none with both.

    Notes
    -----
    ``(b1_k, b2_k) ~ N((theta1, theta2), V_k + G)``, G the between-study covariance of both effects (van
    Houwelingen, Arends & Stijnen 2002, doi:10.1002/sim.1040). V_k is that of
    :func:`twostage.stats.mixed.stacked.stacked_covariance`. A study with one direction takes part with that one.
    """
    studies = [record.study for record in records]
    if len({record.analysis for record in records}) != 1 or len(set(studies)) != len(studies):
        found = ", ".join(f"{record.study}/{record.analysis}" for record in records) or "none"
        raise ValueError(f"records: found {found}; expected one analysis, one record per study")
    if variances not in VARIANCES:
        raise ValueError(f"variances must be one of {', '.join(VARIANCES)}; got {variances!r}")
    table, V, left_out = _gathered(records, pair, variant, variances)
    options: dict[str, Any] = {"method": method, "test": test, "level": level}
    Y = table[["first", "second"]].to_numpy(float)
    _check_possible(Y, pair)
    fit = pool_pair(Y, V, names=[":".join(p) for p in pair], labels=list(table["label"]), **options)
    rho = fit.fit.profile(fit.fit.components[2].term) if np.isfinite(fit.rho) else None
    return JointPool(tuple(pair), table, left_out, fit, rho, _flags(fit, rho), variances=variances, **options)


def _gathered(records, pair, variant, variances):
    """Table of the studies, their sampling covariances (k, 2, 2), and who lacks what."""
    rows, blocks, reasons = [], [], []
    for record in records:
        estimates, block, why = of_study(record, pair, variant, variances)
        reasons += [{"study": record.study, "direction": pair[j][0], "reason": r} for j, r in why.items()]
        if np.isfinite(estimates).any():
            error = np.sqrt(np.diag(block))
            row = {"study": record.study, "label": record.label}
            row |= {
                "first": estimates[0],
                "second": estimates[1],
                "first_se": error[0],
                "second_se": error[1],
            }
            row["correlation"] = block[0, 1] / (error[0] * error[1])
            joint = [c.n_patients for c in record.joint_covariances if c.variant == variant]
            rows.append(row | {"n_patients": joint[0]})
            blocks.append(block)
    columns = ["study", "label", "first", "second", "first_se", "second_se", "correlation", "n_patients"]
    left_out = pd.DataFrame(reasons, columns=["study", "direction", "reason"])
    return pd.DataFrame(rows, columns=columns), np.array(blocks).reshape(-1, 2, 2), left_out


def of_study(record, keys, variant, variances):
    """Some estimates of a study and their covariance matrix, NaN where missing, and the reason for each that is.

    Parameters
    ----------
    record : Record
    keys : sequence of (direction, term)
    variant : str
    variances : {"robust", "model"}

    Returns
    -------
    (m,) array, (m, m) array, dict of int to str
    """
    m = len(keys)
    estimates, block, why = np.full(m, np.nan), np.full((m, m), np.nan), {}
    table = record.tidy()
    table = table[table["variant"] == variant].set_index(["direction", "term"])
    failed = {f.direction: f.reason for f in record.failures if f.variant == variant}
    joint = {c.variant for c in record.joint_covariances}
    covariance = record.joint_covariance(variant) if variant in joint else pd.DataFrame()
    for j, key in enumerate(map(tuple, keys)):
        if key not in table.index:
            why[j] = failed.get(key[0], f"its record does not have {term_label(*key)}")
        elif not table.loc[key, "converged"]:
            why[j] = "the fit did not converge"
        elif key not in covariance.index:
            why[j] = NO_COVARIANCE
        else:
            estimates[j] = table.loc[key, "estimate"]
    have = [j for j in range(m) if np.isfinite(estimates[j])]
    known = [tuple(keys[j]) for j in have]
    if have:
        own = covariance.loc[known, known].to_numpy()
        if variances == "model":
            ratio = table.loc[known, "std_error"].to_numpy(float) / np.sqrt(np.diag(own))
            own = own * np.outer(ratio, ratio)
        block[np.ix_(have, have)] = own
    return estimates, block, why


def _check_possible(Y, pair) -> None:
    have = np.isfinite(Y)
    for (direction, term), n in zip(pair, have.sum(axis=0), strict=True):
        if n < 2:
            raise NotEstimable(
                f"{term_label(direction, term)} is known from {n} of the studies, and at least two are needed"
            )
    if not have.all(axis=1).any():
        raise NotEstimable("no study has both directions, so their correlation between studies is unknown")


def _flags(fit: PairFit, rho: ProfileInterval | None) -> tuple[str, ...]:
    flags = [] if fit.converged else ["the fit did not converge"]
    if min(fit.k) == 2:
        flags.append(
            "two studies allow no joint region or test, and their intervals have one degree of freedom"
        )
    if fit.k_both < 3:
        flags.append(f"the correlation between studies rests on {fit.k_both} studies with both directions")
    if rho is None:
        flags.append("a between-study variance is estimated as 0: the correlation is not defined")
    else:
        if abs(fit.rho) > 1.0 - BOUND:
            flags.append(f"the between-study correlation is estimated at its bound, {round(fit.rho)}")
        if rho.low_bounded and rho.high_bounded:
            flags.append("every between-study correlation from -1 to 1 is compatible with the data")
        if not rho.converged:
            flags.append("the interval of the between-study correlation did not converge")
    return (*flags, *([fit.note] if fit.note else []))
