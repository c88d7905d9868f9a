"""What can go wrong between data and book, said so that one knows where to look."""

import re

from twostage.characters import terminal

#: What colours text on a terminal.
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


#: How many of an error's last lines are shown; the complete traceback is in the failed copy.
SHOWN_LINES = 12


class PipelineError(RuntimeError):
    """A step failed; the message is all a user needs to see."""


class NotebookError(PipelineError):
    """A notebook stopped with an error.

    Attributes
    ----------
    notebook, study : str
        Which notebook, on which study (or ``all studies``).
    cell : int or None
        Number of the cell, counted from 1; None when no single cell is to blame.
    copy : str or None
        Where the partly executed copy is, as messages show it.
    detail : str
        The error's last lines.
    """

    def __init__(self, notebook: str, study: str, cell: int | None, copy: str | None, detail: str):
        self.notebook, self.study, self.cell, self.copy = notebook, study, cell, copy
        self.detail = "\n".join(detail.strip().splitlines()[-SHOWN_LINES:])
        # All arguments go to the base class so that a worker can send the error to another process.
        super().__init__(notebook, study, cell, copy, detail)

    def __str__(self) -> str:
        where = f"{self.notebook} ({self.study})"
        if self.cell is not None:
            where += f", cell {self.cell}"
        lines = [f"{where}:", *(f"    {terminal(line)}" for line in self.detail.splitlines())]
        if self.copy is not None:
            lines.append(f"    executed so far: {self.copy}")
        return "\n".join(lines)
