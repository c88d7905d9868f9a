"""The flow of studies and persons, from what was sought to what was analysed, as a diagram."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from twostage.collection import StudiesFound
from twostage.display import count
from twostage.pages.reporting.drawing import Drawing
from twostage.text import Markup
from twostage.words import say

#: What the search left, step by step, in words.
_FOUND = {
    "identified": "Studies identified",
    "screened": "Studies screened",
    "eligible": "Studies eligible",
    "sought": "Studies whose individual participant data were sought",
}


@dataclass(frozen=True)
class Step:
    """A box of the diagram.

    Attributes
    ----------
    text : str
    lost : tuple of str
        What stands beside the arrow to the next box: who did not get there, and why.
    """

    text: str
    lost: tuple[str, ...] = ()


def flow_steps(flow: pd.DataFrame, found: StudiesFound, results_only: int, synthetic: bool) -> list[Step]:
    """The boxes, from first to last.

    Parameters
    ----------
    flow : pandas.DataFrame
        Participants per study as the pooled notebook leaves them: study, label, enrolled, one column for each reason to
        leave somebody out, included; the last row sums. NA where a site withheld a number.
    found : StudiesFound
        What the authors say of their search.
    results_only : int
        How many of the studies shared results instead of data.
    synthetic : bool
    """
    studies = len(flow) - 1
    counts = {name: value for name, value in found if value is not None}
    steps = [Step(f"{_FOUND[name]}: {count(value)}") for name, value in counts.items()]
    for place, (before, after) in enumerate(zip(counts.values(), [*counts.values()][1:], strict=False)):
        steps[place] = Step(steps[place].text, _fewer(before - after, "not among the next"))
    if counts:
        steps[-1] = Step(steps[-1].text, _fewer([*counts.values()][-1] - studies, "data not obtained"))
    what = "Studies simulated" if synthetic else "Studies whose data or results were obtained"
    shared = f" (of these {results_only} shared results only)" if results_only else ""
    reasons = [str(column) for column in flow if column not in ("study", "label", "enrolled", "included")]
    lost = tuple(f"{_sum(flow, reason)} {say(reason)}" for reason in reasons if _any(flow[reason]))
    steps.append(Step(f"{what}: {studies}{shared}"))
    steps.append(Step(f"{say('Patients')} in these studies: {_sum(flow, 'enrolled')}", lost))
    return [*steps, Step(f"{say('Patients')} analysed: {_sum(flow, 'included')}")]


def _fewer(n: int, why: str) -> tuple[str, ...]:
    return (f"{count(n)} {why}",) if n > 0 else ()


def _any(column: pd.Series) -> bool:
    """Whether somebody was left out for a reason, or may have been where the number is withheld."""
    return bool(column.isna().any() or column.iloc[:-1].sum() > 0)


def _sum(flow: pd.DataFrame, column: str) -> str:
    """The sum over studies; a lower bound where a study's number is withheld."""
    known = flow[column].iloc[:-1]
    return f"{'at least ' if known.isna().any() else ''}{count(known.sum())}"


#: Width of a box, and of what stands beside the arrows; characters that fit; height of a line, in the units of the drawing.
WIDTH, ASIDE, FIT, FIT_ASIDE, LINE = 290, 190, 38, 25, 19


def flow_diagram(steps: Sequence[Step], title: str) -> Markup:
    """The boxes one below the other, with arrows between them.

    Parameters
    ----------
    steps : sequence of Step
    title : str
        For who cannot see it.
    """
    drawing, y, middle = Drawing("flow-diagram", title, WIDTH + 26 + ASIDE), 1.0, 1 + WIDTH / 2
    for place, step in enumerate(steps):
        lines = textwrap.wrap(step.text, FIT)
        height = LINE * len(lines) + 14
        drawing.add("rect", x=1, y=y, width=WIDTH, height=height, rx=4)
        _write(drawing, lines, middle, y + 7, "middle")
        y += height
        if place < len(steps) - 1:
            aside = [line for lost in step.lost for line in textwrap.wrap(lost, FIT_ASIDE)]
            gap = max(28, LINE * len(aside) + 14)
            drawing.add("path", d=f"M{middle:g} {y:g}V{y + gap - 1:g}m-5 -7l5 7l5 -7")
            if aside:
                drawing.add("path", d=f"M{middle:g} {y + gap / 2:g}H{WIDTH + 20}")
                _write(drawing, aside, WIDTH + 26, y + (gap - LINE * len(aside)) / 2, "start")
            y += gap
    return drawing.markup(y + 1)


def _write(drawing: Drawing, lines: Sequence[str], x: float, top: float, anchor: str) -> None:
    for place, line in enumerate(lines):
        drawing.add("text", line, x=x, y=top + LINE * (place + 0.74), text_anchor=anchor)
