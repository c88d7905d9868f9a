"""The pair pooled jointly as tables and sentences for the book."""

import numpy as np
import pandas as pd

from twostage.collection import Collection
from twostage.display import MISSING, count, interval, number, number_in, p_value, rows_of
from twostage.pages.joint.analysis import JointPool
from twostage.stage2 import Attempt, PooledTable
from twostage.terms import arrow
from twostage.words import say


def _arrows(result: JointPool, collection: Collection) -> list[str]:
    return [arrow(direction, collection.x.label, collection.y.label) for direction, _ in result.pair]


def joint_table(result: JointPool, collection: Collection) -> pd.DataFrame:
    """Both pooled effects and their difference; all text."""
    names = [*_arrows(result, collection), "difference"]
    fit, level = result.fit, f"{100 * result.level:g} % CI"
    rows = []
    for name, x in zip(names, (fit.first, fit.second, fit.difference), strict=True):
        row = {
            "effect": name,
            "estimate": number_in(x.estimate, x.ci_low, x.ci_high, 3),
            level: interval(x.ci_low, x.ci_high, 3),
        }
        row |= {"statistic": number(x.statistic), "df": number(x.df, 0), "p": p_value(x.p_value)}
        rows.append(row)
    return pd.DataFrame(rows)


def heterogeneity(result: JointPool, collection: Collection) -> pd.DataFrame:
    """Between-study SDs and correlation with profile-likelihood intervals; all text."""
    level, rows = f"{100 * result.level:g} % CI", []
    for name, component in zip(_arrows(result, collection), result.fit.fit.components, strict=False):
        ends = result.fit.fit.profile(component.term)
        sd = [float(np.sqrt(v)) for v in (component.estimate, ends.low, ends.high)]
        rows.append(
            {
                "between studies": f"τ, {name}",
                "estimate": number_in(sd[0], sd[1], sd[2], 3),
                level: interval(sd[1], sd[2], 3),
            }
        )
    rho = {"between studies": "correlation", "estimate": "not estimable", level: MISSING}
    if result.rho is not None and result.knows_rho:
        rho |= {
            "estimate": number_in(result.fit.rho, result.rho.low, result.rho.high),
            level: interval(result.rho.low, result.rho.high),
        }
    rows.append(rho)
    return pd.DataFrame(rows)


def joint_study_table(result: JointPool, collection: Collection) -> pd.DataFrame:
    """Each study's pair with standard errors and the correlation of their errors; all text."""
    first, second = _arrows(result, collection)
    rows = []
    for s in rows_of(result.studies):
        row = {"study": s.label, "patients": count(s.n_patients), first: number(s.first)}
        row |= {"standard error": number(s.first_se, 3), second: number(s.second)}
        rows.append(row | {"standard error ": number(s.second_se, 3), "correlation": number(s.correlation)})
    return pd.DataFrame(rows)


def joint_comparison(
    found: dict[str, Attempt], separate: PooledTable, collection: Collection
) -> pd.DataFrame:
    """The pair pooled separately, and jointly with each kind of sampling variance; all text."""
    rows = []
    pair = next((a.result.pair for a in found.values() if a), ())
    for j, (direction, term) in enumerate(pair):
        name = arrow(direction, collection.x.label, collection.y.label)
        row = separate.row(direction, term)
        rows.append((name, "separately", row["estimate"], row["ci_low"], row["ci_high"], row["tau2"]))
        for variances, a in found.items():
            if a:
                x = (a.result.fit.first, a.result.fit.second)[j]
                how = f"jointly, {'common variances' if variances == 'robust' else 'variances of the equations'}"
                rows.append((name, how, x.estimate, x.ci_low, x.ci_high, a.result.fit.tau2[j]))
    level = f"{100 * separate.level:g} % CI"
    return pd.DataFrame(
        [
            {
                "effect": n,
                "pooled": how,
                "estimate": number_in(e, lo, hi, 3),
                level: interval(lo, hi, 3),
                "τ": number(t**0.5, 3),
            }
            for n, how, e, lo, hi, t in rows
        ],
        columns=["effect", "pooled", "estimate", level, "τ"],
    )


def joint_sentences(found: Attempt, collection: Collection) -> dict[str, str]:
    """What came out in words: effects, difference, region, correlation, remarks."""
    if not found:
        names = ("effects", "difference", "region", "correlation")
        return dict.fromkeys(names, "") | {"remarks": say(found.words)}
    result = found.result
    return {
        "effects": _effects(result, collection),
        "difference": _difference(result),
        "region": _region(result),
        "correlation": _correlation(result),
        "remarks": _remarks(result),
    }


def _with_interval(contrast, level, digits=3) -> str:
    ends = interval(contrast.ci_low, contrast.ci_high, digits)
    estimate = number_in(contrast.estimate, contrast.ci_low, contrast.ci_high, digits)
    return f"{estimate} ({100 * level:g} % CI {ends})"


def _effects(result, collection) -> str:
    fit, (first, second) = result.fit, _arrows(result, collection)
    return (
        f"Pooled jointly, {first} is {_with_interval(fit.first, result.level)} in {fit.k[0]} studies and {second} "
        f"{_with_interval(fit.second, result.level)} in {fit.k[1]}; {fit.k_both} studies have both."
    )


def _difference(result) -> str:
    x = result.fit.difference
    p = p_value(x.p_value)
    verdict = (
        "the data tell the two apart"
        if x.ci_low > 0 or x.ci_high < 0
        else "the data do not tell the two apart"
    )
    text = _with_interval(x, result.level)
    return f"The first minus the second is {text}, p {p if p.startswith('<') else '= ' + p}: {verdict}."


def _region(result) -> str:
    found, joint = result.region(), result.fit.joint
    if found is None:
        return "There are too few studies for a joint region of both effects."
    zero = "does not contain" if not found.contains([0.0, 0.0]) else "contains"
    p = p_value(joint.p_value)
    test = f"F({joint.df1}, {number(joint.df2, 0)}) = {number(joint.statistic)}"
    if np.isinf(joint.df2):
        test = f"χ²(2) = {number(2 * joint.statistic)}"
    return (
        f"The joint {100 * result.level:g} % region of both effects {zero} the point where both are 0 ({test}, "
        f"p {p if p.startswith('<') else '= ' + p})."
    )


def _correlation(result) -> str:
    errors = number(float(result.studies["correlation"].median()))
    within = f"Within studies the sampling errors of the two estimates are correlated {errors} (median)."
    if result.rho is None:
        return (
            f"{within} The correlation of the true effects between studies is not defined, because one of them does "
            "not vary."
        )
    if not result.knows_rho:
        return (
            f"{within} The correlation of the true effects between studies is not estimable: every one from −1 to 1 is "
            "compatible with the data."
        )
    ends = interval(result.rho.low, result.rho.high)
    return (
        f"{within} Between studies the true effects of the two directions are correlated {number(result.fit.rho)} "
        f"({100 * result.level:g} % profile-likelihood interval {ends})."
    )


def _remarks(result) -> str:
    left = [
        f"{r.study} ({r.direction.replace('_to_', ' → ')}): {say(r.reason)}" for r in rows_of(result.left_out)
    ]
    parts = [f"Left out: {'; '.join(left)}."] if left else []
    if result.flags:
        parts.insert(0, f"Please note: {say('; '.join(result.flags))}.")
    return " ".join(parts)
