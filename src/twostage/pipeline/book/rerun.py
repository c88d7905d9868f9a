"""How a reader makes a page again: the command with its parameters, what to download, where to open it."""

import json
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from twostage.collection import read_part
from twostage.notebooks import NOTEBOOKS
from twostage.params import PLACES, make_parameters
from twostage.pipeline.book.launch import Launch
from twostage.pipeline.places import public, without_places
from twostage.pipeline.plan import SOURCES
from twostage.pipeline.run import DEFAULT_RUN, Run
from twostage.pipeline.template import defaults_of
from twostage.project import default_collection, is_project
from twostage.text import code, fence, write_csv

#: Parameters that say where to leave results: a reader's own execution leaves none in the run's folders.
LEFT_OUT = ("record_folder", "output_folder")


#: Folder of the book's source with what pages offer for download.
DOWNLOADS = "downloads"


def run_command(run: Run, defaults: Mapping[str, Any]) -> str:
    """The command that makes a whole run: ``twostage run ...``, as typed in the project's folder.

    Parameters
    ----------
    run : Run
    defaults : mapping
        The collection's parameters that differ from the package's.
    """
    part = read_part(run.collection)
    collection = part.collection if part else run.collection
    words = ["twostage", "run"]
    if collection != default_collection(run.project).resolve():
        words.append(public(run, collection))
    usual = make_parameters(defaults).model_dump()
    for name, value in run.parameters.items():
        if value != usual[name]:
            words += ["-p", f"{name}={_yaml(value)}"]
    for study in part.studies if part else ():
        words += ["--study", study]
    if run.folder.parent != run.project / "runs":
        words += ["--out", public(run, run.folder)]
    elif run.folder.name != DEFAULT_RUN:
        words += ["--run", run.folder.name]
    return shlex.join(words)


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def notebook_command(run: Run, notebook: str, study: str | None = None) -> str:
    """The papermill command that executes one notebook as the run did, as typed in the project's folder.

    Names the study and every parameter whose value is not the one in the template's parameter cell, except those
    that say where to leave results.
    """
    usual = defaults_of(run.template(notebook))
    given = run.notebook_parameters(notebook, study)
    # Without a checkout the run's own copy of the template is the one at hand.
    place = "notebooks" if is_project(run.project) else public(run, run.folder / SOURCES / "notebooks")
    words = [
        "papermill",
        f"{place}/{notebook}.ipynb",
        f"{notebook}{f'-{study}' if study else ''}.ipynb",
    ]
    for name, value in without_places(run, dict(given)).items():
        if name not in LEFT_OUT and (value != usual.get(name) or name == "study"):
            # -r passes a text as it is, where -p would read a study called 007 as a number.
            words += ["-r" if name in PLACES else "-p", name, str(value)]
    return shlex.join(words)


def rerun_section(
    run: Run, target: Path, launch: Launch, command: str, notebook: str, study: str | None = None
) -> str:
    """The section at the end of a notebook's page, in MyST; what it offers is written below `target`.

    Parameters
    ----------
    run : Run
    target : Path
        Folder of the book's source.
    launch : Launch
    command : str
        That makes the whole run, as of :func:`run_command`.
    notebook : str
    study : str, optional
    """
    offered = [f"{{download}}`this notebook, executed <{_executed(run, target, notebook, study)}>`"]
    offered += [
        f"{{download}}`{file.name} </{file.relative_to(target).as_posix()}>`"
        for file in _files(run, target, notebook, study)
    ]
    lines = [
        "## Run this page again",
        f"It is part of the run that {code(command)} makes. "
        "This page alone, leaving the run's results as they are:",
        fence(notebook_command(run, notebook, study), "bash"),
        "To take away: " + ", ".join(offered) + ".",
    ]
    return "\n\n".join([*lines, *_launch(launch, command, notebook)]) + "\n"


def _executed(run: Run, target: Path, notebook: str, study: str | None) -> str:
    """Address of the executed notebook: the page's source, but on a pooled one that holds the book's captions."""
    if study is not None:
        return f"{notebook}.ipynb"
    copy = target / DOWNLOADS / f"{notebook}.ipynb"
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(run.executed(notebook), copy)
    return f"/{DOWNLOADS}/{notebook}.ipynb"


def _launch(launch: Launch, command: str, notebook: str) -> list[str]:
    """Buttons that open the notebook's template, and what has to be done there; nothing without a repository."""
    links = launch.links(notebook)
    if not links:
        return []
    lines = ["To open the template elsewhere (set the parameters of the command in its parameter cell):"]
    lines += [
        f"```{{button-link}} {url}\n:color: primary\n:outline:\n{name}\n```" for name, url in links.items()
    ]
    if NOTEBOOKS[notebook].kind == "stage2":
        lines.append(
            "A pooled notebook reads what the studies' notebooks left in the run's folder, and that is not in the "
            "repository: make it first, in a terminal there (on Colab in a cell, with `!` before it), by "
            f"{code(command)}."
        )
    if "Colab" in links:
        lines.append(
            "Colab opens the template only. Begin there with a cell that fetches the project; if Colab then asks to "
            "restart the session, do so and repeat its last line:"
        )
        lines.append(fence(launch.colab_setup()))
    return lines


def _files(run: Run, target: Path, notebook: str, study: str | None) -> list[Path]:
    """What a page offers: a study's records as JSON and CSV, or the tables of a pooled notebook."""
    if study is None:
        return sorted((target / "output" / notebook).rglob("*.csv"))
    folder = target / DOWNLOADS / study
    folder.mkdir(parents=True, exist_ok=True)
    offered = []
    for analysis, record in zip(NOTEBOOKS[notebook].leaves, run.records(notebook, study), strict=True):
        text = record.read_text(encoding="utf-8")
        copy = folder / f"{study}-{analysis}.json"
        copy.write_text(text, encoding="utf-8")
        offered.append(copy)
        rows = _rows(json.loads(text))
        if rows:
            write_csv(pd.DataFrame(rows), copy.with_suffix(".csv"))
            offered.append(copy.with_suffix(".csv"))
    return offered


def _rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The part of a record that is a table."""
    return record.get("estimates") or record.get("sessions") or []
