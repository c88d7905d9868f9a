"""One stage and two as tables and sentences."""

import pandas as pd

from twostage.collection import Collection
from twostage.display import count, interval, number, row_of, rows_of
from twostage.pages.onestage.analysis import SEPARATE, TWO_STAGE, OneStageComparison
from twostage.stage2 import Attempt
from twostage.terms import DIRECTIONS, arrow, term_label
from twostage.words import say

#: A step below this many standard errors is called none.
NO_STEP = 0.005


def stages_table(result: OneStageComparison, collection: Collection) -> pd.DataFrame:
    """Both lagged effects by every way; all text."""
    level, rows = f"{100 * result.level:g} % CI", []
    for row in rows_of(result.table):
        effect = term_label(result.direction, row.term, collection.x.label, collection.y.label)
        shown = {"effect": effect, "how": row.way, "studies": count(row.k)}
        shown |= {"estimate": number(row.estimate, 3), level: interval(row.ci_low, row.ci_high, 3)}
        rows.append(shown | {"τ": number(row.tau, 3)})
    return pd.DataFrame(rows)


def stages_study_table(result: OneStageComparison, collection: Collection) -> pd.DataFrame:
    """The cross-lagged effect of each study by itself and given all, and its weights; all text."""
    own = result.studies[result.studies["term"] == DIRECTIONS[result.direction].cross]
    rows = [
        {"study": s.label, "by itself": number(s.estimate, 3), "standard error": number(s.std_error, 3)}
        | {"given all studies": number(s.given_all, 3), "weight, one stage": f"{number(s.weight, 1)} %"}
        | {"weight, two stages": f"{number(s.weight_two_stage, 1)} %"}
        | {"residual SD": number(s.sigma2**0.5), "SD between patients": number(s.re_variance**0.5)}
        | {"cells joined": "yes" if s.joined else "no"}
        for s in rows_of(own)
    ]
    return pd.DataFrame(rows).rename(columns=say)


def stages_sentences(found: dict[str, Attempt], collection: Collection) -> dict[str, str]:
    """What came out in words: a sentence per direction, and remarks."""
    words = {}
    for name, one in found.items():
        words[name] = _difference(one.result, collection) if one else say(f"{arrow(name)}: {one.words}")
    return words | {
        "remarks": " ".join(
            text for one in found.values() if one for text in _remarks(one.result, collection)
        )
    }


def _difference(result: OneStageComparison, collection: Collection) -> str:
    term = DIRECTIONS[result.direction].cross
    own = result.table[result.table["term"] == term].set_index("way")
    two, one = row_of(own, TWO_STAGE), row_of(own, SEPARATE)
    name = arrow(result.direction, collection.x.label, collection.y.label)
    steps = result.steps(term)
    largest = str(steps.abs().idxmax())
    text = (
        f"{name} is {number(two['estimate'], 3)} {interval(two['ci_low'], two['ci_high'], 3)} in two stages and "
        f"{number(one['estimate'], 3)} {interval(one['ci_low'], one['ci_high'], 3)} in one, from {one['k']:.0f} studies."
    )
    if abs(steps[largest]) < NO_STEP:
        return f"{text} No step between the two moves it by as much as a hundredth of its standard error."
    return (
        f"{text} The step between them that moves it most is {largest}: by {number(steps[largest], 2)} of its standard "
        "error in two stages."
    )


def _remarks(result: OneStageComparison, collection: Collection) -> list[str]:
    name, texts = arrow(result.direction, collection.x.label, collection.y.label), []
    if len(result.left_out):
        left = "; ".join(f"{r.study}: {say(r.reason)}" for r in rows_of(result.left_out))
        texts.append(f"Not in the comparison of {name}: {left}.")
    own = result.studies.drop_duplicates("study")
    near = own[own["joined"] & (own["re_variance"] > 0)]
    if len(near):
        texts.append(
            say(
                f"{name}: in {', '.join(near['label'])} patients with different numbers of transitions are counted as "
                "having the mean of these, as their cells were too small to be handed on; the fit is approximate there."
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
