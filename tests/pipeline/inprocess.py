"""Runs in the process of the test, without kernels and without Sphinx: everything else of the pipeline is the real one."""

import contextlib
import functools
import io
import json
import re
import shutil
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path

import nbformat
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from standin import POOLED, RECORDS, REPOSITORY, TUTORIAL_NAMES, steps, write_notebook, write_project

from twostage.notebooks import NOTEBOOKS
from twostage.pipeline import code, runner, session
from twostage.pipeline.backend import Workers
from twostage.pipeline.book import build as book_build
from twostage.pipeline.entry import Request, plan_run

#: What stand-ins show: all that the real notebooks could get to see, so that a result that is out of date differs.
SEEN = """\
import csv, json, yaml
from pathlib import Path
from twostage.pipeline.code import code
from twostage.notebooks import NOTEBOOKS
from twostage.pipeline.inputs import STUDY_FACTS
whole = Path(collection)
settings = yaml.safe_load((whole / "collection.yml").read_text())
registry = {row["study"]: row for row in csv.DictReader((whole / "studies.csv").read_text().splitlines())}
def data(study):
    return [(whole / kind / f"{study}.csv").read_text() for kind in ("sessions", "patients")]
seen = {"parameters": [OWN], "about": [settings[name] for name in ("note", "x", "y")], "code": code(results=True)}
"""

#: As many as every pooled notebook needs.
STUDIES = 5

STAGE1 = (
    SEEN
    + """\
seen |= {"data": data(study), "facts": [registry[study][f] for f in STUDY_FACTS]}
for analysis in ANALYSES:
    Path(record_folder).mkdir(parents=True, exist_ok=True)
    (Path(record_folder) / f"{analysis}.json").write_text(json.dumps(seen | {"study": study, "analysis": analysis}))
print(json.dumps(seen))"""
)

STAGE2 = (
    SEEN
    + """\
seen["registry"] = [[row[c] for c in ("study", *NOTEBOOKS["NAME"].facts)] for row in registry.values()]
if "truth" in NOTEBOOKS["NAME"].uses and (whole / "truth.csv").is_file():
    rows = csv.DictReader((whole / "truth.csv").read_text().splitlines())
    seen["truth"] = [row for row in rows if row["study"] == "mean"]
if "data" in NOTEBOOKS["NAME"].uses:
    seen["data"] = [data(study) for study in registry]
seen["records"] = [(Path(records) / s / f"{a}.json").read_text() for s in registry for a in ANALYSES]
folder = Path(output_folder)
(folder / "figure.svg").write_text(f"<svg><!-- {json.dumps(seen)} --></svg>")
(folder / "flow.csv").write_text("study,enrolled,included\\nall,40,40\\n")
print(json.dumps(seen))"""
)


def quick_project(folder: Path) -> Path:
    """A project whose notebooks show everything that they may see."""
    write_project(folder, studies=STUDIES)
    for name, notebook in NOTEBOOKS.items():
        own = ", ".join(p for p in notebook.takes if p not in ("record_folder", "output_folder"))
        cell = STAGE1 if name in RECORDS else "print('shown')" if name in TUTORIAL_NAMES else STAGE2
        analyses = RECORDS.get(name) or POOLED.get(name)
        cell = cell.replace("OWN", own).replace("ANALYSES", repr(analyses)).replace("NAME", name)
        write_notebook(folder / "notebooks", name, code=cell)
    (folder / "book" / "assets").mkdir()
    (folder / "book" / "assets" / "book.css").write_bytes((REPOSITORY / "book/assets/book.css").read_bytes())
    return folder


class Here(Executor):
    """Does each task at once."""

    def submit(self, fn, /, *args, **kwargs):
        """Do it."""
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Meanwhile:
    """What happens while steps are carried out.

    Attributes
    ----------
    before, after : dict
        Name of a step -> what to do when it has begun and before it reads anything, and when it has read everything.
    """

    def __init__(self):
        self.before: dict[str, Callable[[], object]] = {}
        self.after: dict[str, Callable[[], object]] = {}

    @contextlib.contextmanager
    def step(self, name: str):
        """A step begins and ends."""
        self.before.pop(name, lambda: None)()
        yield
        self.after.pop(name, lambda: None)()


@pytest.fixture
def meanwhile(monkeypatch) -> Meanwhile:
    """Let runs go on in this process."""
    return in_process(monkeypatch)


def in_process(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """The same, to be undone by whoever calls."""
    events = Meanwhile()

    def execute(template, output, values, folder):
        with events.step(" ".join(filter(None, [template.stem, values.get("study")]))):
            return _executed(template, values, folder)

    def jupyter_book(source, built, log):
        with events.step("book"):
            _rendered(source, built / "_build" / "html")

    monkeypatch.setattr(runner, "execute", execute)
    monkeypatch.setattr(book_build, "_jupyter_book", jupyter_book)
    # Reading metadata for each step is right, but slow.
    monkeypatch.setattr(code, "version", functools.cache(code.version))
    monkeypatch.setattr(session, "local_workers", lambda jobs: Workers(Here(), lambda left: None))
    # pytask-parallel replaces these for good.
    for name in ("pdb.set_trace", "sys.breakpointhook"):
        monkeypatch.setattr(name, lambda *_: None)
    return events


def _executed(template: Path, values: dict, folder: Path) -> nbformat.NotebookNode:
    notebook = parameterize_notebook(load_notebook_node(str(template)), values)
    said, names = io.StringIO(), {}
    with contextlib.chdir(folder), contextlib.redirect_stdout(said):
        for cell in (c for c in notebook.cells if c.cell_type == "code"):
            exec(cell.source, names)
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text=said.getvalue())]
    return notebook


def _rendered(source: Path, html: Path) -> None:
    """The assembled source as it is stands for the pages; MathJax and the package's documentation are left out."""
    shutil.rmtree(html, ignore_errors=True)
    shutil.copytree(source, html, ignore=shutil.ignore_patterns("mathjax", "api"))
    (html / "index.html").write_text((source / "index.md").read_text())
    (html / "made.json").write_text(json.dumps([code.code(results=False), code.book_libraries()]))


def carried_out(project: Path, request: Request | None = None) -> tuple[int, set[str], str]:
    """Do a run: its status, the steps that were done, and the errors."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = session.carry_out(plan_run(project, request or Request()), jobs=16)
    return status, steps(out.getvalue()), err.getvalue()


def due(project: Path, request: Request | None = None) -> set[str]:
    """The steps that are due."""
    return set(session.steps_to_do(plan_run(project, request or Request())))


def made(project: Path) -> dict[str, str]:
    """Everything that the default run left: name -> content, less where it lies."""
    run = project / "runs" / "default"
    kinds = ("records", "notebooks", "output", "html")
    files = [p for kind in kinds for p in sorted((run / kind).rglob("*")) if p.is_file()]
    texts = {p.relative_to(run).as_posix(): p.read_text(encoding="utf-8", errors="replace") for p in files}
    return {name: re.sub(r"/\S*/runs/default", "RUN", text) for name, text in texts.items()}
