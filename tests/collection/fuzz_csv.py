"""Damages the files of a study in thousands of ways, and holds the quick reading of plain files against the other one.

    python tests/collection/fuzz_csv.py --n 5000 --seed 1

Whatever the quick way (:mod:`twostage.collection.plain_files`) takes must have no problem by the way that reads cell by
cell, and give the same tables and the same checksum; what it does not take is read the other way, so that its problems are
that way's.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from pandas.testing import assert_frame_equal

from twostage.collection import read_collection
from twostage.collection.study_files import StudyFiles
from twostage.simulation import simulate_collection, write_collection

#: Cells that some reader of numbers, or none, takes for one; and what may stand for a patient.
CELLS = (
    *(
        "inf",
        "-inf",
        "Infinity",
        "nan",
        "NaN",
        "NA",
        "N/A",
        "#N/A",
        "null",
        "None",
        "True",
        "",
        " ",
        "  ",
        "-9",
        "99",
    ),
    *(
        "1e1",
        "1E+1",
        "1e400",
        "1e-400",
        "+5",
        "-5",
        " 5",
        "5 ",
        "\t5",
        "5.",
        ".5",
        "5e",
        "e5",
        "--5",
        "+-5",
        "5-",
        ".",
    ),
    *(
        "-0",
        "0x1F",
        "1_0",
        "1.5.2",
        "1,5",
        "1;5",
        "'5",
        "'=1",
        "=1",
        '"5"',
        '"5',
        '5"',
        '"a,b"',
        "007",
        "00",
        "1e0",
    ),
    *("\u0663", "\uff15", "\u00a05", "5\u2028", "\x0b5", "5\x00", "\ufeff5", "\u200b5", "1" * 12, "1" * 70),
    *(
        "3.0000000000000001",
        "0.1000000000000000055511151231257827",
        "12.34567890123456789",
        "p0001",
        "p0001 ",
        "\xe9",
    ),
    *("p'1", "a\nb", "9" * 30, "1d5", "1e+", "5 5", "1.", "+.5", "1e5", "0", "1", "7", "1000", "1001"),
)

#: Bytes that mean something in such a file, or are no text.
BYTES = b",;\n\r\t \"'\x00.0159-+eE\xff\xc3\xa9\xef\xbb\xbf"


def _rows(content: bytes) -> list[list[bytes]]:
    return [line.split(b",") for line in content.rstrip(b"\n").split(b"\n")]


def _joined(rows: list[list[bytes]]) -> bytes:
    return b"\n".join(b",".join(row) for row in rows) + b"\n"


def cell(content: bytes, draw: random.Random) -> bytes:
    """Another text in some cells."""
    rows = _rows(content)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        row = draw.choice(rows[1:] if len(rows) > 1 and draw.random() < 0.97 else rows)
        row[draw.randrange(len(row))] = draw.choice(CELLS).encode()
    return _joined(rows)


def byte(content: bytes, draw: random.Random) -> bytes:
    """A byte is another one, or one more, or gone."""
    at = draw.randrange(len(content))
    new = bytes([draw.choice(BYTES)])
    return content[:at] + draw.choice((new, new + content[at : at + 1], b"")) + content[at + 1 :]


def row(content: bytes, draw: random.Random) -> bytes:
    """A row is there twice, not at all, elsewhere, longer or shorter."""
    rows = _rows(content)
    at = draw.randrange(1, len(rows)) if len(rows) > 1 else 0
    how = draw.randrange(5)
    if how == 0:
        rows.insert(draw.randrange(1, len(rows) + 1), list(rows[at]))
    elif how == 1:
        del rows[at]
    elif how == 2:
        rows.append(rows.pop(at))
    elif how == 3:
        rows[at] = [*rows[at], b""]
    else:
        rows[at] = rows[at][:-1]
    return _joined(rows)


def column(content: bytes, draw: random.Random) -> bytes:
    """Columns in another order, one more, one less, or called otherwise."""
    rows = _rows(content)
    how, at = draw.randrange(4), draw.randrange(min(map(len, rows)))
    if how == 0:
        order = draw.sample(range(len(rows[0])), len(rows[0]))
        rows = [[r[i] for i in order if i < len(r)] for r in rows]
    elif how == 1:
        rows = [[*r, draw.choice(CELLS).encode() if i else b"more"] for i, r in enumerate(rows)]
    elif how == 2:
        rows = [r[:at] + r[at + 1 :] for r in rows]
    else:
        rows[0][at] = draw.choice((b" " + rows[0][at] + b" ", b"", rows[0][0], b"'" + rows[0][at], b"x"))
    return _joined(rows)


def file(content: bytes, draw: random.Random) -> bytes:
    """As other programs and other places save files."""
    return draw.choice(
        (
            lambda: content.replace(b"\n", b"\r\n"),
            lambda: b"\xef\xbb\xbf" + content,
            lambda: content.replace(b",", b";"),
            lambda: content.replace(b".", b","),
            lambda: content.rstrip(b"\n"),
            lambda: content + b"\n\n",
            lambda: content + b" \n",
            lambda: b"\n" + content,
            lambda: content.decode(errors="replace").encode("utf-16"),
            lambda: content[: draw.randrange(len(content))],
            lambda: content.split(b"\n", 1)[0] + b"\n",
            lambda: b"",
            lambda: b"\n".join([content.split(b"\n")[0], *sorted(content.split(b"\n")[1:])]),
        )
    )()


DAMAGE: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    cell,
    cell,
    cell,
    byte,
    byte,
    row,
    column,
    file,
)


class Bench:
    """A study in a folder of its own.

    Parameters
    ----------
    folder : Path
        New.
    """

    def __init__(self, folder: Path):
        write_collection(simulate_collection(3, n_studies=1, n_patients=12), folder)
        self._collection = read_collection(folder)
        self._info = self._collection._row("S01")
        self._files = self._collection._files
        self._contents = {path: path.read_bytes() for path in self._files.paths(self._info)}

    def damage(self, draw: random.Random) -> str:
        """Damage the study's files and read them both ways; what the quick one did.

        Raises
        ------
        AssertionError
            The ways differ.
        """
        for path, content in self._contents.items():
            for _ in range(draw.choice((0, 1, 1, 2))):
                content = draw.choice(DAMAGE)(content, draw) if content else content
            path.write_bytes(content)
        return compare(self._files, self._info)


def compare(files: StudyFiles, info: dict) -> str:
    """Read a study both ways; raises AssertionError where they differ."""
    fresh = replace(files, _shared={}, _plain_files={})
    sessions, patients, problems = fresh.read(info, 2)
    with patch.object(StudyFiles, "_plain", lambda *_: None):
        slow_sessions, slow_patients, slow_problems = replace(files, _shared={}, _plain_files={}).read(
            info, 2
        )
    assert [str(p) for p in problems] == [str(p) for p in slow_problems]
    if fresh._plain(info) is None:
        return "refused, with problems" if problems else "refused, without"
    assert not problems
    assert_frame_equal(sessions, slow_sessions, check_exact=True)
    if patients is None or slow_patients is None:
        assert patients is slow_patients
    else:
        assert_frame_equal(patients, slow_patients, check_exact=True)
    return "taken"


def fuzz(folder: Path, n: int, seed: int) -> Counter[str]:
    """Damage a study many times; how often the quick way took the files."""
    bench, draw = Bench(folder), random.Random(seed)
    return Counter(bench.damage(draw) for _ in range(n))


def main() -> int:
    """Say how it went."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(Path(folder) / "c", asked.n, asked.seed)
    print(f"{asked.n} damaged studies, no difference: {dict(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
