"""An export replaces its own files and no others."""

import json

import pytest

from twostage.export.folder import LIST, ExportError, place

ABOUT = {"run": "default"}


def test_a_new_folder_has_the_files_and_their_list(tmp_path):
    assert place({"a/b.txt": b"1", "c.txt": b"2"}, tmp_path / "new", ABOUT) == ["a/b.txt", "c.txt"]
    assert (tmp_path / "new/a/b.txt").read_bytes() == b"1"
    told = json.loads((tmp_path / "new" / LIST).read_text())
    assert told["run"] == "default" and set(told["files"]) == {"a/b.txt", "c.txt"}


def test_again_replaces_its_own_removes_what_is_gone_and_leaves_the_rest(tmp_path):
    place({"a.txt": b"1", "b.txt": b"2"}, tmp_path, ABOUT)
    (tmp_path / "mine.txt").write_text("mine")
    place({"a.txt": b"3", "c.txt": b"4"}, tmp_path, ABOUT)
    files = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.name != LIST}
    assert files == {"a.txt": b"3", "c.txt": b"4", "mine.txt": b"mine"}


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.docx").write_bytes(b"years")
    with pytest.raises(ExportError, match="a new or empty folder, or that of an earlier export"):
        place({"a.txt": b"1"}, tmp_path, ABOUT)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.docx"]


@pytest.mark.parametrize("kept", ["a.txt", "b.txt"])
def test_a_file_that_was_edited_is_refused_unless_forced(tmp_path, kept):
    place({"a.txt": b"1", "b.txt": b"2"}, tmp_path, ABOUT)
    (tmp_path / kept).write_text("edited")
    with pytest.raises(ExportError, match=f"{kept}.*changed since it was exported.*--force"):
        place({"a.txt": b"3"}, tmp_path, ABOUT)
    assert (tmp_path / kept).read_text() == "edited"
    place({"a.txt": b"3"}, tmp_path, ABOUT, force=True)
    assert {p.name for p in tmp_path.iterdir()} == {"a.txt", LIST}


def test_a_file_that_no_export_wrote_is_not_overwritten(tmp_path):
    place({"a.txt": b"1"}, tmp_path, ABOUT)
    (tmp_path / "b.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"b\.txt.*a file that no export wrote"):
        place({"a.txt": b"1", "b.txt": b"2"}, tmp_path, ABOUT)


def test_a_list_cannot_name_files_elsewhere(tmp_path):
    (tmp_path / "outside.txt").write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / LIST).write_text(json.dumps({"files": {"../outside.txt": ""}}))
    with pytest.raises(ExportError, match="no list of an export's files"):
        place({"a.txt": b"1"}, folder, ABOUT, force=True)
    assert (tmp_path / "outside.txt").is_file()
