"""Which pages a run's book has: those on which its studies have something to say, and why not the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from twostage.notebooks import HOME, STAGE2, Notebook
from twostage.pipeline.book.pages import Pages
from twostage.pipeline.book.read import read_table
from twostage.pipeline.run import POOLED_FOLDER, Run
from twostage.terms import DIRECTIONS
from twostage.words import say

#: What a collection lacks, by what a notebook needs.
_LACKS = {
    "outcome": "the collection has no {scores} scores",
    "days": "the collection does not say on which day each {session} was",
    "recovery": "no recovery study is stored with the collection",
    "multiverse": "no multiverse is stored with the collection",
}


#: What is stored with a collection is there whatever a run finds.
_STORED = ("recovery", "multiverse")


#: The chapter that says why, where no study has an effect.
_MAIN = "stage2_lagged"


@dataclass(frozen=True)
class Chapters:
    """The pages of results that a book has.

    Attributes
    ----------
    notebooks : tuple of str
        Pooled notebooks that are pages; none in a book in which no two studies have an effect, because they would repeat
        the study's own.
    pages : frozenset of str
        Files of the chapters and of those notebooks, as a link names them.
    left_out : dict
        Chapter -> why the book does not have it.
    """

    notebooks: tuple[str, ...]
    pages: frozenset[str]
    left_out: Mapping[str, str]

    def titled(self, templates: Pages) -> list[tuple[str, str]]:
        """Title and reason of each chapter that is left out."""
        there = {
            chapter: reason for chapter, reason in self.left_out.items() if templates.has(f"{chapter}.md")
        }
        return [(templates.title(f"{chapter}.md"), reason) for chapter, reason in there.items()]


def find_chapters(run: Run) -> Chapters:
    """The chapters of a run's book.

    Parameters
    ----------
    run : Run
        A run whose notebooks are executed.
    """
    output = run.folder / "output"
    having = studies_with_effects(run)
    reasons = {notebook.name: _reason(run, notebook, having) for notebook in STAGE2}
    if not reasons["stage2_moderators"] and not _moderators_tested(output):
        reasons["stage2_moderators"] = "no moderator could be tested"
    shown = [notebook for notebook in STAGE2 if not reasons[notebook.name]]
    several = max(having.values()) > 1
    pooled = tuple(n.name for n in shown if several or n.needs in _STORED)
    files = [
        *(n.chapter for n in shown if n.chapter),
        *(f"notebooks/{POOLED_FOLDER}/{name}" for name in pooled),
    ]
    without = {n.chapter: reasons[n.name] for n in STAGE2 if n.chapter and reasons[n.name]}
    return Chapters(pooled, frozenset(files), without)


def studies_with_effects(run: Run) -> dict[str, int]:
    """How many studies have the lagged effect of either direction, and the outcome's; all, where no table says so."""
    wanted = {
        "lagged": [(d.name, d.cross) for d in DIRECTIONS.values()],
        "outcome": [("x_to_y", "partial_r_z")],
    }
    return {analysis: _most(run, analysis, keys) for analysis, keys in wanted.items()}


def _most(run: Run, analysis: str, keys: list[tuple[str, str]]) -> int:
    path = run.output_folder(HOME[analysis]) / f"pooled_{analysis}.csv"
    if not path.is_file():
        return len(run.studies)
    table = read_table(path)
    main = table[table["variant"] == "main"]
    asked = [key in keys for key in zip(main["direction"], main["term"], strict=True)]
    return max(main.loc[asked, "k"].astype(int).tolist(), default=0)


def _moderators_tested(output: Path) -> bool:
    folder = output / HOME["moderators"]
    if not folder.is_dir():
        return False
    tables = list(folder.glob("moderators_*.csv"))
    return not tables or any(len(read_table(path, texts=True)) for path in tables)


def _reason(run: Run, notebook: Notebook, having: Mapping[str, int]) -> str:
    if not run.has(notebook.needs):
        return _LACKS[notebook.needs].format(scores=say("intake and outcome"), session=say("session"))
    if notebook.needs in _STORED or notebook.name == _MAIN:
        return ""
    k = having["outcome" if notebook.needs == "outcome" else "lagged"]
    if k >= notebook.fewest:
        return ""
    needed = "one study" if notebook.fewest == 1 else f"{notebook.fewest} studies"
    there = "none has it" if k == 0 else "one has it" if k == 1 else f"{k} have it"
    return f"needs {needed} with the effect, and {there}"
