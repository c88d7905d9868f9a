"""Some studies of a collection: named by a file, read like a whole one."""

import os
import shutil

import pytest

from twostage.collection.collection import locate_collection, read_collection
from twostage.collection.part import Part, part_text, read_part
from twostage.problems import CollectionError


def write_part(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "part.yml").write_text(text)
    return folder


def test_part_is_read_in_the_order_of_the_registry_and_says_so(small, tmp_path):
    folder = tmp_path / "runs" / "part"
    write_part(folder, part_text(folder, Part(small, ("S03", "S01"))))
    whole, part = read_collection(small), read_collection(folder)
    assert list(part.studies["study"]) == ["S01", "S03"]
    assert part.note == f"{whole.note} Only 2 of 3 studies: S01, S03."
    assert part.study("S03").checksum == whole.study("S03").checksum
    assert part.study("S03").info["study"] == "S03"
    with pytest.raises(CollectionError):
        part.study("S02")


def test_part_moves_with_its_collection(small, tmp_path):
    folder = write_part(tmp_path / "part", part_text(tmp_path / "part", Part(small, ("S02",))))
    shutil.copytree(tmp_path, tmp_path.parent / "moved")
    shutil.rmtree(small)
    with pytest.raises(CollectionError, match="no such folder"):
        read_collection(folder)
    assert list(read_collection(tmp_path.parent / "moved" / "part").studies["study"]) == ["S02"]


def test_part_is_found_from_below(small, tmp_path, monkeypatch):
    write_part(tmp_path / "part", part_text(tmp_path / "part", Part(small, ("S02",))))
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert os.path.samefile(locate_collection("part"), tmp_path / "part")


def test_all_studies_are_the_collection_itself(small):
    whole = read_collection(small)
    assert whole.only(["S01", "S02", "S03"]) is whole


def test_unknown_studies_are_all_named(small):
    with pytest.raises(CollectionError) as caught:
        read_collection(small).only(["S01", "S9", "T"])
    assert [p.value for p in caught.value.problems] == ["S9", "T"]
    with pytest.raises(CollectionError):
        read_collection(small).only([])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "- a",
        "collection: small",
        "collection: small\nstudies: S01",
        "collection: small\nstudies: []",
        "collection: small\nstudies: [1]",
        "collection: 5\nstudies: [S01]",
        "collection: small\nstudies: [S01]\nmore: 1",
        "collection: .\nstudies: [S01]",
    ],
)
def test_file_that_names_no_part_is_an_error(tmp_path, text):
    with pytest.raises(CollectionError, match=r"part\.yml"):
        read_part(write_part(tmp_path / "part", text))
