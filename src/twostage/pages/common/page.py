"""What the first cell of a notebook opens: its parameters checked, its collection read, the place of its results."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from IPython.display import DisplayObject, Markdown, display
from matplotlib.axes import Axes

from twostage.collection import Collection, locate_collection, read_collection
from twostage.display import show_text, shown_as
from twostage.notebooks import check_parameters
from twostage.pages.common.leave import draw, write_pooled
from twostage.pages.common.style import use_style
from twostage.pages.common.svg import as_svg, whole_figure
from twostage.pages.common.tables import collection_heading
from twostage.params import Parameters
from twostage.problems import CollectionError, Problem
from twostage.project import package_project
from twostage.records import Record
from twostage.stage2 import Attempt, PooledTable, pool_records, read_records
from twostage.terms import DIRECTIONS, Direction, arrow
from twostage.text import myst
from twostage.words import say, speak


@dataclass(frozen=True)
class Page:
    """A notebook on all studies of a collection.

    Attributes
    ----------
    collection : Collection
    parameters : Parameters
    record_folder : str
        Folder with the studies' records.
    folder : str
        Where it leaves tables and figures; empty: it leaves none.
    """

    collection: Collection
    parameters: Parameters
    record_folder: str
    folder: str

    def heading(self) -> Markdown:
        """Which collection and variables the page is about."""
        return collection_heading(self.collection)

    def records(self, analysis: str) -> list[Record]:
        """The records of an analysis, one per study."""
        return read_records(self.record_folder, list(self.collection.studies["study"]), analysis)

    @property
    def how(self) -> dict[str, Any]:
        """How the page pools: method, ci and level."""
        p = self.parameters
        return {"method": p.tau2_method, "ci": p.ci_method, "level": p.level}

    def pool(self, analysis: str, *, leave: bool = True) -> PooledTable:
        """Pool an analysis as the parameters say, and leave the pooled tables unless `leave` is false."""
        pooled = pool_records(self.records(analysis), **self.how)
        if leave:
            write_pooled(pooled, self.folder)
        return pooled

    def directions(self) -> Iterator[Direction]:
        """Both directions in turn, the name of each shown above what is then shown of it."""
        names = {"x": self.collection.x.label, "y": self.collection.y.label}
        for direction in DIRECTIONS.values():
            display(
                Markdown(f"**From {myst(names[direction.predictor])} to {myst(names[direction.outcome])}**")
            )
            yield direction

    def arrow(self, direction: Direction) -> str:
        """A direction in the collection's words: ``alliance → symptoms``."""
        return arrow(direction.name, self.collection.x.label, self.collection.y.label)

    @staticmethod
    def show(*what: Axes | DisplayObject | None) -> None:
        """Show each at once, so that in a loop a figure stands beside what is said of it; None is not shown."""
        for one in what:
            if isinstance(one, Axes):
                figure = whole_figure(one)
                display(
                    {"image/svg+xml": as_svg(figure)},
                    raw=True,
                    metadata=shown_as(figure=str(figure.get_label())),
                )
                plt.close(figure)
            elif one is not None:
                display(one)

    def figure(self, found: Axes | Attempt, name: str, alt: str | Attempt) -> None:
        """Leave a figure and show it; where there is none, leave and show the reason."""
        if isinstance(found, Attempt) and not found:
            self.show(show_text(say(found.words)))
        text = str(alt.result) if isinstance(alt, Attempt) else alt
        drawn = found if isinstance(found, Attempt) else Attempt(found)
        self.show(draw(lambda ax: ax, drawn, self.folder, name, text))

    def draw(self, picture: Any, found: Attempt, name: str, alt: str, **options: Any) -> None:
        """The same of a result that the studies may be too few for; see :func:`twostage.pages.common.leave.draw`."""
        self.show(draw(picture, found, self.folder, name, alt, **options))


def open_page(notebook: str, namespace: Mapping[str, Any]) -> Page:
    """Open the page of a notebook on all studies.

    Parameters
    ----------
    notebook : str
        Its name, as in :data:`twostage.notebooks.NOTEBOOKS`.
    namespace : mapping
        Its ``globals()``, right after the parameter cell.

    Raises
    ------
    ParameterError
        Naming each unknown, mistyped or impossible parameter.
    CollectionError
        There is no such collection, or its files are wrong.
    """
    parameters, collection = opened(notebook, namespace)
    return Page(collection, parameters, namespace.get("records", ""), namespace["output_folder"])


def opened(notebook: str, namespace: Mapping[str, Any]) -> tuple[Parameters, Collection]:
    """The checked parameters of a notebook and its collection; figures and words get the book's look."""
    parameters = check_parameters(namespace, notebook)
    use_style()
    collection = read_collection(_found(namespace["collection"]))
    speak(collection.words)
    return parameters, collection


def _found(folder: str) -> Path:
    """A collection's folder: as given, in a folder above the notebook's, or in the project of this package."""
    found, own = locate_collection(folder), package_project()
    if not found.exists() and own is not None and (own / folder).exists():
        found = own / folder
    if not found.exists():
        where = "" if found.is_absolute() else f" in {Path.cwd()} or a folder above it"
        raise CollectionError(
            [Problem(folder, None, "collection", folder, f"the folder of a collection{where}")]
        )
    return found
