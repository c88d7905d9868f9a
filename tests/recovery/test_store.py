"""Stored recovery studies say what made them, and when they are out of date."""

import json

import pandas as pd
import pytest

from twostage.collection.collection import read_collection
from twostage.params import make_parameters
from twostage.recovery.code import code_checksum
from twostage.recovery.design import design_checksum
from twostage.recovery.store import MAKER, RecoveryError, read_recovery, write_recovery
from twostage.recovery.studies import study_designs

SUMMARY = pd.DataFrame(
    {
        "condition": ["plain"],
        "pool": ["all"],
        "estimator": ["centred"],
        "direction": ["x_to_y"],
        "term": ["x_within"],
        "bias": [0.125],
    }
)


@pytest.fixture
def about(small):
    collection = read_collection(small)
    designs = study_designs(collection, make_parameters(collection.defaults))
    numbers = {
        "replicates": 20,
        "fewest_replicates": 20,
        "seed": 1,
        "bootstraps": 10,
        "seconds": 1.5,
        "processes": 2,
    }
    texts = {"commit": "abc", "package_version": "0", "date": "2026-11-25"}
    return numbers | texts | {"code": code_checksum(MAKER), "design": design_checksum(designs)}


def test_what_is_written_is_read(small, about):
    write_recovery(small, SUMMARY, about)
    stored = read_recovery(read_collection(small))
    pd.testing.assert_frame_equal(stored.tidy(), SUMMARY)
    assert stored.about == about
    assert stored.caution() == ""
    assert stored.row("plain", "centred", "x_to_y", "x_within")["bias"] == 0.125
    assert stored.row("plain", "dpm", "x_to_y", "x_within") is None
    assert sorted(p.name for p in (small / "recovery").iterdir()) == ["about.json", "summary.csv"]


def test_there_need_not_be_one(small):
    assert read_recovery(read_collection(small)) is None


def test_other_code_and_other_studies_are_noticed(small, about):
    write_recovery(small, SUMMARY, about | {"code": "0" * 64})
    assert "code" in read_recovery(read_collection(small)).caution()
    write_recovery(small, SUMMARY, about)
    sessions = small / "sessions" / "S01.csv"
    sessions.write_text("\n".join(sessions.read_text().splitlines()[:-1]) + "\n")
    caution = read_recovery(read_collection(small)).caution()
    assert "studies" in caution
    assert "code" not in caution


def test_another_score_is_no_other_design(small, about):
    """Patterns of observation are kept, not scores."""
    write_recovery(small, SUMMARY, about)
    sessions = small / "sessions" / "S01.csv"
    lines = sessions.read_text().splitlines()
    cells = lines[1].split(",")
    assert cells[3] != "20"
    lines[1] = ",".join([*cells[:3], "20"])
    sessions.write_text("\n".join(lines) + "\n")
    assert read_recovery(read_collection(small)).caution() == ""


@pytest.mark.parametrize("damage", ["{", json.dumps({"replicates": 20})])
def test_what_cannot_be_read_is_named(small, about, damage):
    folder = write_recovery(small, SUMMARY, about)
    (folder / "about.json").write_text(damage)
    with pytest.raises(RecoveryError, match="recovery"):
        read_recovery(read_collection(small))


def test_the_checksum_follows_what_the_maker_uses(tmp_path, monkeypatch):
    package = tmp_path / "twostage"
    package.mkdir()
    texts = {"__init__": "", "a": "from twostage.b import c\n", "b": "c = 1\n", "d": "e = 1\n"}
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr("twostage.recovery.code.find_spec", _finder(package))
    before = code_checksum("twostage.a")
    (package / "d.py").write_text("e = 2\n")
    assert code_checksum("twostage.a") == before
    (package / "b.py").write_text("c = 2\n")
    assert code_checksum("twostage.a") != before


def test_of_a_face_the_checksum_has_what_is_taken_from_it(tmp_path, monkeypatch):
    package = tmp_path / "twostage"
    (package / "f").mkdir(parents=True)
    face = "from twostage.f.g import c\nfrom twostage.f.h import e\n"
    texts = {"a": "from twostage.f import c\n", "f/__init__": face, "f/g": "c = 1\n", "f/h": "e = 1\n"}
    for name, text in texts.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.setattr("twostage.recovery.code.find_spec", _finder(package))
    before = code_checksum("twostage.a")
    (package / "f" / "h.py").write_text("e = 2\n")
    (package / "f" / "__init__.py").write_text(f"{face}from twostage.f.h import i\n")
    assert code_checksum("twostage.a") == before
    (package / "f" / "g.py").write_text("c = 2\n")
    assert code_checksum("twostage.a") != before


def _finder(package):
    from importlib.util import spec_from_file_location

    def find(name):
        place = package / name.removeprefix("twostage.").replace(".", "/")
        if (face := place / "__init__.py").is_file():
            return spec_from_file_location(name, face, submodule_search_locations=[str(place)])
        path = place.with_suffix(".py")
        return spec_from_file_location(name, path) if path.is_file() else None

    return find


def test_the_maker_uses_drawing_and_estimating():
    """A checksum over too few modules would call old results fresh."""
    from twostage.recovery.code import _collect

    found = {}
    _collect(MAKER, (), found)
    for name in (
        "recovery.draw",
        "stage1.estimator_batch",
        "simulation.model",
        "stats.pool.pool",
        "stats.mixed.many",
        "stats.riclpm.fit",
    ):
        assert f"twostage.{name}" in found, name
    for name in ("pages.common.plots", "pipeline.run", "stats.multilevel.pair", "collection.collection"):
        assert f"twostage.{name}" not in found, name
