"""Small-study effects of a pooled cross-lagged effect, as tables and sentences for the book."""

import numpy as np
import pandas as pd

from twostage.display import MISSING, interval, number, p_value, with_interval
from twostage.pages.small_study.analysis import STEP, SmallStudyReport
from twostage.stage2 import Attempt

#: Fewer studies than this, and tests of asymmetry tell little (Sterne et al. 2011, doi:10.1136/bmj.d4002).
FEW = 10


_TESTS = ("test", "slope (SE)", "statistic", "p", "limit [CI]", "remark")


def asymmetry_table(report: SmallStudyReport) -> pd.DataFrame:
    """Tests of funnel asymmetry, one row each, all text; the remark says what is special or missing.

    The limit is the effect that a study without sampling error would have by the regression.
    """
    names = ("Egger, mixed model", "Egger, least squares")
    rows = [_egger_row(name, found) for name, found in zip(names, (report.mixed, report.lm), strict=True)]
    rank = {"test": "rank correlation", "remark": report.rank.reason}
    if report.rank:
        r = report.rank.result
        rank |= {"statistic": f"τ = {number(r.tau)}", "p": p_value(r.p_value), "remark": r.note}
    return pd.DataFrame([{c: row.get(c) or MISSING for c in _TESTS} for row in (*rows, rank)])


def _egger_row(name: str, found: Attempt) -> dict[str, str]:
    if not found:
        return {"test": name, "remark": found.reason}
    e = found.result
    df = "z" if np.isinf(e.df) else f"t({e.df:g})"
    return {
        "test": name,
        "slope (SE)": _together(f"{number(e.slope)} ({number(e.slope_se)})"),
        "statistic": f"{df} = {number(e.statistic)}",
        "p": p_value(e.p_value),
        "limit [CI]": _together(with_interval(e.limit, e.limit_ci_low, e.limit_ci_high, 3)),
        "remark": e.note,
    }


def adjusted_table(report: SmallStudyReport) -> pd.DataFrame:
    """The pooled effect as observed and under each adjustment, one row each, all text."""
    rows = [_effect_row("as observed", report.total, lambda fit: fit, lambda fit: "")]
    for (estimator, side), found in report.fills.items():
        name = f"trim-and-fill {estimator}, {side}"
        rows.append(_effect_row(name, found, lambda r: r.filled, lambda r: f"{r.k0} filled"))
    rows.append(_effect_row("selection model", report.selection, lambda r: r, _selection_remark))
    for name in ("PET", "PEESE"):
        rows.append(_line_row(name, report.petpeese))
    chosen = _effect_row("PET-PEESE", report.petpeese, lambda r: r, lambda r: f"{r.chosen} chosen")
    return pd.DataFrame([*rows, chosen])


def _effect_row(name: str, found: Attempt, fit, remark) -> dict[str, str]:
    if not found:
        return _row(name, remark=found.reason)
    f = fit(found.result)
    tau2 = getattr(f, "tau2", None)
    tau = MISSING if tau2 is None else number(float(np.sqrt(tau2)), 3)
    return _row(name, f.estimate, f.ci_low, f.ci_high, f.p_value, tau, str(f.k), remark(found.result))


def _line_row(name: str, found: Attempt) -> dict[str, str]:
    if not found:
        return _row(name, remark=found.reason)
    line, k = found.result.pet if name == "PET" else found.result.peese, str(found.result.k)
    ends = line.intercept_ci_low, line.intercept_ci_high
    return _row(name, line.intercept, *ends, line.intercept_p_value, k=k, remark=line.note)


def _row(
    name, estimate=None, low=None, high=None, p=None, tau=MISSING, k=MISSING, remark=""
) -> dict[str, str]:
    text = MISSING if estimate is None else _together(with_interval(estimate, low, high, 3))
    row = {"effect": name, "estimate [CI]": text, "p": p_value(p), "τ": tau, "k": k}
    return row | {"remark": remark or MISSING}


def _selection_remark(r) -> str:
    return f"relative weight of p > {STEP:g}: {number(float(r.delta[1]))}"


def smallstudy_sentences(report: SmallStudyReport) -> dict[str, str]:
    """What came out, in words: tests, fill, selection, petpeese -> sentences or the reason."""
    return {
        "tests": _tests_words(report),
        "fill": _fill_words(report),
        "selection": _selection_words(report.selection),
        "petpeese": _petpeese_words(report.petpeese),
    }


def _together(text: str) -> str:
    """Keep what belongs together on one line."""
    return text.replace(" ", "\u00a0")


def _equals(p: float) -> str:
    text = p_value(p)
    return _together(f"p {text}" if text.startswith("<") else f"p = {text}")


def _tests_words(report: SmallStudyReport) -> str:
    found = {
        "Egger's regression (mixed model)": report.mixed,
        "Egger's regression (least squares)": report.lm,
    }
    found["the rank correlation"] = report.rank
    done = {name: f.result.p_value for name, f in found.items() if f and np.isfinite(f.result.p_value)}
    if not done:
        reasons = dict.fromkeys(f.reason or f.result.note for f in found.values())
        return f"Not tested: {'; '.join(reasons)}."
    text = "Tests of asymmetry: " + ", ".join(f"{name} {_equals(p)}" for name, p in done.items()) + "."
    k = report.total.result.k
    return text + (f" With {k} studies these tests have little power." if k < FEW else "")


def _fill_words(report: SmallStudyReport) -> str:
    done = {key: f.result for key, f in report.fills.items() if f}
    if not done:
        return next(iter(report.fills.values())).words
    added = {key: r for key, r in done.items() if r.k0}
    if not added:
        return "Trim-and-fill adds no study on either side."
    parts = [
        f"{r.k0} on the {side} by {estimator} (pooled {number(r.filled.estimate, 3)} "
        f"{interval(r.filled.ci_low, r.filled.ci_high, 3)})"
        for (estimator, side), r in added.items()
    ]
    return f"Trim-and-fill adds {', '.join(parts)}."


def _selection_words(found: Attempt) -> str:
    if not found:
        return f"Selection model: {found.words[0].lower()}{found.words[1:]}"
    r = found.result
    return (
        f"The selection model's effect is {with_interval(r.estimate, r.ci_low, r.ci_high, 3)}; test of selection "
        f"{_equals(r.lrt_p_value)}."
    )


def _petpeese_words(found: Attempt) -> str:
    if not found:
        return f"PET-PEESE: {found.words[0].lower()}{found.words[1:]}"
    r = found.result
    return f"PET-PEESE takes {r.chosen}: {with_interval(r.estimate, r.ci_low, r.ci_high, 3)}."
