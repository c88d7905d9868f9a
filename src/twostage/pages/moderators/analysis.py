"""Moderators of a pooled coefficient, one at a time: what can be tested is, what cannot is named with the reason."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from twostage.display import html_table
from twostage.pages.moderators.formula import Moderators, moderators
from twostage.pages.moderators.studies import StudyModerator
from twostage.stage2 import Attempt, PooledTable, attempt
from twostage.stats.base import holm
from twostage.stats.pool import MetaRegression, locationscale, permutation_test, subgroups
from twostage.terms import DIRECTIONS

#: Studies a category needs, and residual degrees of freedom a test needs, to be worth making.
LEAST_STUDIES, LEAST_DF = 2, 3


#: Arrangements of a permutation test, and its seed.
ARRANGEMENTS, SEED = 2000, 1


#: Estimators of a location-scale model; with another choice REML is taken.
LIKELIHOOD = ("REML", "ML")


_TESTED = ["k", "coefficients", "slope", "ci_low", "ci_high", "statistic", "df", "df2", "p_value"]


_TESTED += ["permutation_p_value", "holm_p_value", "r2", "tau", "tau_low", "tau_high", "i2"]


@dataclass(frozen=True)
class Moderation:
    """Meta-regressions of one coefficient on one moderator each.

    Attributes
    ----------
    direction, term : str
    table : pandas.DataFrame
        moderator, label, k, coefficients, slope with its interval (numbers only), omnibus statistic with df, df2 and
        p_value, permutation_p_value, holm_p_value (that, adjusted over the moderators tested), r2, residual tau with
        its Q-profile interval, i2.
    fits : dict
        Moderator -> :class:`twostage.stats.pool.metareg_results.MetaRegression`.
    designs : dict
        Moderator -> :class:`twostage.pages.moderators.formula.Moderators`.
    studies : dict
        Moderator -> the studies' rows behind the fit.
    aside : tuple of str
        Sentences: which moderators could not be tested, which studies were set aside, and why.
    """

    direction: str
    term: str
    table: pd.DataFrame
    fits: dict[str, MetaRegression] = field(repr=False)
    designs: dict[str, Moderators] = field(repr=False)
    studies: dict[str, pd.DataFrame] = field(repr=False)
    aside: tuple[str, ...]

    def tidy(self) -> pd.DataFrame:
        """One row per moderator tested."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row: how many moderators were tested and how many could not be."""
        counts = {"tested": len(self.table), "set_aside": len(self.aside)}
        return pd.DataFrame([{"direction": self.direction, "term": self.term} | counts])

    def _repr_html_(self) -> str:
        return html_table(self.table.drop(columns="moderator"))


def one_at_a_time(
    pooled: PooledTable,
    direction: str,
    table: pd.DataFrame,
    wanted: Sequence[StudyModerator],
    *,
    term: str | None = None,
    n: int = ARRANGEMENTS,
    seed: int = SEED,
) -> Moderation:
    """Regress one pooled coefficient on each moderator by itself.

    Parameters
    ----------
    pooled : PooledTable
        Whose method, interval and level are used.
    direction : str
    table : pandas.DataFrame
        Of :func:`twostage.pages.moderators.studies.moderator_table`.
    wanted : sequence of StudyModerator
    term : str, optional
        Default: the cross-lagged effect.
    n, seed : int
        Arrangements and seed of the permutation tests.

    Returns
    -------
    Moderation
        Studies without a value and studies alone in their category are set aside for that moderator; a moderator that
        is constant, has one category left or leaves fewer than 3 residual degrees of freedom is not tested. Each is
        named.
    """
    term = DIRECTIONS[direction].cross if term is None else term
    data = _data(pooled, direction, term, table)
    rows, fits, designs, studies, aside = [], {}, {}, {}, []
    for moderator in wanted:
        used, words = usable(data, moderator)
        found = attempt(_fitted, used, moderator, pooled)
        aside += words
        if not found:
            aside.append(f"{capital(moderator.label)} is not tested: {found.reason}.")
            continue
        design, fit = found.result
        fits[moderator.name], designs[moderator.name], studies[moderator.name] = fit, design, used.result
        rows.append({"moderator": moderator.name, "label": moderator.label} | _test(fit, moderator, n, seed))
    tested = pd.DataFrame(rows, columns=["moderator", "label", *_TESTED])
    tested["holm_p_value"] = holm(tested["permutation_p_value"].to_numpy(float))
    return Moderation(direction, term, tested, fits, designs, studies, tuple(aside))


def _fitted(used: pd.DataFrame, moderator: StudyModerator, pooled: PooledTable):
    formula = f"~ C({moderator.name})" if moderator.category else f"~ {moderator.name}"
    design = moderators(used.set_index("label"), formula)
    return design, design.fit(*_numbers(used), labels=list(used["label"]), **_how(pooled))


def _data(pooled: PooledTable, direction: str, term: str, table: pd.DataFrame) -> pd.DataFrame:
    estimates = pooled.studies(direction, term)[["study", "estimate", "std_error"]]
    return estimates.merge(table, on="study", how="left", validate="one_to_one")


def _numbers(data: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return data["estimate"].to_numpy(float), data["std_error"].to_numpy(float) ** 2


def _how(pooled: PooledTable) -> dict:
    return {"method": pooled.method, "ci": pooled.ci, "level": pooled.level}


def capital(text: str) -> str:
    """The text with a capital letter first."""
    return text[:1].upper() + text[1:]


def usable(data: pd.DataFrame, moderator: StudyModerator) -> tuple[Attempt, list[str]]:
    """The studies with which a moderator can be tested, and in words what is set aside.

    Returns
    -------
    data : Attempt of pandas.DataFrame
    words : list of str
    """
    name, label, words = moderator.name, capital(moderator.label), []
    unknown = data[name].isna()
    if unknown.any() and not unknown.all():
        words.append(f"{label}: not known for {', '.join(data.loc[unknown, 'label'])}.")
    used, coefficients = data[~unknown], 2
    if moderator.category and len(used):
        sizes = used[name].value_counts()
        rare = used[name].map(sizes) < LEAST_STUDIES
        if rare.any():
            alone = [f"{r['label']} ({r[name]})" for r in used[rare].to_dict("records")]
            words.append(f"{label}: left out, because they are alone in their category: {', '.join(alone)}.")
        used = used[~rare]
        coefficients = max(used[name].nunique(), 2)
    reason = "it is not known for any study" if unknown.all() else _reason(used[name], coefficients)
    return Attempt(used.reset_index(drop=True), reason), words


def _reason(values: pd.Series, coefficients: int) -> str:
    """Why these values allow no test; empty if they do."""
    if values.empty:
        return "no two studies share a category"
    if values.nunique() == 1:
        return f"it is the same in all {len(values)} studies ({values.iloc[0]})"
    if len(values) - coefficients < LEAST_DF:
        return f"{len(values)} studies are too few for {coefficients} coefficients"
    return ""


def _test(fit: MetaRegression, moderator: StudyModerator, n: int, seed: int) -> dict:
    slope = {"slope": np.nan, "ci_low": np.nan, "ci_high": np.nan}
    if not moderator.category:
        slope = {"slope": fit.coef[1], "ci_low": fit.ci_low[1], "ci_high": fit.ci_high[1]}
    ends = {"tau_low": np.nan, "tau_high": np.nan}
    if fit.method != "FE":
        found = fit.qprofile()
        ends = {"tau_low": found.tau_low, "tau_high": found.tau_high}
    permuted = permutation_test(fit, n=n, seed=seed)
    test = {"statistic": fit.qm, "df": fit.qm_df, "df2": fit.qm_df2, "p_value": fit.qm_p_value}
    residual = {"r2": fit.r2, "tau": fit.tau, "i2": fit.i2}
    counts = {"k": fit.k, "coefficients": len(fit.names)}
    return counts | slope | test | {"permutation_p_value": permuted.qm_p_value} | residual | ends


def predictions(moderation: Moderation, wanted: Sequence[StudyModerator]) -> pd.DataFrame:
    """Effects expected at the least, median and largest value of a number, and in every category.

    Returns
    -------
    pandas.DataFrame
        moderator, label, at, k (studies of a category), estimate, ci_low, ci_high, pi_low, pi_high.
    """
    parts = []
    for moderator in (m for m in wanted if m.name in moderation.fits):
        used = moderation.studies[moderator.name][moderator.name]
        counts: list[Any]
        if moderator.category:
            settings = list(dict.fromkeys(used))
            counts = [int((used == value).sum()) for value in settings]
        else:
            settings, counts = [used.min(), used.median(), used.max()], [pd.NA] * 3
        at = pd.DataFrame({moderator.name: settings})
        found = moderation.designs[moderator.name].predict(moderation.fits[moderator.name], at).tidy()
        named = {"moderator": moderator.name, "label": moderator.label, "at": settings, "k": counts}
        numbers = found[["estimate", "ci_low", "ci_high", "pi_low", "pi_high"]]
        parts.append(pd.DataFrame(named).astype({"at": object}).join(numbers))
    columns = ["moderator", "label", "at", "k", "estimate", "ci_low", "ci_high", "pi_low", "pi_high"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def grouped(
    pooled: PooledTable,
    direction: str,
    table: pd.DataFrame,
    moderator: StudyModerator,
    term: str | None = None,
) -> Attempt:
    """Subgroups of the studies by a category, with a common tau2 (subgroups are small): Attempt of SubgroupFit."""
    term = DIRECTIONS[direction].cross if term is None else term
    data = _data(pooled, direction, term, table)
    groups, labels = data[moderator.name].fillna("not known").tolist(), list(data["label"])
    return attempt(subgroups, *_numbers(data), groups, tau2="common", labels=labels, **_how(pooled))


def heterogeneity_moderated(
    pooled: PooledTable,
    direction: str,
    table: pd.DataFrame,
    moderator: StudyModerator,
    term: str | None = None,
) -> Attempt:
    """Whether heterogeneity itself depends on a number: ``log tau2_i = a0 + a1 z_i``, the number in the mean as well.

    Returns
    -------
    Attempt of LocationScale
        The likelihood needs REML or ML; with another estimator REML is used.
    """
    term = DIRECTIONS[direction].cross if term is None else term
    used, _ = usable(_data(pooled, direction, term, table), moderator)
    found = attempt(_location_scale, used, moderator, pooled)
    if found and not found.result.converged:
        return Attempt(None, found.result.note or "the likelihood has no finite maximum")
    return found


def _location_scale(used: pd.DataFrame, moderator: StudyModerator, pooled: PooledTable):
    z = used[[moderator.name]]
    how = _how(pooled) | {"method": pooled.method if pooled.method in LIKELIHOOD else "REML"}
    return locationscale(*_numbers(used), z, z, labels=list(used["label"]), **how)
