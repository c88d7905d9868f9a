"""The methods and results of a run as a text to go on writing: every number computed, none typed."""

import re
from collections.abc import Callable
from typing import Any

from twostage.export.references import References
from twostage.export.source import Source
from twostage.notebooks import HOME
from twostage.pages.common.tables import Effect
from twostage.pipeline.book.pages import Pages
from twostage.text import Markup, myst, read_csv

#: The text's template, in the folder of the manuscript.
TEMPLATE = "paper.md.j2"


def paper_text(source: Source) -> str:
    """The text in Markdown.

    Raises
    ------
    PipelineError
        The template asks for a number that the run does not have.
    """
    references = References(source.run.manuscript / "references.bib")
    more: dict[str, Any] = {
        "cite": references.cite,
        "references": references.listed,
        "said": _said(source),
        "pooled": _pooled(source),
        "caution": source.caution,
        "run": source.name,
        "has_outcome": source.run.has_outcome,
    }
    text = Pages(source.run.manuscript, source.context | more).render(TEMPLATE)
    # A template leaves empty lines where it decides.
    text = _lighter(text)
    parts = [
        " ".join(part.split()) if not part.lstrip().startswith("- ") else part for part in text.split("\n\n")
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


#: What the escaping of pages puts before or for a character that is only itself here, in the middle of a paragraph.
_NEEDLESS = (
    (r"(?<=\d)\\\.(?=\d)", "."),
    (r"\\&(?= )", "&"),
    (r"\\\((?=[^()\[\]]*\))", "("),
    ("&#104;ttp", "http"),
)


def _lighter(text: str) -> str:
    """The text with fewer escapes, so that it can be read as it is."""
    for pattern, plain in _NEEDLESS:
        text = re.sub(pattern, plain, text)
    return text


#: How a page begins its sentence on what a run's studies are too few for.
_NOTHING = "Not computed"


def _said(source: Source) -> Callable[[str, str, str], str]:
    """A sentence that a page left, or nothing."""

    def said(analysis: str, direction: str, name: str) -> str:
        path = source.run.output_folder(HOME[analysis]) / "sentences.csv"
        if not path.is_file():
            return ""
        table = read_csv(path)
        found = table[(table["direction"] == direction) & (table["name"] == name)]
        text = str(found["text"].iloc[0]) if len(found) else ""
        return "" if text.startswith(_NOTHING) else text

    return said


def _pooled(source: Source) -> Callable[..., str]:
    """A pooled coefficient with what the APA wants beside it: interval, p, prediction interval, τ and I²."""
    level = f"{100 * source.parameters.level:g}%"

    def pooled(e: Effect, heterogeneity: bool = False) -> str:
        p = f"*p* {e.p}" if e.p.startswith("<") else f"*p* = {e.p}"
        text = f"{myst(e.estimate)}, {level} CI {myst(e.ci)}, {p}, *k* = {e.k}"
        if heterogeneity and e.k != "1":
            predicted = f", {level} prediction interval {myst(e.pi)}" if "–" not in e.pi else ""
            text += f"{predicted}, τ = {myst(e.tau)}, *I*² = {myst(e.i2)}%"
        return Markup(text)

    return pooled
