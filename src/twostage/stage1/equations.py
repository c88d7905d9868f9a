"""Stage 1: one study's panel -> estimates.

The article's estimator, `centred`: two-level models of the next session's score on the person-mean
centred scores of this session and the person means, one model per direction (see the methods page).
It is biased in short series (Nickell 1981, doi:10.2307/1911408); the book shows which way and by how much.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, singledispatch

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from twostage.stage1.estimates import Equation, Equations, StudyEstimates, collect, counted, require
from twostage.stage1.panel import ROUNDING, Panel, varies
from twostage.stage1.vocabulary import LOST_OUTCOME, OUTCOME_CONTROLS, lost_lagged
from twostage.stats.base import attempt
from twostage.stats.mixed import MixedFit, MixedSums, clustered, fit_mixed, influence, with_clustered_errors
from twostage.terms import DIRECTIONS, Direction

#: Exact agreement happens with constant scores, and when own lines are removed from three sessions.
NO_RESIDUAL = "the predictors reproduce the outcome exactly: no residual variance is left"

#: Share of y'y that is more residual than rounding in cross-products could be.
CLEAR = 1e-6


@singledispatch
def lagged(panel: Panel, *, occasions: bool = False, groups: bool = False) -> StudyEstimates:
    """Reciprocal lagged within-patient effects.

    Equation, for each direction (here x -> y)::

        y[i,t+1] = g0 + g1 xw[i,t] + g2 yw[i,t] + g3 xm[i] + g4 ym[i] + u[i] + e[i,t]

    by REML with a random intercept u (and, with ``random_slopes``, random g1 and g2, unstructured). Standard errors take
    patients as clusters (CR2, :mod:`twostage.stats.mixed.clustered`), or are the model's with ``stage1_errors="model"``,
    both with Satterthwaite degrees of freedom: the variance of the intercept is mostly estimated at 0, and then the model
    counts all sessions of a patient as independent, so that its errors of the cross-lag are a tenth too small. The
    coefficients of both directions get a common covariance matrix, cluster-robust with patients as clusters
    (:func:`twostage.stats.mixed.stacked.stacked_covariance`).

    Parameters
    ----------
    panel : Panel
    occasions : bool
        Whether to add an effect of each session of the outcome but the first (estimator `centred_occasions`,
        terms `session_3`, ...): what moves all patients alike from one session to the next, such as a common
        trend, then no longer counts as their deviation.
    groups : bool
        Whether the patients of one therapist are one cluster, of the errors and of the random intercept; who has no
        therapist is a cluster alone.

    Returns
    -------
    StudyEstimates

    References
    ----------
    Flückiger et al. (2020), doi:10.1037/ccp0000594; Curran & Bauer (2011),
    doi:10.1146/annurev.psych.093008.100356. Checked against lmerTest (tests/reference).

    Examples
    --------
    >>> import twostage as ts
    >>> panel = ts.make_panel(ts.read_collection("data").study("S02"), standardize="within")
    >>> estimates = ts.lagged(panel).tidy()
    >>> cross = estimates.query("direction == 'x_to_y' and term == 'x_within'")
    >>> cross[["estimate", "std_error", "df"]].round(3)
       estimate  std_error      df
    1     -0.13      0.047  74.216
    """
    if not occasions:
        return _both_directions(panel, "lagged", _design_lagged, groups)
    result = _both_directions(panel, "lagged", partial(_design_occasions, lag=panel.parameters.lag), groups)
    return replace(result, table=result.table.assign(estimator="centred_occasions"))


@singledispatch
def crosslevel(panel: Panel) -> StudyEstimates:
    """Does the cross-lagged effect depend on the patient's means?

    Adds to :func:`lagged` the products of the cross-lagged predictor with both person means, the means
    centred on the study mean, so that the cross-lag is the one of an average patient.
    """
    return _both_directions(panel, "crosslevel", _design_crosslevel)


@singledispatch
def outcome(panel: Panel) -> StudyEstimates:
    """Early x and the outcome, given intake.

    ``post[i] = b0 + b1 early_x[i] + b2 pre[i] + e[i]``; the effect is the partial correlation r_p of early x
    with post given pre, as Fisher's z with variance 1/(n - 4), and the standardized b1. The variant `given early y too`
    adds ``b3 early_y[i]``, variance 1/(n - 5): patients with a high x often have a low y by then, and without it that is
    taken for an effect of x.

    Parameters
    ----------
    panel : Panel
        Early x is the patient's mean of x over first_session..early_last_session.

    Returns
    -------
    StudyEstimates
        Terms `partial_r_z` and `x_early_standardized`, direction `x_to_y`; variants `main` and `given early y too`.

    Notes
    -----
    r_p = t / sqrt(t^2 + df) with t of b1 and its degrees of freedom, n - 3 or n - 4. Checked by hand algebra and
    against R's lm in tests.
    """
    results: Equations = {}
    for variant, controls in OUTCOME_CONTROLS.items():
        rows = outcome_rows(panel, controls)
        results[variant, "x_to_y"] = attempt(_fit_outcome, rows, controls, panel.parameters.level)
        if not results[variant, "x_to_y"]:
            break  # What the plain analysis lacks the other lacks too: one reason is enough.
    return collect(panel, "outcome", results, LOST_OUTCOME)


def outcome_rows(panel: Panel, controls: Sequence[str] = ("pre",)) -> pd.DataFrame:
    """Complete cases of an outcome analysis: patient, x_early, the controls (pre, or y_early too), post."""
    columns = ["patient", "x_early", *controls, "post"]
    if panel.patients is None or not {"pre", "post"} <= set(panel.patients):
        return pd.DataFrame(columns=columns, dtype=float)
    early = panel.sessions[panel.sessions["session"] <= panel.parameters.early_last_session]
    means = early.groupby("patient")[["x", "y"]].mean().rename(columns="{}_early".format).reset_index()
    rows = means.merge(panel.patients[["patient", "pre", "post"]], on="patient")
    return rows[columns].dropna().reset_index(drop=True)


def _design_lagged(rows: pd.DataFrame, direction: Direction) -> pd.DataFrame:
    return rows.assign(intercept=1.0)[list(direction.lagged)]


def _design_occasions(rows: pd.DataFrame, direction: Direction, lag: int) -> pd.DataFrame:
    outcome_session = rows["session"] + lag
    effects = {
        f"session_{t}": (outcome_session == t).astype(float) for t in sorted(outcome_session.unique())[1:]
    }
    return _design_lagged(rows, direction).assign(**effects)


def _design_crosslevel(rows: pd.DataFrame, direction: Direction) -> pd.DataFrame:
    per_patient = rows.drop_duplicates("patient")
    centred = rows.assign(**{m: rows[m] - per_patient[m].mean() for m in ("x_mean", "y_mean")})
    design = _design_lagged(centred, direction)
    products = {
        term: centred[direction.cross] * centred[term.split(":")[1]] for term in direction.interactions
    }
    return design.assign(**products)


def _both_directions(panel: Panel, analysis: str, design: Callable, groups: bool = False) -> StudyEstimates:
    rows, patients = panel.numbered_transitions()
    rows = rows.assign(cluster=_groups(panel, patients)[rows["patient"]] if groups else rows["patient"])
    directions = DIRECTIONS.items()
    results = {
        ("main", name): attempt(_fit_mixed, rows, d, panel.parameters, design) for name, d in directions
    }
    return collect(panel, analysis, results, lost_lagged(panel.parameters))


def has_groups(panel: Panel) -> bool:
    """Whether the study says of anybody who treated them."""
    return panel.patients is not None and "therapist" in panel.patients and bool(_known(panel.patients).any())


def _known(patients: pd.DataFrame) -> pd.Series:
    return patients["therapist"].notna() & (patients["therapist"].astype(str) != "")


def _groups(panel: Panel, patients: pd.Index) -> np.ndarray:
    """A number for each patient's therapist; one of their own for those without."""
    named: dict = {}
    if panel.patients is not None and has_groups(panel):
        known = panel.patients[_known(panel.patients)]
        named = dict(zip(known["patient"], known["therapist"], strict=True))
    who = [("of", named[p]) if p in named else ("alone", p) for p in patients]
    return pd.factorize(pd.Series(who, dtype=object))[0]


def _fit_mixed(rows, direction, parameters, design) -> Equation:
    rows = rows.dropna(subset=[f"{direction.outcome}_next"])
    table = design(rows, direction)
    names, X = list(table), table.to_numpy()
    require(len(X) > len(names) + 1, f"{len(X)} transitions are too few for {len(names)} coefficients")
    for name in ("x", "y"):
        require(varies(rows[f"{name}_within"], rows[f"{name}_mean"]), f"{name} does not vary within patients")
    y, clusters = rows[f"{direction.outcome}_next"].to_numpy(), rows["cluster"].to_numpy()
    require(_leaves_residual(y, X, rows["patient"].to_numpy()), NO_RESIDUAL)
    n_clusters, n_patients = rows["cluster"].nunique(), rows["patient"].nunique()
    few = f"{n_clusters} groups of patients are too few for {len(names)} coefficients"
    require(n_clusters > len(names) or n_clusters == n_patients, few)
    Z = table[["intercept", direction.cross, direction.auto]].to_numpy() if parameters.random_slopes else None
    fit = fit_mixed(y, X, clusters, Z, names=names)
    labels, added = influence(fit, y, X, clusters, Z)
    if parameters.stage1_errors != "model":
        fit = with_clustered_errors(fit, clustered(fit, y, X, clusters, Z))
    estimates = fit.tidy(parameters.level).assign(converged=fit.converged, singular=fit.singular)
    covariance = pd.DataFrame(fit.cov_coef, index=names, columns=names)
    each = pd.DataFrame(added, index=labels, columns=names)
    return Equation(counted(estimates, n_patients, len(X)), covariance, summary(fit), each)


def _leaves_residual(y: np.ndarray, X: np.ndarray, patients: np.ndarray) -> bool:
    """Whether predictors and patients' own levels leave some of y to a residual (or are too many to tell)."""
    # Cross-products are quick, and have the digits to tell that much is left.
    if MixedSums(tuple(map(str, range(X.shape[1])))).add(y, X, patients).leaves_residual(CLEAR):
        return True
    columns = pd.DataFrame(np.column_stack([y, X]))
    within = (columns - columns.groupby(patients).transform("mean")).to_numpy()
    coefficients, _, rank, _ = np.linalg.lstsq(within[:, 1:], within[:, 0], rcond=ROUNDING)
    residual = within[:, 0] - within[:, 1:] @ coefficients
    spare = len(y) - len(np.unique(patients)) - rank
    return spare < 1 or bool(residual @ residual > ROUNDING * (y @ y))


def summary(fit: MixedFit) -> dict:
    """What a record says of a fitted equation."""
    return {
        "loglik": fit.loglik,
        "sigma2": fit.sigma2,
        "re_variance": float(fit.cov_re[0, 0]),
        "converged": fit.converged,
        "singular": fit.singular,
        "evaluations": fit.optimiser.evaluations,
    }


def _ols(y, X):
    # It takes a second to import, scipy.stats above all: what fits nothing, such as a run without changes, does without.
    from statsmodels.regression.linear_model import OLS

    return OLS(y, X).fit()


def _ols_summary(fit) -> dict:
    summary = {"loglik": fit.llf, "sigma2": fit.scale, "re_variance": None}
    return summary | {"converged": True, "singular": False, "evaluations": 1}


def _ols_table(fit, level: float) -> pd.DataFrame:
    low_high = fit.conf_int(alpha=1 - level)
    return pd.DataFrame(
        {
            "term": list(fit.params.index),
            "estimate": fit.params.to_numpy(),
            "std_error": fit.bse.to_numpy(),
            "df": fit.df_resid,
            "statistic": fit.tvalues.to_numpy(),
            "p_value": fit.pvalues.to_numpy(),
            "ci_low": low_high[0].to_numpy(),
            "ci_high": low_high[1].to_numpy(),
            "converged": True,
            "singular": False,
        }
    )


def _fit_outcome(rows, controls, level) -> Equation:
    n, names = len(rows), ["x_early", *controls]
    require(n > len(names) + 2, too_few_outcomes(n, controls))
    for name in (*names, "post"):
        require(varies(rows[name], rows[name]), f"{name} does not vary")
    scores = rows[[*names, "post"]]
    standardized = (scores - scores.mean()) / scores.std(ddof=1)
    X = standardized[names]
    X.insert(0, "const", 1.0)
    require(np.linalg.matrix_rank(X.to_numpy()) == len(names) + 1, SAME_OUTCOMES[len(controls) > 1])
    fit = _ols(standardized["post"], X)
    require(fit.ssr > ROUNDING * fit.uncentered_tss, NO_RESIDUAL)
    beta = _ols_table(fit, level).query("term == 'x_early'").assign(term="x_early_standardized")
    t, df = float(fit.tvalues["x_early"]), float(fit.df_resid)
    table = pd.concat([fisher_z(t / np.sqrt(t**2 + df), n - len(controls), level), beta], ignore_index=True)
    terms = list(table["term"])
    covariance = pd.DataFrame(np.diag(table["std_error"] ** 2), index=terms, columns=terms)
    # The two are alternatives for the same effect and never pooled together: their covariance is not needed.
    covariance.iloc[0, 1] = covariance.iloc[1, 0] = np.nan
    return Equation(counted(table, n, 0), covariance, _ols_summary(fit))


#: Why early x has no coefficient of its own, beside intake, and beside early y too.
SAME_OUTCOMES = (
    "early x and intake are the same up to scale",
    "early x, early y and intake say the same: one follows from the others",
)


def too_few_outcomes(n: int, controls: Sequence[str]) -> str:
    """That fewer patients have all scores than a partial correlation takes."""
    early = "early x and y" if "y_early" in controls else "early x"
    return f"{n} patients with {early}, intake and outcome are too few ({len(controls) + 4} are needed)"


def fisher_z(r: float, n: int, level: float) -> pd.DataFrame:
    """A partial correlation on Fisher's scale, as a row of a table; n: of patients, less the controls."""
    z, se = float(np.arctanh(r)), 1 / np.sqrt(n - 3)
    half = ndtri(0.5 + level / 2) * se
    row = {"term": "partial_r_z", "estimate": z, "std_error": se, "df": np.inf, "statistic": z / se}
    row |= {"p_value": 2 * ndtr(-abs(z / se)), "ci_low": z - half, "ci_high": z + half}
    return pd.DataFrame([row | {"converged": True, "singular": False}])
