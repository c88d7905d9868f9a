"""An empty collection, a complete mapping and an import of whatever a test has."""

from pathlib import Path

import yaml

from twostage.collection.settings import Layout, Settings, Variable, VariableSettings
from twostage.collection.skeleton import Pair, new_collection
from twostage.importing.job import ImportReport, import_file, usable
from twostage.importing.mapping import check_mapping
from twostage.importing.read_file import read_source
from twostage.importing.reshape import Limits, reshape
from twostage.importing.source import ImportProblems
from twostage.importing.write import NewStudy, study_files
from twostage.words import Words

FACTS = {
    "label": "Clinic",
    "country": "Norway",
    "year": 2024,
    "setting": "outpatient clinic",
    "treatment": "psychotherapy",
    "design": "naturalistic",
    "x_instrument": "WAI-SR",
    "x_min": 0,
    "x_max": 100,
    "x_direction": 1,
    "y_instrument": "OQ-45",
    "y_min": 0,
    "y_max": 180,
    "y_direction": 1,
    "source": "the clinic",
    "licence": "not public",
}

LONG = {
    "layout": "long",
    "patient": "id",
    "session": "session",
    "x": {"column": "wai"},
    "y": {"column": "oq"},
}
WIDE = {"layout": "wide", "patient": "id", "x": {"column": "wai_{session}"}, "y": {"column": "oq_{session}"}}

SETTINGS = Settings(
    title="t",
    note="n",
    authors="",
    address="",
    synthetic=True,
    x=Variable("alliance", "alliance", "higher"),
    y=Variable("symptoms", "symptoms", "lower"),
    words=Words(),
    parameters={},
    sessions=Layout(
        file="sessions/{study}.csv",
        columns={"patient": "patient", "session": "session", "x": "alliance", "y": "symptoms"},
    ),
    patients=Layout(
        file="patients/{study}.csv",
        columns={c: c for c in ("patient", "therapist", "age", "gender", "pre", "post")},
    ),
)


def empty(folder: Path) -> Path:
    x = VariableSettings(name="alliance", label="alliance", better="higher")
    y = VariableSettings(name="symptoms", label="symptoms", better="lower")
    return new_collection(folder, Pair(x, y))


def write_mapping(path: Path, content: dict) -> Path:
    path.write_text(yaml.safe_dump({"study": FACTS} | content, allow_unicode=True), encoding="utf-8")
    return path


def bring(folder: Path, data: str | bytes | Path, content: dict, **how) -> ImportReport:
    """Import data into a new collection in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = data if isinstance(data, Path) else folder / "data.csv"
    if isinstance(data, str):
        file.write_text(data, encoding="utf-8", newline="")
    elif isinstance(data, bytes):
        file.write_bytes(data)
    mapping = write_mapping(folder / "m.yml", content)
    collection = folder / "c"
    if not collection.exists():
        empty(collection)
    return import_file(file, collection, mapping, how.pop("study", "S1"), **how)


def refused(folder: Path, data: str | bytes | Path, content: dict, **how) -> list[str]:
    """The problems of an import that must fail, and must leave the collection as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    collection = folder / "c"
    if not collection.exists():
        empty(collection)
    before = snapshot(collection)
    try:
        bring(folder, data, content, **how)
    except ImportProblems as error:
        assert snapshot(collection) == before
        return [str(problem) for problem in error.problems]
    raise AssertionError("the import was not refused")


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def written(folder: Path, study: str = "S1") -> tuple[str, str]:
    """Text of the sessions and patients file."""
    return tuple(
        (folder / "c" / kind / f"{study}.csv").read_text(encoding="utf-8")
        for kind in ("sessions", "patients")
    )


def contents(file: Path, content: dict) -> dict[str, str]:
    """The files that an import would write, without a collection to write to; faster than :func:`bring`."""
    mapping = check_mapping({"study": FACTS} | content, "m.yml")
    source, problems = usable(read_source(file, mapping.file.options()), mapping, "m.yml")
    assert not problems, problems
    tables, problems = reshape(source, mapping, Limits((0.0, 100.0), (0.0, 180.0)))
    assert not problems, problems
    return study_files(NewStudy("S1", {}, tables), SETTINGS)
