"""Each input of a run changed by itself, before, during and after it: the results are those of a clean run, and no more is
done again than has to be."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from inprocess import STUDIES, carried_out, due, in_process, made, quick_project
from inprocess import meanwhile as meanwhile
from standin import TUTORIAL_NAMES, all_steps, default_steps, pooled_steps, readers, stage1_steps, takers

from twostage.notebooks import NOTEBOOKS
from twostage.pipeline import code
from twostage.pipeline.content import digest
from twostage.pipeline.entry import Request, plan_run
from twostage.pipeline.errors import PipelineError
from twostage.pipeline.steps import declare

pytestmark = pytest.mark.slow

ALL = tuple(f"S{i:02}" for i in range(1, STUDIES + 1))
EVERYTHING = default_steps(*ALL, k=STUDIES)
ANALYSES = all_steps(*ALL, k=STUDIES)
BOOK = {"book"}
CODE_OF_PAGES = {*TUTORIAL_NAMES, "book"}
NOTHING: set[str] = set()


def rewrite(path: Path, old: str, new: str) -> None:
    """Change a text in a file and set its date back."""
    before, text = path.stat(), path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Change a file of the project."""
    return lambda project: rewrite(project / name, old, new)


def fact(study: str, column: str, value: str) -> Callable[[Path], None]:
    """Change one cell of the registry."""

    def change(project: Path) -> None:
        header, *rows = (project / "data" / "studies.csv").read_text().splitlines()
        names = header.split(",")
        cells = next(r for r in rows if r.startswith(f"{study},")).split(",")
        new = [value if name == column else cell for name, cell in zip(names, cells, strict=True)]
        rewrite(project / "data" / "studies.csv", ",".join(cells), ",".join(new))

    return change


def judged(project: Path) -> None:
    """Add a judgement of a study's risk of bias."""
    text = "study,domain,judgement,reason\nS01,missing data,high,\n"
    (project / "data" / "risk_of_bias.csv").write_text(text)


def setting(key: str, value: object) -> Callable[[Path], None]:
    """Change one line of collection.yml."""

    def change(project: Path) -> None:
        path = project / "data" / "collection.yml"
        content = yaml.safe_load(path.read_text())
        inner = content
        *outer, last = key.split(".")
        for name in outer:
            inner = inner[name]
        inner[last] = value
        path.write_text(yaml.safe_dump(content, sort_keys=False))

    return change


def remove(name: str) -> Callable[[Path], None]:
    """Remove a file of the project."""
    return lambda project: (project / name).unlink()


def add(name: str, text: str) -> Callable[[Path], object]:
    """Write a new file, or at the end of one that is there."""

    def change(project: Path) -> None:
        path = project / name
        path.write_text((path.read_text() if path.exists() else "") + text)

    return change


def score(project: Path) -> None:
    """One score of the second study is another; the file is as long as before."""
    path = project / "data" / "sessions" / "S02.csv"
    header, first, *rest = path.read_text().splitlines()
    last = "1" if first[-1] != "1" else "2"
    path.write_text("\n".join([header, first[:-1] + last, *rest]) + "\n")


def truth_of(study: str) -> Callable[[Path], None]:
    """Change a generating value: of a study, or the mean."""

    def change(project: Path) -> None:
        path = project / "data" / "truth.csv"
        row = next(line for line in path.read_text().splitlines() if line.startswith(f"{study},"))
        rewrite(path, row, row.rsplit(",", 1)[0] + ",0.987")

    return change


OF_S02 = all_steps("S02", k=STUDIES)
RUN = "runs/default"

#: What is changed of what a run is made from -> how, and what then is due.
INPUTS = {
    "data": (score, OF_S02),
    "data with a new date": (lambda p: os.utime(p / "data/sessions/S02.csv"), NOTHING),
    "label": (fact("S02", "label", "Another name"), OF_S02),
    "instrument": (fact("S02", "y_instrument", "BSI"), OF_S02),
    "range": (fact("S02", "x_max", "4"), OF_S02),
    "year": (fact("S02", "year", "2001"), {"stage2_influence", "stage2_moderators", "book"}),
    "country": (fact("S02", "country", "Norway"), {"stage2_sensitivity", "stage2_moderators", "book"}),
    "setting": (fact("S02", "setting", "ward"), {"stage2_moderators", "book"}),
    "design": (fact("S02", "design", "trial"), {"stage2_moderators", "book"}),
    "treatment": (fact("S02", "treatment", "ACT"), BOOK),
    "licence": (fact("S02", "licence", "MIT"), BOOK),
    "title": (setting("title", "Another title"), BOOK),
    "authors": (setting("authors", "Somebody"), BOOK),
    "synthetic": (setting("synthetic", False), BOOK),
    "what is said of the review": (setting("review", {"funding": "nobody"}), BOOK),
    "risk of bias": (judged, BOOK),
    "note": (setting("note", "Somebody's data."), ANALYSES),
    "word for x": (setting("x.label", "bond"), ANALYSES),
    "setting of one analysis": (
        setting("parameters.early_last_session", 2),
        stage1_steps(*ALL, notebooks=["stage1_outcome"]) | readers("stage1_outcome", k=STUDIES),
    ),
    "setting of the pool": (setting("parameters.tau2_method", "DL"), takers("tau2_method", k=STUDIES) | BOOK),
    "comment in the settings": (add("data/collection.yml", "# a comment\n"), NOTHING),
    "meaning of a variable": (edit("data/dictionary.csv", "identifier", "name"), NOTHING),
    "mean truth": (truth_of("mean"), {"stage2_estimators", "book"}),
    "truth of a study": (truth_of("S01"), NOTHING),
    "no truth": (remove("data/truth.csv"), {"stage2_estimators", "book"}),
    "template of a study": (
        edit("notebooks/stage1_outcome.ipynb", "print(", "print(1, "),
        stage1_steps(*ALL, notebooks=["stage1_outcome"]) | readers("stage1_outcome", k=STUDIES),
    ),
    "pooled template": (
        edit("notebooks/stage2_joint.ipynb", "print(", "print(1, "),
        {"stage2_joint", "book"},
    ),
    "tutorial": (edit("notebooks/tutorial_clinic.ipynb", "shown", "told"), {"tutorial_clinic", "book"}),
    "page": (edit("book/references.md", "References", "Literature"), BOOK),
    "new page": (add("book/more.md", "# More\n"), BOOK),
    "no longer a page": (remove("book/study_shared.md.j2"), BOOK),
    "what an editor leaves": (add("book/.index.md.swp", "x"), NOTHING),
    "settings of the book": (add("_config.yml", "# a comment\n"), BOOK),
    "literature": (edit("book/references.bib", "Sums", "Differences"), BOOK),
    "style": (add("book/assets/book.css", "a { color: red }\n"), BOOK),
}

#: The same of what it left.
IN_THE_RUN = {
    "record": (
        edit(f"{RUN}/records/S01/lagged.json", "data", "date"),
        {"stage1_lagged S01"} | readers("stage1_lagged", k=STUDIES),
    ),
    "executed notebook": (
        edit(f"{RUN}/notebooks/S01/stage1_data.ipynb", "print(", "print(1, "),
        {"stage1_data S01"} | readers("stage1_data", k=STUDIES),
    ),
    "executed pooled notebook": (
        edit(f"{RUN}/notebooks/pooled/stage2_joint.ipynb", "print(", "print(1, "),
        {"stage2_joint", "book"},
    ),
    "pooled table": (edit(f"{RUN}/output/stage2_lagged/flow.csv", "40", "41"), {"stage2_lagged", "book"}),
    "no pooled table": (remove(f"{RUN}/output/stage2_lagged/flow.csv"), {"stage2_lagged", "book"}),
    "figure": (edit(f"{RUN}/output/stage2_joint/figure.svg", "svg", "sgv"), {"stage2_joint", "book"}),
    "more tables than there were": (add(f"{RUN}/output/stage2_joint/b.csv", "1"), {"stage2_joint", "book"}),
    "page of the book": (edit(f"{RUN}/html/notebooks/S01/index.md", "Synthetic", "Real"), BOOK),
    "no page of the book": (remove(f"{RUN}/html/references.md"), BOOK),
    "no first page": (remove(f"{RUN}/html/index.html"), BOOK),
    "figure of the book": (edit(f"{RUN}/html/output/stage2_joint/figure.svg", "svg", "sgv"), BOOK),
    "parameters as noted": (edit(f"{RUN}/inputs/parameters/stage2_joint.json", "REML", "DL"), NOTHING),
    "run.json": (edit(f"{RUN}/run.json", "REML", "DL"), NOTHING),
    "copy of a template": (
        edit(f"{RUN}/inputs/project/notebooks/stage2_joint.ipynb", "print(", "print(1, "),
        NOTHING,
    ),
    "memory": (lambda p: shutil.rmtree(p / RUN / "state"), EVERYTHING),
    "half a memory": (lambda p: os.truncate(p / RUN / "state/pytask.lock", 2000), EVERYTHING),
    "another memory": (
        edit(f"{RUN}/state/pytask.lock", 'lock-version = "1"', 'lock-version = "9"'),
        EVERYTHING,
    ),
}

CHANGES = INPUTS | IN_THE_RUN


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> Path:
    """A project whose default run is done; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        in_process(patch)
        project = quick_project(tmp_path_factory.mktemp("before") / "project")
        assert carried_out(project) == (0, EVERYTHING, "")
    return project


@pytest.fixture
def project(before, tmp_path) -> Path:
    """A copy that is free to be changed."""
    return Path(shutil.copytree(before, tmp_path / "project"))


def clean(project: Path) -> dict[str, str]:
    """What a first run of a project as it is now leaves."""
    fresh = Path(shutil.copytree(project, project.parent / "fresh", ignore=shutil.ignore_patterns("runs")))
    status, _, errors = carried_out(fresh)
    assert status == 0, errors
    return made(fresh)


@pytest.fixture(scope="module")
def clean_runs() -> dict[str, dict[str, str]]:
    """What was changed -> what a first run leaves then, as far as there was one."""
    return {}


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_due(what, project, meanwhile):
    change, expected = CHANGES[what]
    change(project)
    assert due(project) == expected


#: Carry out every row of the tables, before, during and after, which takes about ten minutes; else the rows below.
ALL = bool(os.environ.get("TWOSTAGE_ALL_ROWS"))

#: Of each kind one; for the others it is enough, in every run of the tests, that the same steps are due.
ONE_OF_EACH = (
    "data",
    "setting",
    "title",
    "setting of the pool",
    "mean truth",
    "template of a study",
    "style",
)
ONE_OF_EACH += (
    "record",
    "executed notebook",
    "no pooled table",
    "figure",
    "page of the book",
    "half a memory",
)

#: What pytask cannot read.
DAMAGED = {"half a memory", "another memory"}


@pytest.mark.parametrize("what", CHANGES if ALL else ONE_OF_EACH)
def test_between_runs(what, before, project, meanwhile, clean_runs):
    change, expected = CHANGES[what]
    change(project)
    status, done, errors = carried_out(project)
    assert status == 0, errors
    assert ("damaged" in errors) == (what in DAMAGED)
    if what in IN_THE_RUN:
        # It was made again, and as that turned out equal, nothing that depends on it.
        assert bool(done) == bool(expected) and done <= expected
        assert len(done) <= 1 or expected == EVERYTHING
        assert made(project) == made(before)
    else:
        # Another template made the same records.
        assert done == expected - ({"stage2_outcome"} if what == "template of a study" else NOTHING)
        clean_runs[what] = clean(project)
        assert made(project) == clean_runs[what]


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A copy of the package that counts as the one that is used."""
    source = Path(code.__file__).parents[1]
    copy = shutil.copytree(source, tmp_path / "twostage", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "twostage", SimpleNamespace(__file__=str(copy / "__init__.py")))
    return Path(copy)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("stats/pool/pool.py", EVERYTHING),
        ("pipeline/runner.py", EVERYTHING),
        ("pipeline/book/pages.py", CODE_OF_PAGES),
        ("cli/app.py", CODE_OF_PAGES),
    ],
)
def test_code_between_runs(module, expected, project, package, meanwhile):
    rewrite(package / module, '"""', '"""Well: ')
    assert due(project) == expected
    if module == "cli/app.py" or ALL:
        assert carried_out(project) == (0, expected, "")
        assert made(project) == clean(project)


LIBRARIES = {
    name: EVERYTHING for name in ("numpy", "scipy", "pandas", "statsmodels", "matplotlib", "seaborn")
}
LIBRARIES |= {"twostage": EVERYTHING, "sphinx": BOOK, "jupyter-book": BOOK}


@pytest.mark.parametrize(("library", "expected"), LIBRARIES.items())
def test_libraries_between_runs(library, expected, project, monkeypatch, meanwhile):
    installed = code.installed
    monkeypatch.setattr(code, "installed", lambda name: "0.0" if name == library else installed(name))
    assert due(project) == expected
    if ALL:
        assert carried_out(project) == (0, expected, "")
        assert made(project) == clean(project)


def test_python_between_runs(project, monkeypatch, meanwhile):
    monkeypatch.setattr(code.platform, "python_version", lambda: "3.99.0")
    assert due(project) == EVERYTHING


@pytest.mark.parametrize("again", [Request(name="default", assignments=("tau2_method=DL",))])
def test_parameters_between_runs(again, project, meanwhile):
    expected = takers("tau2_method", k=STUDIES) | BOOK
    assert due(project, again) == expected
    assert carried_out(project, again)[:2] == (0, expected)
    assert due(project) == expected


#: What is changed while which step goes on, and whether that step can be finished all the same.
LIVE = {
    "data": (score, "stage1_lagged S02", False),
    "data of another study": (score, "stage1_lagged S01", True),
    "data that are analysed again": (score, "stage2_window", False),
    "registry": (fact("S02", "label", "Another name"), "stage1_lagged S02", False),
    "registry and book": (fact("S02", "treatment", "ACT"), "book", False),
    "settings": (setting("title", "Another title"), "stage2_joint", False),
    "truth": (truth_of("mean"), "stage2_estimators", False),
    "template": (edit("notebooks/stage2_joint.ipynb", "print(", "print(1, "), "stage2_joint", True),
    "page": (edit("book/references.md", "References", "Literature"), "book", True),
    "settings of the book": (add("_config.yml", "# a comment\n"), "book", True),
    "style": (add("book/assets/book.css", "a { color: red }\n"), "book", True),
    "literature": (edit("book/references.bib", "Sums", "Differences"), "book", True),
    "record": (edit(f"{RUN}/records/S01/lagged.json", "data", "date"), "stage2_joint", True),
    "pooled table": (edit(f"{RUN}/output/stage2_lagged/flow.csv", "40", "41"), "book", True),
    "executed notebook": (
        edit(f"{RUN}/notebooks/S01/stage1_data.ipynb", "print(", "print(1, "),
        "book",
        True,
    ),
    "copy of a template": (
        edit(f"{RUN}/inputs/project/notebooks/stage2_joint.ipynb", "print(", "print(1, "),
        "stage2_joint",
        False,
    ),
}


def start_again_at(project: Path, step: str) -> None:
    """Make a step due."""
    notebook, _, study = step.partition(" ")
    folder = study or ("tutorials" if notebook in TUTORIAL_NAMES else "pooled")
    (done := project / RUN / "notebooks" / folder / f"{notebook}.ipynb").unlink(missing_ok=True)
    if not done.parent.exists() or step == "book":
        (project / RUN / "html" / "index.html").unlink()


@pytest.mark.parametrize(
    ("what", "moment"),
    [*((what, "after") for what in LIVE), *((what, "before") for what in ("data", "page"))],
)
def test_during_a_run(what, moment, before, project, meanwhile, clean_runs):
    change, step, goes_on = LIVE[what]
    start_again_at(project, step)
    getattr(meanwhile, moment)[step] = lambda: change(project)
    status, done, errors = carried_out(project)
    assert status == (0 if goes_on else 1), errors
    assert goes_on == (step in done)
    assert goes_on or "written while the run was going on; give the command again" in errors
    # The next run notices, and then all is as if the change had been there from the beginning.
    assert carried_out(project)[0] == 0
    assert due(project) == NOTHING
    if what not in clean_runs:
        clean_runs[what] = clean(project)
    assert made(project) == clean_runs[what]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("what", INPUTS if ALL else list(INPUTS)[::5])
def test_each_input_while_what_reads_it_goes_on(what, moment, project, meanwhile, clean_runs):
    """Written before the step has read anything, or after it has read everything."""
    change, expected = INPUTS[what]
    step = min(expected - BOOK, default="book")
    start_again_at(project, step)
    happens = getattr(meanwhile, moment)
    happens[step] = lambda: change(project)
    status, _, errors = carried_out(project)
    assert not happens, f"{step} was not done"
    assert status == 0 or "written while the run was going on; give the command again" in errors
    assert carried_out(project)[0] == 0
    assert due(project) == NOTHING
    if what not in clean_runs:
        clean_runs[what] = clean(project)
    assert made(project) == clean_runs[what]


@pytest.mark.parametrize("what", ["data", "registry", "copy of a template"])
def test_during_a_run_and_back_again(what, before, project, meanwhile):
    change, step, _ = LIVE[what]
    start_again_at(project, step)
    kept = project.parent / "kept"
    folders = ("data", f"{RUN}/inputs")

    def away() -> None:
        for name in folders:
            shutil.copytree(project / name, kept / name)
        change(project)

    def back() -> None:
        for name in folders:
            shutil.copytree(kept / name, project / name, dirs_exist_ok=True)

    meanwhile.before[step], meanwhile.after[step] = away, back
    status, done, errors = carried_out(project)
    assert (status, step in done) == (1, False)
    assert "written while the run was going on" in errors
    assert carried_out(project)[0] == 0
    assert made(project) == made(before)


def test_code_and_libraries_during_a_run(before, project, package, monkeypatch, meanwhile):
    start_again_at(project, "stage2_joint")
    meanwhile.after["stage2_joint"] = lambda: rewrite(
        package / "pages" / "common" / "tables.py", '"""', '"""Well: '
    )
    status, done, errors = carried_out(project)
    assert (status, "stage2_joint" in done, "book" in done) == (1, False, False)
    assert "the package's code: changed while the run was going on" in errors
    installed = code.installed

    def upgrade() -> None:
        monkeypatch.setattr(code, "installed", lambda name: "9.9" if name == "numpy" else installed(name))

    meanwhile.after["stage2_joint"] = upgrade
    status, done, errors = carried_out(project)
    assert (status, "stage2_joint" in done, "book" in done) == (1, False, False)
    assert "numpy 9.9 instead of" in errors
    assert carried_out(project)[0] == 0
    assert made(project) == clean(project)


def test_a_book_of_other_parameters_is_refused(project, meanwhile):
    """Whatever may have led there."""
    notebook = project / RUN / "notebooks" / "pooled" / "stage2_joint.ipynb"
    rewrite(notebook, 'tau2_method = \\"REML\\"', 'tau2_method = \\"DL\\"')
    *_, book = declare(plan_run(project, Request()))
    with pytest.raises(
        PipelineError, match="stage2_joint.ipynb: executed with tau2_method = 'DL', expected 'REML'"
    ):
        book.execute()


def entries(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every entry of a folder: when it was written and what is in it."""
    paths = sorted(folder.rglob("*"))
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"")
        for p in paths
    }


@pytest.mark.parametrize("name", ["default", "never", "damaged"])
def test_a_dry_run_writes_nothing(name, project, meanwhile):
    if name == "damaged":
        (project / RUN / "state" / "pytask.lock").write_text("[")
    (project / "book" / "index.md").write_text("# Another {{ title }}\n")
    earlier = entries(project)
    assert due(project, Request(name="never" if name == "never" else None))
    assert entries(project) == earlier


def test_every_notebook_is_in_the_table():
    """A notebook that reads something new of the registry has to say so, see test_inputs.py."""
    assert set(EVERYTHING) >= set(pooled_steps(STUDIES)) | set(TUTORIAL_NAMES)
    assert {step.split()[0] for step in EVERYTHING} == set(NOTEBOOKS) - {
        "stage2_recovery",
        "stage2_multiverse",
        "stage2_continuous",
    } | BOOK


def test_a_device_has_no_digest(tmp_path):
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "circle").symlink_to("circle")
    assert (digest(tmp_path / "endless"), digest(tmp_path / "circle")) == (None, None)
