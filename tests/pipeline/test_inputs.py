"""Notebooks read no more of a collection than what makes them due."""

import ast
import contextlib
import io
import shutil
import sys
from pathlib import Path
from unittest import mock

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest

from twostage.collection.collection import read_collection
from twostage.notebooks import NOTEBOOKS, STAGE1, STAGE2
from twostage.pages.common import page
from twostage.pipeline.code import BOOK_LIBRARIES, RESULT_LIBRARIES, modules
from twostage.pipeline.inputs import STUDY_FACTS

REPOSITORY = Path(__file__).parents[2]

#: Facts that can be changed without making the data invalid, and to what.
OTHER = dict.fromkeys(("label", "country", "setting", "treatment", "design", "source", "licence"), "Other")
OTHER |= {"x_instrument": "Other", "y_instrument": "Other", "year": "1901"}
OTHER |= {"x_min": "-99", "x_max": "999", "y_min": "-99", "y_max": "999"}

POOLS = [notebook.name for notebook in STAGE2 if notebook.needs in ("", "outcome")]

#: Modules that are imported and are no library whose version is watched: they check and print, and make no number.
NO_RESULTS = {"pandera", "pydantic", "rich", "typer", "yaml", "IPython", "tqdm"}
NO_RESULTS |= {"jupyter_client", "nbclient", "traitlets", "psutil"}


def shown(notebook: str, values: dict[str, str]) -> list[str]:
    """Everything that a notebook prints, shows and draws."""
    names, found, said = {}, [], io.StringIO()
    seen = mock.patch.object(
        page, "display", lambda what, **_: found.append(str(getattr(what, "data", what)))
    )
    with contextlib.redirect_stdout(said), seen:
        for cell in nbformat.read(REPOSITORY / "notebooks" / f"{notebook}.ipynb", as_version=4).cells:
            if cell.cell_type == "code":
                *body, last = ast.parse(cell.source).body
                exec(compile(ast.Module(body, []), notebook, "exec"), names)
                if isinstance(last, ast.Expr):
                    result = eval(compile(ast.Expression(last.value), notebook, "eval"), names)
                    found.append(str(getattr(result, "data", "")))
                else:
                    exec(compile(ast.Module([last], []), notebook, "exec"), names)
                names |= values if "parameters" in cell.metadata.get("tags", ()) else {}
    return [*found, said.getvalue(), *figures()]


def figures() -> list[str]:
    """The open figures."""
    found = []
    for number in plt.get_fignums():
        text = io.StringIO()
        with mpl.rc_context({"svg.hashsalt": "same"}):
            plt.figure(number).savefig(text, format="svg", metadata={"Date": None})
        found.append(text.getvalue())
    plt.close("all")
    return found


def executed(notebook: str, collection: Path, records: Path, output: Path, study: str = "") -> list[str]:
    """Execute a notebook in this process; what it shows and what it leaves."""
    places = {"collection": collection, "records": records, "output_folder": output, "study": study}
    places |= {"record_folder": output if study else ""}
    found = shown(notebook, {k: str(v) for k, v in places.items() if k in NOTEBOOKS[notebook].takes})
    return found + [p.read_bytes() for p in sorted(output.rglob("*")) if p.is_file()]


@pytest.fixture(scope="module")
def records(written, tmp_path_factory) -> Path:
    """Records of all studies, made by the notebooks."""
    folder = tmp_path_factory.mktemp("records")
    for study in read_collection(written).studies["study"]:
        for notebook in STAGE1:
            executed(notebook.name, written, folder, folder / study, study)
    return folder


def with_other_facts(collection: Path, target: Path, used: tuple[str, ...], truth: bool) -> Path:
    """A collection in which everything is changed that a notebook is said not to use."""
    shutil.copytree(collection, target)
    registry = pd.read_csv(target / "studies.csv", dtype=str)
    registry.assign(**{n: v for n, v in OTHER.items() if n not in used}).to_csv(
        target / "studies.csv", index=False
    )
    text = (target / "collection.yml").read_text()
    text = text.replace("title: Alliance", "title: Other").replace("authors: The", "authors: Others,")
    (target / "collection.yml").write_text(text.replace("synthetic: true", "synthetic: false"))
    table = pd.read_csv(target / "truth.csv", dtype=str, keep_default_na=False)
    keep = table["study"] == "mean" if truth else table["study"] == ""
    table.assign(value=table["value"].where(keep, "0.9")).to_csv(target / "truth.csv", index=False)
    return target


@pytest.mark.slow
@pytest.mark.parametrize("notebook", [notebook.name for notebook in STAGE1])
def test_study_notebooks_use_no_other_facts(notebook, written, records, tmp_path):
    other = with_other_facts(written, tmp_path / "other", STUDY_FACTS, truth=False)
    first, second = (
        executed(notebook, c, records, tmp_path / c.name / "out", "S01") for c in (written, other)
    )
    assert first == second


@pytest.mark.slow
@pytest.mark.parametrize("notebook", POOLS)
def test_pooled_notebooks_use_no_other_facts(notebook, written, records, tmp_path):
    about = NOTEBOOKS[notebook]
    used = about.facts + (STUDY_FACTS if "data" in about.uses else ())
    other = with_other_facts(written, tmp_path / "other", used, truth="truth" in about.uses)
    first, second = (executed(notebook, c, records, tmp_path / c.name / "out") for c in (written, other))
    assert first == second


@pytest.mark.slow
@pytest.mark.parametrize("notebook", [notebook.name for notebook in STAGE2 if notebook.facts])
def test_pooled_notebooks_use_the_facts_that_make_them_due(notebook, written, records, tmp_path):
    other = with_other_facts(written, tmp_path / "other", (), truth=True)
    first, second = (executed(notebook, c, records, tmp_path / c.name / "out") for c in (written, other))
    assert first != second


def test_every_library_that_results_are_computed_with_is_watched():
    imported = set()
    for path in (path for path in modules(results=True) if path.suffix == ".py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            imported |= {name.split(".")[0] for name in names}
    third = imported - set(sys.stdlib_module_names) - {"twostage"}
    third = {"pillow" if name == "PIL" else name for name in third}
    watched = {name.removesuffix("-py").replace("-", "_") for name in (*RESULT_LIBRARIES, *BOOK_LIBRARIES)}
    assert third <= watched | NO_RESULTS, third - watched - NO_RESULTS
    assert {"numpy", "scipy", "pandas", "statsmodels"} <= third & set(RESULT_LIBRARIES)
