"""Commands shown as a user types them, with what they answer: for the tutorials, which run them while the book is made."""

import os
import shlex
import shutil
import tempfile
import weakref
from contextlib import contextmanager
from pathlib import Path

from IPython.display import SVG
from typer.testing import CliRunner

from twostage.cli import app

#: What makes a folder a project, for a run in it.
PROJECT = ("_config.yml", "notebooks", "book")


class TutorialError(RuntimeError):
    """A command of a tutorial did not end as the tutorial says."""


class Workshop:
    """A project folder for a tutorial's files, apart from the user's own.

    Parameters
    ----------
    folder : str
        The folder, new or empty; an empty text means: a temporary one, gone with the notebook.
    project : path
        The project whose notebooks and book are copied.

    Raises
    ------
    TutorialError
        If the folder holds something.
    """

    def __init__(self, folder: str = "", project: str | Path = "."):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="tutorial-")).resolve()
        if not folder:
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        if self.folder.exists() and any(self.folder.iterdir()):
            raise TutorialError(f"{self.folder}: expected a new or empty folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in PROJECT:
            source = Path(project) / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, self.folder / name)

    def run(self, command: str, status: int = 0) -> None:
        """Run a ``twostage`` command in the folder and print it with its output.

        Parameters
        ----------
        command : str
            As typed in a shell.
        status : int
            The exit status that the tutorial means to show.

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
        print(f"$ {command}\n{self._shown(result.output)}", end="")
        if result.exit_code != status:
            raise TutorialError(
                f"{command}: exit status {result.exit_code}, not {status}"
            ) from result.exception

    def show(self, file: str, last: int | None = None) -> None:
        """Print a text file of the folder, or its last lines.

        Parameters
        ----------
        file : str
            Relative to the folder.
        last : int, optional
        """
        text = (self.folder / file).read_text(encoding="utf-8").splitlines()
        shown = text if last is None else text[-last:]
        if len(shown) < len(text):
            print(f"... ({len(text) - len(shown)} lines before)")
        print("\n".join(shown))

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
