"""What a user sees while a run is on its way: one line per finished step, and the errors at the end."""

import sys
import time

from pytask import ExecutionReport, PTask, Session, TaskOutcome, hookimpl


def step_name(task: PTask) -> str:
    """What a step is called: a notebook and its study."""
    return task.name.rpartition("::")[2]


class Progress:
    """A pytask plugin that prints one line per step that was carried out.

    Steps whose inputs did not change are counted, not shown.
    """

    def __init__(self):
        self._start = time.monotonic()
        self._finished = 0

    @hookimpl(tryfirst=True)
    def pytask_execute_task_log_end(self, session: Session, report: ExecutionReport) -> None:
        """Count a step, and print it unless nothing had to be done."""
        self._finished += 1
        word = {TaskOutcome.SUCCESS: "done", TaskOutcome.FAIL: "FAILED"}.get(report.outcome)
        if word is not None:
            total = len(session.tasks)
            minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
            count = f"{self._finished:{len(str(total))}}/{total}"
            print(f"[{count}] {minutes:3}:{seconds:02} {word:6} {step_name(report.task)}", flush=True)


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
        if report.outcome is TaskOutcome.FAIL:
            print(f"\nerror: {report.exc_info[1]}", file=sys.stderr)
