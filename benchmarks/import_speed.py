"""Processor time and memory of importing a long file: 25,000 patients, 20 sessions each.

    python benchmarks/import_speed.py [--rows 500000] [--formats csv,xlsx]

The file is written first, which is not measured. Each format is imported by the command line in a process of its
own, into an empty collection; printed are processor time (user and system), time on the clock and the most memory
that the process had.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import openpyxl
import yaml
from import_fuzz import FACTS

from twostage.collection.settings import VariableSettings
from twostage.collection.skeleton import Pair, new_collection

SESSIONS = 20

NAMES = ("id", "session", "wai", "oq", "age", "sex")

MAPPING = {
    "layout": "long",
    "patient": "id",
    "session": "session",
    "x": "wai",
    "y": "oq",
    "patients": {"age": "age", "gender": "sex"},
    "study": FACTS | {"x_max": 84, "y_max": 180},
}


def rows(n: int) -> list[tuple]:
    """Made-up scores, some missing."""
    rng = random.Random(1)
    made = []
    for i in range(n):
        patient, session = divmod(i, SESSIONS)
        wai = None if rng.random() < 0.05 else round(rng.uniform(12, 84), 2)
        oq = None if rng.random() < 0.05 else rng.randrange(181)
        made.append((f"P{patient:05d}", session + 1, wai, oq, 18 + patient % 60, "fm"[patient % 2]))
    return made


def write(path: Path, table: list[tuple]) -> None:
    """The table in a format."""
    if path.suffix == ".csv":
        lines = [NAMES, *table]
        path.write_text("".join(",".join("" if v is None else str(v) for v in r) + "\n" for r in lines))
        return
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("data")
    for row in [NAMES, *table]:
        sheet.append(row)
    book.save(path)


def measure(folder: Path, path: Path) -> str:
    """Import a file by the command line."""
    pair = Pair(*(VariableSettings(name=v, label=v, better="higher") for v in ("alliance", "symptoms")))
    collection = new_collection(folder / path.suffix[1:], pair)
    words = ["import", str(path), "--to", str(collection), "--study", "S1", "--map", str(folder / "m.yml")]
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "twostage", *words])
    _, status, used = os.wait4(process.pid, 0)
    seconds = used.ru_utime + used.ru_stime
    memory = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return (
        f"{path.suffix[1:]}: status {os.waitstatus_to_exitcode(status)}, {seconds:.1f} s of processor time, "
        f"{time.monotonic() - start:.0f} s, {memory:.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--formats", default="csv,xlsx")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "m.yml").write_text(yaml.safe_dump(MAPPING))
        for kind in asked.formats.split(","):
            path = folder / f"data.{kind}"
            write(path, rows(asked.rows))
            print(measure(folder, path), flush=True)


if __name__ == "__main__":
    main()
