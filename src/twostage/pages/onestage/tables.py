"""One stage and two as tables and sentences."""

import pandas as pd

from twostage.collection import Collection
from twostage.display import count, interval, number, number_in, row_of, rows_of, with_interval
from twostage.pages.onestage.analysis import SEPARATE, TWO_STAGE, OneStageComparison
from twostage.stage2 import Attempt
from twostage.terms import DIRECTIONS, arrow, term_label
from twostage.words import say

#: A step below this many standard errors is called none.
NO_STEP = 0.005

#: Said of every number that rests on joined cells and a variance between patients.
APPROXIMATE = " (approximate)"


def stages_table(result: OneStageComparison, collection: Collection) -> pd.DataFrame:
    """Both lagged effects by every way; all text."""
    level, rows = f"{100 * result.level:g} % CI", []
    for row in rows_of(result.table):
        effect = term_label(result.direction, row.term, collection.x.label, collection.y.label)
        how = row.way if row.exact else f"{row.way}{APPROXIMATE}"
        shown = {"effect": effect, "how": how, "studies": count(row.k)}
        shown |= {
            "estimate": number_in(row.estimate, row.ci_low, row.ci_high, 3),
            level: interval(row.ci_low, row.ci_high, 3),
        }
        rows.append(shown | {"τ": number(row.tau, 3)})
    return pd.DataFrame(rows)


def stages_study_table(result: OneStageComparison, collection: Collection) -> pd.DataFrame:
    """The effects of each study by itself and given all, and its weights; all text.

    Of the lagged effects the cross-lagged one.
    """
    shown = _shown(result)
    own = result.studies[result.studies["term"].isin(shown)]
    rows = [
        ({"study": s.label} | ({"effect": _name(result, s.term, collection)} if len(shown) > 1 else {}))
        | {"by itself": number(s.estimate, 3), "standard error": number(s.std_error, 3)}
        | {"given all studies": number(s.given_all, 3), "weight, one stage": f"{number(s.weight, 1)} %"}
        | {"weight, two stages": f"{number(s.weight_two_stage, 1)} %"}
        | {"residual SD": number(s.sigma2**0.5), "SD between patients": number(s.re_variance**0.5)}
        | {"cells joined": f"yes{'' if s.exact else APPROXIMATE}" if s.joined else "no"}
        for s in rows_of(own)
    ]
    return pd.DataFrame(rows).rename(columns=say)


def _shown(result: OneStageComparison) -> tuple[str, ...]:
    """The effects that are spoken of: the cross-lag, or both cross-level ones."""
    cross = DIRECTIONS[result.direction].cross
    return (cross,) if cross in result.fit.names else result.fit.names


def _name(result: OneStageComparison, term: str, collection: Collection) -> str:
    """An effect's name in a sentence or a column."""
    names = collection.x.label, collection.y.label
    if term == DIRECTIONS[result.direction].cross:
        return arrow(result.direction, *names)
    return term_label(result.direction, term, *names)


def stages_sentences(found: dict[str, Attempt], collection: Collection) -> dict[str, str]:
    """What came out in words: a sentence per direction and effect, and remarks."""
    words = {}
    for name, one in found.items():
        words[name] = _differences(one.result, collection) if one else say(f"{arrow(name)}: {one.words}")
    return words | {
        "remarks": " ".join(
            text for one in found.values() if one for text in _remarks(one.result, collection)
        )
    }


def _differences(result: OneStageComparison, collection: Collection) -> str:
    return " ".join(_difference(result, term, collection) for term in _shown(result))


def _difference(result: OneStageComparison, term: str, collection: Collection) -> str:
    own = result.table[result.table["term"] == term].set_index("way")
    two, one = row_of(own, TWO_STAGE), row_of(own, SEPARATE)
    name, steps = _name(result, term, collection), result.steps(term)
    largest, near = str(steps.abs().idxmax()), "" if one["exact"] else APPROXIMATE
    text = (
        f"{name} is {with_interval(two['estimate'], two['ci_low'], two['ci_high'], 3)} in two stages and "
        f"{with_interval(one['estimate'], one['ci_low'], one['ci_high'], 3)} in one{near}, from {one['k']:.0f} "
        "studies."
    )
    if abs(steps[largest]) < NO_STEP:
        return f"{text} No step between the two moves it by as much as a hundredth of its standard error."
    return (
        f"{text} The step between them that moves it most is {largest}: by {number(steps[largest], 2)} of its standard "
        "error in two stages."
    )


def _remarks(result: OneStageComparison, collection: Collection) -> list[str]:
    name, texts = arrow(result.direction, collection.x.label, collection.y.label), []
    if DIRECTIONS[result.direction].cross not in result.fit.names:
        name = say(f"{name}, by the patient's means")
    if len(result.left_out):
        left = "; ".join(f"{r.study}: {say(r.reason)}" for r in rows_of(result.left_out))
        texts.append(f"Not in the comparison of {name}: {left}.")
    own = result.studies.drop_duplicates("study")
    fits = (result.fit, result.common)
    near = {label for fit in fits for label, a in zip(fit.labels, fit.approximate, strict=True) if a}
    if near:
        labels = own.loc[own["study"].isin(near), "label"]
        texts.append(
            say(
                f"{name}: in {', '.join(labels)} patients with different numbers of transitions are counted as "
                "having the mean of these, as their cells were too small to be handed on; there the fit is approximate, "
                "as the table says of each number that rests on it."
            )
        )
    elif own["joined"].any():
        texts.append(
            say(
                f"{name}: small cells were joined in {own['joined'].sum()} studies; this changes nothing, as the variance "
                "between patients is estimated as 0 there."
            )
        )
    if not (result.fit.converged and result.common.converged):
        texts.append(f"Please note: a one-stage fit of {name} did not converge.")
    return texts
