"""Commands shown as a user types them, with what they answer: for the tutorials, which run them while the book is made."""

import os
import re
import shlex
import shutil
import tempfile
import textwrap
import weakref
from collections.abc import Iterable
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

from IPython.display import SVG
from typer.testing import CliRunner

from twostage.cli.app import app
from twostage.project import project_files, project_folder

#: What makes a folder a project, for a run in it.
PROJECT = ("_config.yml", "notebooks", "book")


#: Characters of a line that the page shows without scrolling.
WIDTH = 92


class TutorialError(RuntimeError):
    """A command of a tutorial did not end as the tutorial says."""


class Workshop:
    """A project folder for a tutorial's files, apart from the user's own.

    Parameters
    ----------
    folder : str
        The folder, new or empty; an empty text means: a temporary one, gone with the notebook.
    project : path, optional
        The project whose notebooks and book are copied; the one that the current folder is in.

    Raises
    ------
    TutorialError
        If the folder holds something, or there is no project.
    """

    def __init__(self, folder: str = "", project: str | Path | None = None):
        project = project_folder(Path.cwd()) if project is None else Path(project)
        if project is None:
            raise TutorialError(f"{Path.cwd()}: expected the project's folder or one in it")
        self.folder = Path(folder or tempfile.mkdtemp(prefix="tutorial-")).resolve()
        if not folder:
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        if self.folder.exists() and any(self.folder.iterdir()):
            raise TutorialError(f"{self.folder}: expected a new or empty folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in PROJECT:
            source = project_files(project) / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, self.folder / name)

    def run(self, command: str, status: int = 0, first: int | None = None) -> None:
        """Run a ``twostage`` command in the folder and print it with its output.

        Parameters
        ----------
        command : str
            As typed in a shell.
        status : int
            The exit status that the tutorial means to show.
        first : int, optional
            How many lines of the output are printed.

        Raises
        ------
        TutorialError
            If the command ends otherwise.
        """
        words = shlex.split(command)
        if words[:1] != ["twostage"]:
            raise TutorialError(f"{command}: expected a command of twostage")
        with self._inside():
            result = CliRunner().invoke(app, words[1:], prog_name="twostage", terminal_width=100)
        lines = self._shown(result.output).splitlines()
        more = [] if first is None or len(lines) <= first else [f"... ({len(lines) - first} lines more)"]
        _print([f"$ {command}", *lines[:first], *more])
        if result.exit_code != status:
            raise TutorialError(
                f"{command}: exit status {result.exit_code}, not {status}"
            ) from result.exception

    def show(self, file: str, last: int | None = None, part: str = "") -> None:
        """Print a text file of the folder, its last lines, or a part of it.

        Parameters
        ----------
        file : str
            Relative to the folder.
        last : int, optional
        part : str
            How the first line of the part begins; it ends before an empty line.
        """
        text = (self.folder / file).read_text(encoding="utf-8").splitlines()
        if part:
            start = next(i for i, line in enumerate(text) if line.startswith(part))
            _print(takewhile(str.strip, text[start:]))
            return
        shown = text if last is None else text[-last:]
        if len(shown) < len(text):
            print(f"... ({len(text) - len(shown)} lines before)")
        _print(shown)

    def same(self, study: str, *collections: str) -> None:
        """Say that collections have equal files and rows of a study.

        Parameters
        ----------
        study : str
        collections : str
            Folders of collections, relative to the folder.

        Raises
        ------
        TutorialError
            If they have not.
        """
        first, *others = (self._files(study, name) for name in collections)
        for what, content in first.items():
            if any(other[what] != content for other in others):
                raise TutorialError(f"{what}: expected the same in {', '.join(collections)}")
            print(f"{what}: the same, byte by byte, in {', '.join(collections)}")

    def _files(self, study: str, collection: str) -> dict[str, bytes]:
        folder = self.folder / collection
        rows = (folder / "studies.csv").read_bytes().splitlines(keepends=True)
        files = [f"sessions/{study}.csv", f"patients/{study}.csv"]
        row = b"".join(row for row in rows if row.startswith(f"{study},".encode()))
        return {file: (folder / file).read_bytes() for file in files} | {
            f"the row {study} of studies.csv": row
        }

    def picture(self, file: str) -> SVG:
        """A picture of the folder (SVG), for the last line of a notebook cell."""
        return SVG(filename=str(self.folder / file))

    @contextmanager
    def _inside(self):
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            yield
        finally:
            os.chdir(before)

    def _shown(self, text: str) -> str:
        """Output without the folder's own place, which is another each time."""
        return text.replace(f"{self.folder}{os.sep}", "").replace(str(self.folder), ".")


def _print(lines: Iterable[str]) -> None:
    """Print lines; long ones are continued as a terminal does, but for the rows of a table."""
    for line in lines:
        row = len(re.findall(r"\S {2,}", line)) > 1
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        kept = {"break_long_words": False, "break_on_hyphens": False}
        parts = [line] if row else textwrap.wrap(line, WIDTH, subsequent_indent=indent, **kept)
        print("\n".join(parts or [""]))
