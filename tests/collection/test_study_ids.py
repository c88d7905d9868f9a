"""An id that some file system, run or table cannot hold is refused wherever a study comes in."""

import pytest
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.collection.collection import read_collection, validate_collection
from twostage.collection.study_ids import is_device, same_file, why_not
from twostage.importing.mapping import check_mapping
from twostage.importing.source import ImportProblems
from twostage.pipeline.entry import Request, plan_run
from twostage.pipeline.errors import PipelineError
from twostage.problems import CollectionError
from twostage.project import package_project
from twostage.simulation.simulate import simulate_collection, write_collection

BAD = [
    "pooled",
    "tutorials",
    "part",
    "all",
    "mean",
    "TAU",
    "CON",
    "nul",
    "Aux",
    "prn",
    "COM1",
    "lpt9",
    "x" * 65,
    "S.1",
    "",
]
GOOD = ["S01", "1", "003", "4e5", "NA", "nan", "True", "CON_1", "com10", "x" * 64]


@pytest.mark.parametrize("id", BAD)
def test_refused_by_name(id):
    assert why_not(id)


@pytest.mark.parametrize("id", GOOD)
def test_everything_else_is_good(id):
    assert why_not(id) is None


def test_a_device_is_one_with_any_suffix_and_no_file_ends_with_a_point():
    assert all(map(is_device, ("CON", "nul.csv", "COM1.tar.gz", "aux .x", "run.", "run ")))
    assert not any(map(is_device, ("console", "run.1", "S01", "com")))
    assert same_file("s02", ["S01", "S02"]) == "S02"
    assert same_file("S02", ["S01", "S02"]) is None


def renamed(collection, old: str, new: str) -> None:
    for name in ("studies.csv", "truth.csv"):
        text = (collection / name).read_text(encoding="utf-8")
        (collection / name).write_text(text.replace(f"\n{old},", f"\n{new},"), encoding="utf-8")
    for folder in ("sessions", "patients"):
        (collection / folder / f"{old}.csv").rename(collection / folder / f"{new}.csv")


@pytest.mark.parametrize("id", ["pooled", "CON", "s01"])
def test_the_registry_refuses_it_with_its_line(small, id):
    renamed(small, "S02", id)
    found = [p for p in validate_collection(small) if p.column == "study" and p.row == 3]
    assert len(found) == 1
    assert id in found[0].value
    with pytest.raises(CollectionError):
        read_collection(small)


def test_a_mapping_and_an_import_refuse_it():
    content = {
        "layout": "wide",
        "patient": "id",
        "x": "x_{session}",
        "y": "y_{session}",
        "study_column": "arm",
    }
    with pytest.raises(ImportProblems, match="Windows keeps this one for a device"):
        check_mapping(content | {"studies": {"a": {"study": "CON"}}}, "m.yml")
    assert check_mapping(content | {"studies": {"a": {"study": 1}}}, "m.yml").studies["a"].study == "1"


def test_new_collections_and_runs_are_not_called_like_devices(tmp_path):
    answer = CliRunner().invoke(app, ["new-collection", str(tmp_path / "aux.1")])
    assert answer.exit_code == 2
    assert "Windows" in answer.output
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(PipelineError, match="Windows"):
        plan_run(package_project(), Request(name="nul.5"))


def test_every_good_id_makes_a_collection(tmp_path):
    drawn = simulate_collection(3, n_studies=2, n_patients=40)
    for id in GOOD:
        folder = write_collection(drawn, tmp_path / f"c-{len(id)}-{id[:5]}")
        renamed(folder, "S02", id)
        if id != "S01":
            assert validate_collection(folder) == ()
