"""The first screen of a book: the answer in plain words, its size, and one figure."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from twostage.collection import Collection
from twostage.display import interval, number, percent
from twostage.pages.common.tables import Effect
from twostage.params import Parameters
from twostage.stage2 import read_records
from twostage.terms import DIRECTIONS
from twostage.text import Markup, markup
from twostage.words import say


def answer(effect: Effect, direction: str, collection: Collection, lag: int, unit: str) -> str:
    """What a pooled cross-lagged effect says, with its direction, in a sentence.

    Parameters
    ----------
    effect : Effect
    direction : str
    collection : Collection
    lag : int
        Sessions from a predictor to what it predicts.
    unit : str
        Of the effect, in words.
    """
    first, then = _pair(direction, collection)
    after = f"{say('After a session with')} higher {first.label} {say('than is usual for the patient')}"
    later = say("at the next session" if lag == 1 else f"{lag} sessions later")
    if not effect.studies:
        return f"{after}: no study gives an estimate of what {then.label} is {later}."
    size = f"{effect.estimate} {unit} for each one of {first.label} ({effect.level} % CI {effect.ci})"
    if not effect.excludes_zero:
        return f"{after}, {then.label} may have been higher or lower {later}: {size}, an interval that includes zero."
    higher = effect.value > 0
    good = "an improvement" if higher == (then.better == "higher") else "a worsening"
    return f"{after}, {then.label} was {'higher' if higher else 'lower'} {later}, {good}: {size}."


def _pair(direction: str, collection: Collection) -> tuple[Any, Any]:
    d, variables = DIRECTIONS[direction], {"x": collection.x, "y": collection.y}
    return variables[d.predictor], variables[d.outcome]


def scale_points(
    effect: Effect, direction: str, collection: Collection, parameters: Parameters, records: Path
) -> str:
    """The size of an effect in points of the studies' own scales; empty where no study names the range of its scale.

    Parameters
    ----------
    effect : Effect
    direction : str
    collection : Collection
    parameters : Parameters
        Effects that are in scale points already need no other words.
    records : Path
        Of a run: what a study's scores were divided by stands in its record of the data.
    """
    if not effect.studies or parameters.standardize == "none" or not records.is_dir():
        return ""
    name = DIRECTIONS[direction].outcome
    rows = collection.studies.set_index("study")
    scales = {
        r.study: r.summary.get(f"scale_{name}") for r in read_records(records, list(rows.index), "data")
    }
    ranges = (rows[f"{name}_max"] - rows[f"{name}_min"]).to_dict()
    known = {s: abs(effect.value) * scale for s, scale in scales.items() if scale and ranges[s] > 0}
    if not known:
        return ""
    points, shares = list(known.values()), [point / ranges[s] for s, point in known.items()]
    studies = "the study's own scale" if len(known) == 1 else f"the scales of {len(known)} studies"
    return f"In points of {studies}: {_range(points, number)}, or {_range(shares, percent, 1)} of a scale's range."


def _range(values: Iterable[float], shown: Any, *more: int) -> str:
    low, high = min(values := list(values)), max(values)
    ends = shown(low, *more), shown(high, *more)
    return ends[0] if ends[0] == ends[1] else f"{ends[0].removesuffix(' %')} to {ends[1]}"


def first_figure(data: dict[str, Any], effects: dict[str, Effect], synthetic: bool = False) -> Markup:
    """Both cross-lagged effects on one axis: a dot for each study, the pooled effect, the prediction interval; as HTML.

    Texts are HTML and marks stand at percentages of the width, so that both keep their size on a phone.

    Parameters
    ----------
    data : dict
        Of :func:`twostage.pipeline.book.forest.forest_data`.
    effects : dict of Effect
        Direction -> the pooled cross-lagged effect.
    synthetic : bool
        Whether the data are; the collection's note, which says more, stands above every page.
    """
    shown = [e for e in data["effects"] if e["key"] in effects and effects[e["key"]].studies]
    if not shown:
        return Markup("")
    dots = {e["key"]: [row[1] for row in e["sources"][0]["rows"]] for e in shown}
    ends = [0.0, *(v for values in dots.values() for v in values)]
    for e in shown:
        ends += [effects[e["key"]].low, effects[e["key"]].high]
    low, width = min(ends), (max(ends) - min(ends)) or 1.0
    rows = [_row(e["words"], effects[e["key"]], dots[e["key"]], low, width) for e in shown]
    studies = max(len(values) for values in dots.values())
    what = "Each dot is a study, the diamond the pooled effect with its interval; the vertical line is zero."
    of = " The data are synthetic." if synthetic else ""
    caption = f"{what if studies > 1 else 'The dot is the study.'}{of}"
    return Markup(f'<figure class="first-figure">{"".join(rows)}<figcaption>{caption}</figcaption></figure>')


def _row(words: str, effect: Effect, dots: list[float], low: float, width: float) -> str:
    def at(value: float) -> float:
        return 3.0 + 94.0 * (value - low) / width

    marks = [f'<line class="ff-zero" x1="{at(0.0):.2f}%" x2="{at(0.0):.2f}%" y1="0" y2="40"/>']
    marks += [f'<circle class="ff-study" cx="{at(dot):.2f}%" cy="10" r="4"/>' for dot in dots]
    left, middle, right = at(effect.low), at(effect.value), at(effect.high)
    inside = 100.0 * (middle - left) / (right - left) if right > left else 50.0
    marks.append(
        f'<svg x="{left:.2f}%" y="19" width="{max(right - left, 0.4):.2f}%" height="18" viewBox="0 0 100 18" '
        f'preserveAspectRatio="none"><polygon class="ff-pooled" points="0,9 {inside:.1f},0 100,9 {inside:.1f},18"/></svg>'
    )
    alt = markup(f"{words}: {effect.text}, studies from {interval(min(dots), max(dots))}")
    text = f"<strong>{markup(words)}</strong> <span>{markup(effect.text)}</span>"
    picture = f'<svg width="100%" height="40" role="img" aria-label="{alt}">{"".join(marks)}</svg>'
    return f'<div class="ff-row"><div class="ff-words">{text}</div>{picture}</div>'
