"""What a user sees while a run is on its way: one line per finished step, and the errors at the end."""

import math
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from pytask import ExecutionReport, Session, TaskOutcome, hookimpl
from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from twostage.files import read_json

#: The step that makes the book, alone, when all notebooks are done.
BOOK = "book"


#: As how many notebooks on one core it takes where no run has told: always, and for each notebook that is a page of it.
#: Measured on a book of 24 notebooks, which took as long as 12 of them.
BOOK_START, BOOK_PAGE = 4.0, 1 / 3


#: File, in the folder of what the orchestration remembers, with what the last run told of that.
BOOK_FILE = "book_weight.json"


#: Notebooks that a run must have done to tell: in fewer the start of the workers counts too much.
FEWEST_DONE = 5


def book_weight(state: Path, pages: int) -> float:
    """As how many notebooks on one core the book takes: as the last run had it, or by the number of its pages."""
    try:
        weight = read_json(state / BOOK_FILE)
    except (OSError, ValueError):
        weight = None
    known = isinstance(weight, int | float) and 0 < weight < math.inf
    return float(weight) if known else BOOK_START + BOOK_PAGE * pages


def clock(seconds: float) -> str:
    """``1:05``: minutes and seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"


class TimeLeft:
    """How long the steps that are due will still take, judged by those that are done.

    Parameters
    ----------
    due : iterable of str
        Names of the steps to do.
    workers : int
        How many are done at once; the book, which waits for all others, is done alone.
    weight : float
        As how many notebooks on one core the book takes.

    Attributes
    ----------
    measured : float or None
        The same as this run had it, once the book is done.
    """

    def __init__(self, due: Iterable[str], workers: int, weight: float):
        self._left, self._workers, self._weight, self._done = set(due), workers, weight, 0
        self._last = 0.0
        self.measured: float | None = None

    def finished(self, step: str, elapsed: float) -> None:
        """A step has ended, in whatever way, so many seconds after the beginning."""
        self._left.discard(step)
        if step == BOOK and self._done >= FEWEST_DONE:
            self.measured = (elapsed - self._last) * self._done / (self._last * self._workers)
        self._done, self._last = self._done + 1, elapsed

    def seconds(self, elapsed: float) -> float | None:
        """Seconds left; None while nothing is done from which to judge."""
        if not self._done:
            return None
        each = elapsed / self._done  # of the clock, with all workers busy
        book = self._weight * self._workers if BOOK in self._left else 0.0
        return each * (len(self._left - {BOOK}) + book)


class Progress:
    """A pytask plugin that prints one line per step that was carried out, with the time left.

    Steps whose inputs did not change are counted, not shown. On a terminal a bar stands below the lines.

    Parameters
    ----------
    due : iterable of str
        Names of the steps to do.
    workers : int
        How many are done at once.
    weight : float
        As how many notebooks on one core the book takes.
    """

    def __init__(self, due: Iterable[str], workers: int, weight: float):
        due = list(due)
        self._start = time.monotonic()
        self._finished = 0
        self._left = TimeLeft(due, workers, weight)
        console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        columns = BarColumn(), TextColumn("{task.completed:.0f} of {task.total:.0f} due, {task.description}")
        shown = console.is_terminal and bool(due)
        self._bar = Bar(*columns, console=console, disable=not shown, transient=True)
        self._task = self._bar.add_task("just begun", total=len(due))

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    @hookimpl(tryfirst=True)
    def pytask_execute_task_log_end(self, session: Session, report: ExecutionReport) -> None:
        """Count a step, and print it unless nothing had to be done."""
        self._finished += 1
        word = {TaskOutcome.SUCCESS: "done", TaskOutcome.FAIL: "FAILED"}.get(report.outcome)
        if word is not None:
            total, step = len(session.tasks), report.task.name
            elapsed = time.monotonic() - self._start
            self._left.finished(step, elapsed)
            left = self._left.seconds(elapsed)
            remains = f"  (about {clock(left)} left)" if left else ""
            count = f"{self._finished:{len(str(total))}}/{total}"
            self._line(f"[{count}] {clock(elapsed):>6} {word:6} {step}{remains}")
            self._bar.update(self._task, advance=1, description=f"about {clock(left or 0)} left")

    @property
    def measured(self) -> float | None:
        """As how many notebooks the book took, if it was made after enough of them."""
        return self._left.measured

    def _line(self, text: str) -> None:
        if self._bar.disable:
            print(text, flush=True)
        else:
            self._bar.console.print(text, markup=False)


def print_summary(reports: list[ExecutionReport], total: int) -> None:
    """Print how many steps were carried out, and every error."""
    count = {outcome: sum(r.outcome is outcome for r in reports) for outcome in TaskOutcome}
    parts = [
        (count[TaskOutcome.SUCCESS], "done"),
        (count[TaskOutcome.SKIP_UNCHANGED], "unchanged"),
        (count[TaskOutcome.FAIL], "failed"),
        (total - len(reports) + count[TaskOutcome.SKIP_PREVIOUS_FAILED], "not reached"),
    ]
    print(f"{total} steps: " + ", ".join(f"{n} {word}" for n, word in parts if n), flush=True)
    for report in reports:
        if report.outcome is TaskOutcome.FAIL and report.exc_info is not None:
            print(f"\nerror: {report.exc_info[1]}", file=sys.stderr)
