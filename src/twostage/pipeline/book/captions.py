"""Figures and tables of a book with captions and numbers, as MyST: on pages of the manuscript and of pooled notebooks."""

import json
from dataclasses import dataclass
from pathlib import Path

from twostage.collection import Collection
from twostage.display import inference
from twostage.notebooks import NOTEBOOKS
from twostage.pages.common.captions import result_title
from twostage.params import Parameters
from twostage.pipeline.book.forest import live_forest
from twostage.pipeline.book.numbered import TABLE
from twostage.terms import HEADLINE, estimator_words
from twostage.text import Markup, myst, option
from twostage.words import say

#: Records of the main analysis.
_MAIN = frozenset({"data", "lagged", "transition", "crosslevel", "sensitivity"})


#: Figures and tables on a page of the main analysis that are of another, by the beginning of their names or heading.
_BY_ANOTHER = {
    "by_transition": "Effects are by the random-intercept cross-lagged panel model, with lags of each transition",
    "unseen": "Effects are by the random-intercept cross-lagged panel model",
    "Dropout that depends": "Effects are by the random-intercept cross-lagged panel model",
}


#: Tables that pooled notebooks leave of the scores themselves, or of models: no effect is in them.
_OF_SCORES = ("ends", "nested")


#: Beginnings of the names of figures that show the studies behind one effect, which ends the name.
LIVE = ("forest_", "estimators_", "leave_one_out_")


#: What a label begins with, by what it is the label of.
FIGURE_LABEL, TABLE_LABEL = "fig-", "tab-"


@dataclass(frozen=True)
class Captions:
    """Writes figures and tables of one run with what is shown, by which estimator, of which data.

    Attributes
    ----------
    collection : Collection
    parameters : Parameters
        Of the run.
    output : Path
        The run's ``output/``; below it the book's source has the same files.
    """

    collection: Collection
    parameters: Parameters
    output: Path

    def figure(self, notebook: str, name: str, where: str = "") -> Markup:
        """A figure that a notebook left; nothing where it could not be drawn: the sentence beside it says why.

        Parameters
        ----------
        notebook, name : str
        where : str
            Ends the label; pages that show the same figure differ in it.
        """
        about = self.about(notebook, name)
        if "alt" not in about:
            return Markup("")
        file = f"/output/{notebook}/{name}"
        lines = [
            f"{file}.svg",
            f":alt: {option(about['alt'])}",
            f":name: {label(FIGURE_LABEL, notebook, name, where)}",
            *(
                "",
                f"{self._title(name)} {myst(_sentence(about['alt']))} {self._how(notebook, name)} {self._data()}",
            ),
        ]
        # Before a version that left them, figures had no PNG.
        if (self.output / notebook / f"{name}.png").is_file():
            lines += ["", f"{{download}}`PNG <{file}.png>`"]
        return Markup("\n".join([f"```{{figure}} {lines[0]}", *lines[1:], "```"]))

    def see(self, notebook: str, name: str) -> Markup:
        """`` (Fig. 3)``, which leads to a figure of the manuscript; nothing where it could not be drawn."""
        there = "alt" in self.about(notebook, name)
        return Markup(f" ({{numref}}`{label(FIGURE_LABEL, notebook, name)}`)" if there else "")

    def live_figure(self, notebook: str, name: str) -> Markup:
        """The same on a notebook's own page, with the live forest where it shows the studies behind one effect."""
        static = self.figure(notebook, name, "computed")
        beginning = next((start for start in LIVE if name.startswith(start)), None)
        effect = name.removeprefix(beginning or "")
        return live_forest(effect, static) if beginning and effect else static

    def about(self, notebook: str, name: str) -> dict[str, str]:
        """What a notebook left beside a figure: its alternative text, or why there is none."""
        return json.loads((self.output / notebook / f"{name}.json").read_text(encoding="utf-8"))

    def result(self, html: str, notebook: str, name: str, csv: str = "") -> Markup:
        """A table that a notebook left; nothing where it is empty."""
        how = "" if name in _OF_SCORES else f"{self._how(notebook, name)} "
        about = f"{self._title(name)} {how}{self._data()}"
        return numbered_table(html, label(TABLE_LABEL, notebook, name), about, csv)

    def shown(self, html: str, notebook: str, place: str, words: str, csv: str) -> Markup:
        """A table on the page of a pooled notebook, called as the part of the page is, in MyST."""
        about = f"**{words}.** {self._how(notebook, words)} {self._data()}"
        return numbered_table(html, label(TABLE_LABEL, notebook, place, "computed"), about, csv)

    def plain(self, html: str, name: str, words: str) -> Markup:
        """A table of a page of the manuscript that shows no estimates."""
        return numbered_table(html, f"{TABLE_LABEL}{name}", f"**{myst(words)}.** {self._data()}")

    @property
    def _alone(self) -> bool:
        """Of one study nothing is pooled."""
        return len(self.collection.studies) == 1

    def _title(self, name: str) -> str:
        title = say(result_title(name, self.collection.x.label, self.collection.y.label))
        return f"**{myst(title.replace('Pooled ', '') if self._alone else title)}.**"

    def _how(self, notebook: str, name: str = "") -> str:
        reads = frozenset(NOTEBOOKS[notebook].reads) if notebook in NOTEBOOKS else frozenset()
        p = self.parameters
        pooled = (
            ""
            if self._alone
            else f", pooled with τ² by {p.tau2_method} and {inference(p.ci_method)} inference"
        )
        if reads == {"outcome"}:
            return f"Partial correlations{pooled}."
        if reads and reads <= _MAIN:
            other = [words for start, words in _BY_ANOTHER.items() if name.startswith(start)]
            words = other[0] if other else f"Effects are {estimator_words(HEADLINE)}"
            return f"{myst(say(words))}{pooled}."
        # How other models pool is their pages' to say.
        return "Estimators are named where they differ." if reads else ""

    def _data(self) -> str:
        return f"Data: {myst(self.collection.title)}{', synthetic' if self.collection.synthetic else ''}."


def label(kind: str, *parts: str) -> str:
    """Under which a page refers to a figure or table."""
    return kind + "-".join(part.removeprefix("stage2_") for part in parts if part)


def numbered_table(html: str, name: str, caption: str, csv: str = "") -> Markup:
    """A table with a caption and a number, as MyST; nothing where there is none.

    Parameters
    ----------
    html : str
    name : str
        Its label.
    caption : str
        In MyST.
    csv : str
        Path in the book's source of what is offered for download.
    """
    if not html:
        return Markup("")
    lines = [f":name: {name}", "", f'<div class="wide-table">\n{html}\n</div>']
    lines += ["", f"{{download}}`CSV <{csv}>`"] if csv else []
    return Markup("\n".join([f"````{{{TABLE}}} {caption}", *lines, "````"]))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
