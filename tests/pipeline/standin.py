"""A small project whose notebooks do as little as possible, so that the tests are about the pipeline."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from twostage.notebooks import NOTEBOOKS, STAGE1, STAGE2, TUTORIALS, parameter_cell
from twostage.simulation.simulate import simulate_collection, write_collection

#: Stage-1 notebook -> the records it leaves; stage-2 notebook -> the records it pools.
RECORDS, POOLED = {n.name: n.leaves for n in STAGE1}, {n.name: n.reads for n in STAGE2}

TUTORIAL_NAMES = tuple(notebook.name for notebook in TUTORIALS)


def pooled_steps(k: int) -> list[str]:
    """The pooled notebooks of a collection of k studies with which nothing is stored."""
    return [n.name for n in STAGE2 if n.needs in ("", "outcome") and n.fewest <= k]


#: Of the usual stand-in, which has two studies.
WITHOUT_RECOVERY = pooled_steps(2)

REPOSITORY = Path(__file__).parents[2]

OF_A_STUDY = """\
import json, time
from pathlib import Path
from twostage.collection.part import read_part
part = read_part(Path(collection))
whole = part.collection if part else Path(collection)
scores = (whole / "sessions" / f"{study}.csv").read_text()
time.sleep(PAUSE)
folder = Path(record_folder)
folder.mkdir(parents=True, exist_ok=True)
for analysis in ANALYSES:
    (folder / f"{analysis}.json").write_text(json.dumps({"study": study, "size": len(scores)}))
print(study, len(scores))"""

OF_ALL = """\
import json, time
from pathlib import Path
time.sleep(PAUSE)
folder = Path(output_folder)
folder.mkdir(parents=True, exist_ok=True)
found = sorted(Path(records).glob("*/ANALYSIS.json"))
sizes = {path.parent.name: json.loads(path.read_text()).get("size", 0) for path in found}
(folder / "sizes.json").write_text(json.dumps(sizes))
(folder / "flow.csv").write_text("study,enrolled,included\\nall,70,60\\n")
print(sizes)"""

PAGES = {
    "index": "# {{ title }}\n\n{{ n_studies }} studies, $y = x^2$ {cite:p}`hand1921`\n",
    "results_outcome": "# Outcome\n\n{% if has_page('notebooks/pooled/stage2_outcome') %}"
    "See {doc}`notebooks/pooled/stage2_outcome`.{% endif %}\n",
    "references": "# References\n\n```{bibliography}\n```\n",
}

CONTENTS = {
    "root": "index",
    "parts": [
        {"caption": "Results", "pages": [{"file": "results_outcome", "needs": "outcome"}]},
        {"caption": "Computation", "pages": "pooled"},
        {"caption": "Study by study", "pages": "studies"},
        {"caption": "Tutorials", "pages": "tutorials"},
        {"caption": "Literature", "pages": [{"file": "references"}]},
    ],
}

BIBLIOGRAPHY = "@book{hand1921, author = {Hand, Ada}, title = {Sums}, year = {1921}, publisher = {Press}}\n"


def write_notebook(folder: Path, name: str, pause: float = 0.0, code: str | None = None) -> Path:
    """Write a stand-in for one notebook, with the real one's parameters."""
    if code is None:
        code = OF_A_STUDY if name in RECORDS else "print('shown')" if name in TUTORIAL_NAMES else OF_ALL
        code = code.replace("PAUSE", str(pause)).replace("ANALYSES", repr(RECORDS.get(name)))
        code = code.replace("ANALYSIS", (POOLED.get(name) or ("",))[0])
    cells = [
        new_markdown_cell(f"# {name.replace('_', ' ')}", id="title"),
        new_code_cell(parameter_cell(name), id="parameters", metadata={"tags": ["parameters"]}),
        new_code_cell(code, id="code"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def write_project(folder: Path, *, studies: int = 3, pause: float = 0.0) -> Path:
    """Write a project: stand-in notebooks, a short manuscript and a simulated collection."""
    for name in NOTEBOOKS:
        write_notebook(folder / "notebooks", name, pause)
    book = folder / "book"
    book.mkdir()
    for name, text in PAGES.items():
        (book / f"{name}.md").write_text(text)
    (book / "_contents.yml").write_text(yaml.safe_dump(CONTENTS))
    (book / "references.bib").write_text(BIBLIOGRAPHY)
    for name in ("study.md.j2", "study_against.md.j2", "study_shared.md.j2"):
        (book / name).write_bytes((REPOSITORY / "book" / name).read_bytes())
    (folder / "_config.yml").write_bytes((REPOSITORY / "_config.yml").read_bytes())
    write_collection(simulate_collection(1, n_studies=studies, n_patients=20 * studies), folder / "data")
    return folder


def stage1_steps(*studies: str, notebooks=tuple(RECORDS)) -> set[str]:
    """The steps of some stage-1 notebooks on some studies."""
    return {f"{notebook} {study}" for notebook in notebooks for study in studies}


def readers(*notebooks: str, k: int = 2) -> set[str]:
    """The pooled notebooks, of k studies, that read a record of these stage-1 notebooks, and the book."""
    made = {analysis for notebook in notebooks for analysis in RECORDS[notebook]}
    return {name for name in pooled_steps(k) if made & set(POOLED[name])} | {"book"}


def takers(parameter: str, k: int = 2) -> set[str]:
    """The pooled notebooks, of k studies, that take a parameter."""
    return {name for name in pooled_steps(k) if parameter in NOTEBOOKS[name].takes}


def all_steps(*studies: str, k: int = 2) -> set[str]:
    """Every step on some of k studies in a run that is not the default run."""
    return stage1_steps(*studies) | set(pooled_steps(k)) | {"book"}


def default_steps(*studies: str, k: int = 2) -> set[str]:
    """Every step of the default run."""
    return all_steps(*studies, k=k) | set(TUTORIAL_NAMES)


def command(*arguments: str) -> list[str]:
    """The command line; each run needs a process of its own, as for a user."""
    return [sys.executable, "-m", "twostage", *arguments]


def run_twostage(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Call the command line in a project and wait."""
    return subprocess.run(command(*arguments), cwd=project, capture_output=True, text=True)


def steps(text: str, word: str = "done") -> set[str]:
    """The steps that a run carried out (or that FAILED), from what it printed."""
    left = r"(?:  \(about \d+:\d\d left\))?"
    return set(re.findall(rf"^\[ *\d+/\d+\] +\d+:\d\d {word} +(.*?){left}$", text, re.MULTILINE))


def sizes(project: Path, notebook: str = "stage2_lagged", run: str = "default") -> dict[str, int]:
    """What a pooled stand-in notebook found."""
    return json.loads((project / "runs" / run / "output" / notebook / "sizes.json").read_text())


def change_scores(project: Path, study: str) -> None:
    """Change the data of one study: its last session is gone."""
    path = project / "data" / "sessions" / f"{study}.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))


def due(project: Path, *arguments: str) -> set[str]:
    """The steps that a run would carry out."""
    finished = run_twostage(project, "run", "--dry-run", *arguments)
    assert finished.returncode == 0, finished.stderr
    # Before them stands what shared studies will be missing from.
    return {line for line in finished.stdout.splitlines() if line.startswith(("stage", "tutorial_", "book"))}
