"""``introduction.md``: the introduction of a collection's book, written by whoever knows its question."""

import os
import stat
from pathlib import Path

from twostage.problems import Problem
from twostage.text import text_problem

FILE = "introduction.md"


#: Bytes of the file; ten pages have some 30,000 letters.
MOST_BYTES = 100_000


#: Longest paragraph, in characters.
LONGEST_LINE = 5000


def read_introduction(path: Path) -> tuple[str, list[Problem]]:
    """Read ``introduction.md`` of a folder; empty where there is none, or where there are problems."""
    file = path / FILE
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            return "", [Problem(FILE, None, None, "no plain file", "a text")]
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return "", []
    except OSError as error:
        return "", [Problem(FILE, None, None, type(error).__name__, "a readable file")]
    if len(content) > MOST_BYTES:
        return "", [Problem(FILE, None, None, "a larger file", f"at most {MOST_BYTES:,} bytes")]
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        return "", [Problem(FILE, row, None, f"byte 0x{content[error.start]:02x}", "text in UTF-8")]
    problems = [p for row, line in enumerate(text.split("\n"), start=1) for p in _line_problems(row, line)]
    return ("" if problems else text.strip()), problems


def _line_problems(row: int, line: str) -> list[Problem]:
    if len(line) > LONGEST_LINE:
        return [Problem(FILE, row, None, f"{line[:40]}...", f"at most {LONGEST_LINE:,} characters in a line")]
    # The newline allows a long text.
    problem = text_problem(FILE, row, None, line, "\n\t")
    return [problem] if problem else []
