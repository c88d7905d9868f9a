"""The time left, and that what is not a terminal gets lines and nothing else."""

from standin import default_steps, due, run_twostage, steps, write_notebook

from twostage.files import write_json
from twostage.pipeline.progress import BOOK_FILE, TimeLeft, book_weight, clock


def test_time_left_is_that_of_the_steps_that_are_due():
    left = TimeLeft([*"abcd", "book"], workers=2, weight=4.0)
    assert left.seconds(1.0) is None
    left.finished("a", 5.0)
    left.finished("b", 10.0)
    # Two steps in 10 s with two workers: 5 s each; two more, and a book as long as 4 steps on one of two workers.
    assert left.seconds(10.0) == 2 * 5 + 4 * 2 * 5
    for step in ("c", "d", "book"):
        left.finished(step, 20.0)
    assert left.seconds(100.0) == 0
    assert left.measured is None


def test_the_book_takes_what_it_took_the_last_time(tmp_path):
    """Six notebooks in 30 s with two workers, 10 s of a worker each; a book of 35 s is as long as three and a half."""
    left = TimeLeft([*"abcdef", "book"], workers=2, weight=4.0)
    for at, step in enumerate("abcdef"):
        left.finished(step, 5.0 * (at + 1))
    left.finished("book", 65.0)
    assert left.measured == 3.5
    assert book_weight(tmp_path, 24) == 12
    write_json(tmp_path / BOOK_FILE, left.measured)
    assert book_weight(tmp_path, 24) == 3.5
    for damaged in ("", "[]", "NaN", "-1"):
        (tmp_path / BOOK_FILE).write_text(damaged)
        assert book_weight(tmp_path, 24) == 12


def test_clock_counts_minutes():
    assert [clock(s) for s in (0, 59.6, 65, 3600)] == ["0:00", "1:00", "1:05", "60:00"]


def test_output_that_is_no_terminal_has_one_line_per_step(project):
    write_notebook(project / "notebooks", "stage2_crosslevel", pause=0.01)
    assert due(project) == {"stage2_crosslevel", "book"}
    finished = run_twostage(project, "run")
    assert finished.returncode == 0, finished.stderr
    assert "\x1b" not in finished.stdout + finished.stderr
    assert "\r" not in finished.stdout + finished.stderr
    first, second, *rest = finished.stdout.splitlines()
    assert steps(first) == {"stage2_crosslevel"}
    assert " left)" in first
    assert steps(second) == {"book"}
    total = len(default_steps("S01", "S02"))
    assert rest[0] == f"{total} steps: 2 done, {total - 2} unchanged"
