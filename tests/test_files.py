"""Nothing is half-written and nothing is lost, wherever the process that writes is killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from twostage import files
from twostage.files import place_files, replace_folder, scratch_folder, tidy, unfinished_folder, write_files

#: Kills its process right before the n-th time that it changes a folder or opens a file to write.
KILLED = """
import os, signal, sys
from pathlib import Path
from twostage.files import *
left = int(sys.argv[1])
def before(event, arguments):
    global left
    writes = event == "open" and arguments[1] and arguments[1][0] in "wxa"
    if writes or event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(before)
"""

REPLACE = """
with unfinished_folder(Path("study")) as new:
    (new / "a").write_text("new")
    (new / "b").write_text("new")
    replace_folder(new, Path("study"))
"""

PLACE = """
with unfinished_folder(Path("import")) as staged:
    for name in ("sessions/S02", "patients/S02", "studies"):
        (staged / name).parent.mkdir(exist_ok=True)
        (staged / name).write_text("new")
    place_files(staged, ["sessions/S02", "patients/S02", "studies"])
"""

WRITE = 'write_files({Path("a"): b"new", Path("b"): b"new"})'

SCRATCH = """
sys.modules["twostage.files"].LONGEST_ROOT = 1000
with scratch_folder() as folder:
    os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills as POSIX systems do")


def killed(folder: Path, code: str, step: int) -> bool:
    """Run code in a folder, killed at a step; False if it was done before."""
    process = subprocess.run(
        [sys.executable, "-c", KILLED + code, str(step)], cwd=folder, capture_output=True
    )
    assert process.returncode in (0, -9), process.stderr.decode()
    return process.returncode == -9


def content(folder: Path) -> dict[str, str]:
    """Every file of a folder, and every empty folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else ""
        for path in folder.rglob("*")
        if path.is_file() or not any(path.iterdir())
    }


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        pytest.param(REPLACE, {}, {"study/a": "new", "study/b": "new"}, id="new folder"),
        pytest.param(
            REPLACE,
            {"study/a": "old", "study/c": "old"},
            {"study/a": "new", "study/b": "new"},
            id="replaced folder",
        ),
        pytest.param(
            PLACE,
            {"studies": "old", "sessions/S01": "old"},
            {"studies": "new", "sessions/S01": "old", "sessions/S02": "new", "patients/S02": "new"},
            id="placed files",
        ),
    ],
)
def test_killed_at_any_step_all_or_nothing_is_done(tmp_path, code, before, after):
    steps = found = 0
    while True:
        steps += 1
        folder = tmp_path / str(steps)
        folder.mkdir()
        write_files({folder / name: text.encode() for name, text in before.items()})
        done = not killed(folder, code, steps)
        left = content(folder)
        tidy(folder)
        assert content(folder) in (before, after), f"killed before step {steps}"
        found += left != content(folder)
        if done:
            break
    assert content(folder) == after
    # The steps at which something was left over, so that it was tidied.
    assert found >= 3
    assert not killed(tmp_path / "1", code, 1000)
    assert content(tmp_path / "1") == after


def test_killed_while_files_are_written_each_is_whole(tmp_path):
    (tmp_path / "a").write_text("old")
    step = 1
    while killed(tmp_path, WRITE, step):
        tidy(tmp_path)
        assert set(content(tmp_path).values()) <= {"old", "new"}
        assert set(content(tmp_path)) <= {"a", "b"}
        step += 1
    assert step > 4
    assert content(tmp_path) == {"a": "new", "b": "new"}


def test_what_a_living_process_or_another_machine_writes_is_left_alone(tmp_path):
    with unfinished_folder(tmp_path / "study") as mine:
        elsewhere = tmp_path / f".study.{'0' * 6}-1-{'0' * 8}.part"
        elsewhere.mkdir()
        tidy(tmp_path)
        assert mine.is_dir()
        assert elsewhere.is_dir()
        os.utime(elsewhere, (0, 0))
        tidy(tmp_path)
        assert not elsewhere.exists()
    assert not list(tmp_path.iterdir())


def test_a_list_from_elsewhere_removes_nothing_outside(tmp_path):
    outside, folder = tmp_path / "mine.txt", tmp_path / "collection"
    outside.write_text("mine")
    left = folder / f".import.{'0' * 6}-1-{'0' * 8}.part"
    left.mkdir(parents=True)
    (left / "last").write_text("")
    (left / files.JOURNAL).write_text('{"files": ["../mine.txt", "last"], "folders": [".."]}')
    os.utime(left, (0, 0))
    tidy(folder)
    assert outside.read_text() == "mine"
    assert not left.exists()


def test_an_interruption_while_a_folder_is_replaced_puts_it_back(tmp_path, monkeypatch):
    target, replace = tmp_path / "study", os.replace
    write_files({target / "a": b"old"})

    def interrupted(source, place):
        if Path(place) == target and Path(source).suffix == ".part":
            raise KeyboardInterrupt
        replace(source, place)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), unfinished_folder(target) as new:
        (new / "a").write_text("new")
        replace_folder(new, target)
    assert content(tmp_path) == {"study/a": "old"}


def test_a_full_disk_leaves_files_as_they_were(tmp_path, monkeypatch):
    write_files({tmp_path / "a": b"old"})
    write = Path.write_bytes

    def full(path, data):
        write(path, data[:1])
        if path.name.startswith(".b"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_files({tmp_path / "a": b"new", tmp_path / "b": b"new"})
    assert content(tmp_path) == {"a": "old"}


def test_a_failure_while_files_are_placed_takes_them_back(tmp_path, monkeypatch):
    replace = os.replace

    def full(source, target):
        if Path(target) == tmp_path / "studies":
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"), unfinished_folder(tmp_path / "import") as staged:
        write_files({staged / name: b"new" for name in ("sessions/S02", "studies")})
        place_files(staged, ["sessions/S02", "studies"])
    assert not list(tmp_path.iterdir())


def test_scratch_folders_are_private_short_and_cleared(tmp_path, monkeypatch):
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(files, "LONGEST_ROOT", 1000)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert killed(tmp_path, SCRATCH, 1000)
    (left,) = (path for path in tmp_path.iterdir() if path.suffix == ".part")
    assert left.stat().st_mode & 0o777 == 0o700
    with scratch_folder() as folder:
        assert folder.parent == tmp_path
        assert not left.exists()
    monkeypatch.setattr(files, "LONGEST_ROOT", 10)
    with scratch_folder() as folder:
        assert len(str(folder)) < 60
