"""Damaged files of every format: each is refused by name or imported, and nothing is left half-written.

    python tests/importing/fuzz_files.py parquet 10000 1        a format (or all), how many files, a seed

Prints how many were refused and imported, and each file that ended otherwise, with the number by which
``damaged(format, seed, number)`` makes it again.
"""

import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from functools import cache
from pathlib import Path

import pyreadr

sys.path.insert(0, str(Path(__file__).parent))

from import_support import LONG, empty, write_mapping

from twostage.importing.job import import_file
from twostage.problems import ProblemError
from twostage.simulation.examples import example_study, write_example

MAPPING = LONG | {"patient": "patient"}
FORMATS = ("parquet", "csv", "xlsx", "sav", "zsav", "dta", "rds", "RData")


@cache
def whole(kind: str) -> bytes:
    """A file of the kind, undamaged."""
    table = example_study(seed=5, n_patients=12).long
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{kind}"
        if kind == "RData":
            pyreadr.write_rdata(path, table, df_name="table")
        elif kind == "zsav":
            import pyreadstat

            pyreadstat.write_sav(
                table.assign(**table.select_dtypes("string").astype(object)), path, compress=True
            )
        else:
            write_example(table, path)
        return path.read_bytes()


def damaged(kind: str, seed: int, number: int) -> bytes:
    """A file with one to three damages of a kind that disks, mails and editors do."""
    draw = random.Random(f"{kind} {seed} {number}")
    content = bytearray(whole(kind))
    for _ in range(draw.choice([1, 1, 2, 3])):
        at = draw.randrange(len(content) + 1)
        # Heads and tails say how the rest is to be read: they are hit more often than their share.
        at = draw.choice([at, at, min(at, draw.randrange(64)), max(at, len(content) - draw.randrange(400))])
        size = draw.choice([1, 1, 2, 4, 16, 256])
        how = draw.randrange(6)
        if how == 0:
            content[at : at + size] = draw.randbytes(min(size, max(len(content) - at, 0)))
        elif how == 1 and at < len(content):
            content[at] ^= 1 << draw.randrange(8)
        elif how == 2:
            del content[at : at + size]
        elif how == 3:
            content[at:at] = draw.choice([draw.randbytes(size), bytes(size), content[:size]])
        elif how == 4:
            content[at : at + size] = draw.choice([b"\0", b"\xff"]) * min(size, max(len(content) - at, 0))
        else:
            del content[draw.choice([at, len(content) // 2, len(content) - 1]) :]
    return bytes(content)


def outcome(kind: str, content: bytes, blank: Path, folder: Path) -> str:
    """What an import of the file does: "refused" or "imported"; anything else is said."""
    collection = shutil.copytree(blank, folder / "collection")
    file = folder / f"a.{kind}"
    file.write_bytes(content)
    before = _listed(collection)
    try:
        import_file(file, collection, write_mapping(folder / "mapping.yml", MAPPING), "N01")
    except ProblemError as error:
        left = _listed(collection)
        named = all(str(p.file).endswith((file.name, "mapping.yml")) for p in error.problems)
        return "refused" if left == before and named else f"left {left} or named others: {error}"
    except Exception as error:  # Everything else is what is looked for.
        return f"{type(error).__name__}: {error}"
    finally:
        shutil.rmtree(collection)
    return "imported"


def _listed(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def fuzz(kind: str, n: int, seed: int, first: int = 0) -> tuple[Counter, list[tuple[int, str]]]:
    """Outcomes of n damaged files, and those that are faults."""
    counts: Counter = Counter()
    faults = []
    with tempfile.TemporaryDirectory() as at, warnings.catch_warnings():
        warnings.simplefilter("error")
        blank = empty(Path(at) / "blank")
        for number in range(first, first + n):
            Path(at, "number").write_text(str(number))
            found = outcome(kind, damaged(kind, seed, number), blank, Path(at))
            counts[found if found in ("refused", "imported") else "fault"] += 1
            if found not in ("refused", "imported"):
                faults.append((number, found))
    return counts, faults


if __name__ == "__main__":
    kinds, n, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    start = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    for kind in FORMATS if kinds == "all" else [kinds]:
        counts, faults = fuzz(kind, n, seed, start)
        print(
            kind,
            f"from {start}",
            dict(counts),
            *(f"\n  {number}: {words}" for number, words in faults),
            flush=True,
        )
    sys.exit(0)
