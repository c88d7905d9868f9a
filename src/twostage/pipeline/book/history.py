"""What the book says of the releases of its results: the answer over time, and what the last release changed."""

from collections.abc import Mapping
from pathlib import Path

from twostage.collection import Collection
from twostage.display import html_table
from twostage.interchange import POOLED, Pooled, read_releases, read_versions, same_results
from twostage.pages.common.leave import draw
from twostage.pages.history.analysis import changes
from twostage.pages.history.plots import alt, answer_over_time
from twostage.pages.history.tables import changes_table, history_table, moderators_table, sentences
from twostage.pipeline.run import Run
from twostage.stage2 import attempt
from twostage.text import image, myst

#: Folder of the book's source with the figure, and its name.
FOLDER, FIGURE = "history", "answer_over_time"


def history_context(run: Run, collection: Collection, results: Mapping[str, bytes], target: Path) -> dict:
    """What the page on releases can use; nothing where the book has no such page.

    Parameters
    ----------
    run : Run
    collection : Collection
    results : mapping
        Of the run.
    target : Path
        Folder of the book's source, for the figure.

    Returns
    -------
    dict
        release (number and date of the last one), is_current (whether the run's results are its), history_figure, history
        (HTML table); changed (sentences on the last release), change_table, change_moderators (HTML, empty where there is
        none).
    """
    if not run.has_history:
        return {}
    releases, versions = read_releases(collection.path), read_versions(collection.path)
    names = (collection.x.label, collection.y.label)
    last, folder = releases[-1], target / "output" / FOLDER
    found = attempt(answer_over_time, versions, *names)
    draw(lambda axes: axes, found, str(folder), FIGURE, alt(versions, *names))
    own = Pooled.model_validate_json(results[POOLED], strict=True) if POOLED in results else None
    context = {
        "release": {"number": last.number, "date": last.document.made},
        "is_current": own is not None and same_results(own, last.document),
        "history_figure": image(f"/output/{FOLDER}/{FIGURE}.svg", alt(versions, *names)) if found else "",
        "history": html_table(history_table(versions, *names), spaced=False),
    }
    if len(releases) < 2:
        return context | {"changed": [], "change_table": "", "change_moderators": ""}
    moved = changes(releases[-2], last)
    tables = {"change_table": changes_table(moved), "change_moderators": moderators_table(moved)}
    shown = {name: html_table(table, spaced=False) if len(table) else "" for name, table in tables.items()}
    return context | shown | {"changed": [myst(line) for line in sentences(moved)]}
