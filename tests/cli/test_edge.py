"""What no command can do anything about is one sentence and an exit status."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from twostage import files
from twostage.cli.edge import Edge

app = typer.Typer(cls=Edge)


@app.command()
def write(place: Path) -> None:
    """Write a file."""
    files.write_text(place, "text")


@app.command()
def wait(number: int, status: int = 0) -> None:
    """Be told to end while working; say so oneself where a status is given."""
    try:
        os.kill(os.getpid(), number)
        time.sleep(30)
    except KeyboardInterrupt:
        if status:
            raise typer.Exit(status) from None
        raise


@pytest.fixture
def heeded():
    """Signals as a command in the foreground has them: a shell's background jobs have SIGINT ignored."""
    numbers = [n for n in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    yield
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def invoke(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_a_disk_that_cannot_be_written_is_named_with_its_reason(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    result = invoke("write", tmp_path / "a.csv")
    assert result.exit_code == 1
    assert result.stderr == f"{tmp_path / 'a.csv'}: No space left on device; no file is left half-written\n"


def test_unfinished_names_are_not_shown(tmp_path, monkeypatch):
    def read_only(path, data):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "write_bytes", read_only)
    assert f"{tmp_path / 'a.csv'}: Read-only file system" in invoke("write", tmp_path / "a.csv").stderr


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX systems have them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_interrupts_and_is_the_status(number, heeded):
    before = signal.getsignal(number)
    result = invoke("wait", int(number))
    assert result.exit_code == 128 + number
    assert "interrupted" in result.stderr
    assert invoke("wait", int(number), "--status", 130).exit_code == 128 + number
    assert invoke("wait", int(number), "--status", 1).exit_code == 1
    assert signal.getsignal(number) == before


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX systems have them")
def test_signals_that_are_ignored_stay_ignored():
    code = "import os, signal, typer; from twostage.cli.edge import orderly_end\n"
    code += "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    code += "with orderly_end(): os.kill(os.getpid(), signal.SIGHUP); print('went on')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "went on\n"


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX systems have them")
@pytest.mark.usefixtures("heeded")
def test_an_interruption_while_commands_are_imported_is_no_traceback(tmp_path):
    (tmp_path / "pydantic.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "twostage", "params"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130
    assert done.stderr.startswith("interrupted")
