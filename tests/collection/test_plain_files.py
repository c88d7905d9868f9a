"""Plain files are read at once: the same tables as cell by cell, and whatever is wrong is said by that."""

import shutil

import pytest
import yaml
from fuzz_csv import compare, fuzz

from twostage.collection import read_collection
from twostage.collection.distinct_texts import split


def test_no_damaged_file_is_read_otherwise(tmp_path):
    """The script has thousands more."""
    found = fuzz(tmp_path / "c", 60, seed=2)
    # Neither of the ways is idle.
    assert found["taken"] >= 4
    assert found["refused, with problems"] >= 20


def test_every_study_of_the_default_collection_is_read_at_once(default):
    for id in default.studies["study"]:
        assert compare(default._files, default._row(id)) == "taken"


def test_texts_are_each_found_once():
    columns = split("a,long\nx,one and twenty letters\ny,ä\nx,one and twenty letterz\n,\n".encode())
    first, second = columns["a"].distinct(), columns["long"].distinct()
    assert (list(first.texts), first.codes.tolist()) == (["x", "y", ""], [0, 1, 0, 2])
    assert list(second.texts) == ["one and twenty letters", "ä", "one and twenty letterz", ""]
    assert second.column().tolist() == ["one and twenty letters", "ä", "one and twenty letterz", ""]
    longer = split(b"a,b\n1," + b"x" * 65 + b"\n")
    assert longer["b"].distinct() is None
    assert list(longer["a"].distinct().texts) == ["1"]


@pytest.mark.parametrize(
    "content",
    ["", "a,b", "a,b\n", "a,a\n1,2\n", "a,b\n1\n2,3,4\n", 'a,b\n"1",2\n', "a,b\n1,2\r\n", "a,b\n\n1,2\n"],
)
def test_what_is_not_plain_is_left_to_the_other_way(content):
    assert split(content.encode()) is None
    assert split(b"a,b\n1,\xff\n") is None


def test_studies_in_one_file_are_told_apart(three, tmp_path):
    """Rows of other studies do not count, neither as patients nor as problems."""
    folder = shutil.copytree(three.path, tmp_path / "one")
    lines = {}
    for kind in ("sessions", "patients"):
        for id in three.studies["study"]:
            head, *rows = (folder / kind / f"{id}.csv").read_text().splitlines()
            lines.setdefault(kind, [f"sample,{head}"]).extend(f"{id},{row}" for row in rows)
        (folder / f"{kind}.csv").write_text("\n".join(lines[kind]) + "\n")
    settings = yaml.safe_load((folder / "collection.yml").read_text())
    for kind in ("sessions", "patients"):
        settings.setdefault(kind, {}).update({"file": f"{kind}.csv", "where": {"sample": "study"}})
    (folder / "collection.yml").write_text(yaml.safe_dump(settings, sort_keys=False))
    together = read_collection(folder)
    for id in three.studies["study"]:
        assert compare(together._files, together._row(id)) == "taken"
        assert together.study(id).checksum == three.study(id).checksum
