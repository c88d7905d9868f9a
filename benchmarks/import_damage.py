"""Damaged files by the thousand: each is refused with problems or imported whole, never anything else.

    python benchmarks/import_damage.py [--formats xlsx,sav,zsav,dta,rds,RData,csv] [--n 10000] [--seed 1]

A mutant is a good file with bytes changed, cut, repeated or filled with zeros; of compressed formats, half have the
damage inside and whole compression around it. Each is imported into a collection. Counted are refusals, imports,
tracebacks (any other exception), processes that died or took too long, and collections that are not as before after
a refusal or not valid after an import. A worker with a bound on its memory does the reading; one that dies is
replaced, and the mutant it died of is named by its number.
"""

import argparse
import bz2
import gzip
import io
import multiprocessing
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from functools import cache
from pathlib import Path

import openpyxl
import pandas as pd
import pyreadr
import pyreadstat
import yaml
from import_fuzz import FACTS, _snapshot

from twostage.collection.collection import validate_collection
from twostage.collection.settings import VariableSettings
from twostage.collection.skeleton import Pair, new_collection
from twostage.importing import job, preview
from twostage.importing.job import import_file
from twostage.importing.preview import Asked, suggest
from twostage.problems import ProblemError

FORMATS = ("xlsx", "sav", "zsav", "dta", "rds", "RData", "csv")

#: Bytes of memory and seconds that one mutant may need.
MEMORY, SECONDS = 3 * 2**30, 60

MAPPING = {"layout": "long", "patient": "id", "session": "session", "x": "wai", "y": "oq", "study": FACTS}


def good_file(folder: Path, kind: str) -> bytes:
    """A small table in a format."""
    rows = [(f"P{p}", s, (p + s) % 9, 8.5 - s) for p in range(1, 7) for s in range(1, 5)]
    table = pd.DataFrame(rows, columns=["id", "session", "wai", "oq"])
    path = folder / f"good.{kind}"
    if kind == "xlsx":
        book = openpyxl.Workbook()
        for row in [list(table), *rows]:
            book.active.append(list(row))
        book.save(path)
    elif kind in ("sav", "zsav"):
        labels = {"id": "patient", "wai": "alliance"}
        pyreadstat.write_sav(table, str(path), column_labels=labels, compress=kind == "zsav")
    elif kind == "dta":
        pyreadstat.write_dta(table, str(path))
    elif kind == "rds":
        pyreadr.write_rds(str(path), table, compress="gzip")
    elif kind == "RData":
        pyreadr.write_rdata(str(path), table, df_name="table", compress="gzip")
    else:
        table.to_csv(path, index=False)
    return path.read_bytes()


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes with one to six changes."""
    content = bytearray(data)
    for _ in range(rng.randrange(1, 7)):
        at, long = rng.randrange(len(content) + 1), rng.choice((1, 1, 1, 2, 4, 8, 40))
        what = rng.random()
        if what < 0.5:
            content[at : at + long] = bytes(rng.randrange(256) for _ in range(long))
        elif what < 0.6:
            content[at : at + long] = bytes(long)
        elif what < 0.7:
            content[at : at + long] = b"\xff" * long
        elif what < 0.8:
            del content[at : at + long]
        elif what < 0.9:
            content[at:at] = content[at : at + long]
        else:
            del content[at:]
    return bytes(content)


def mutant(data: bytes, kind: str, rng: random.Random) -> bytes:
    """A damaged file of a format."""
    if kind == "xlsx" and rng.random() < 0.5:
        source, target = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
        hurt = rng.choice(source.namelist())
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in source.namelist():
                part = source.read(name)
                archive.writestr(name, damaged(part, rng) if name == hurt else part)
        return target.getvalue()
    if kind in ("rds", "RData") and data[:2] == b"\x1f\x8b" and rng.random() < 0.5:
        return (gzip if rng.random() < 0.8 else bz2).compress(damaged(gzip.decompress(data), rng))
    return damaged(data, rng)


def attempt(folder: Path, kind: str, content: bytes, pristine: dict, guess: bool) -> str:
    """Import one mutant and say what came of it."""
    collection, file = folder / "c", folder / f"data.{kind}"
    file.write_bytes(content)
    try:
        if guess:
            suggest(Asked(file, collection, "S1"), folder / "x.yml")
            return "proposed"
        import_file(file, collection, folder / "m.yml", "S1")
    except ProblemError as error:
        str(error)
        return "refused" if _snapshot(collection) == pristine else "half-written: changed after a refusal"
    except Exception:
        lines = [line.strip() for line in traceback.format_exc().splitlines() if line.strip(" ^~")]
        return f"traceback: {' '.join(lines[-3:])}"
    problems = _valid(collection, tuple(sorted(_snapshot(collection).items())))
    for part in ("sessions", "patients"):
        shutil.rmtree(collection / part, ignore_errors=True)
    (collection / "studies.csv").write_bytes(pristine["studies.csv"])
    return f"half-written: {problems[0]}" if problems else "imported"


@cache
def _valid(collection: Path, content: tuple) -> tuple:
    """What is wrong with a collection; most mutants that are imported leave the same."""
    return validate_collection(collection)


def work(folder: Path, kind: str, seed: int, numbers: range, report: multiprocessing.SimpleQueue) -> None:
    """Try mutants one after the other; what came of each goes into the queue."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    data, pristine = (folder / f"good.{kind}").read_bytes(), _snapshot(folder / "c")
    # Before each mutant the collection and the mapping are as they were; reading them again takes longer than
    # reading the mutant.
    job.read_mapping = cache(job.read_mapping)
    job.open_collection = preview.open_collection = cache(job.open_collection)
    for number in numbers:
        rng = random.Random(f"{seed} {kind} {number}")
        signal.alarm(SECONDS)
        report.put((number, attempt(folder, kind, mutant(data, kind, rng), pristine, rng.random() < 0.3)))


def run_format(folder: Path, kind: str, n: int, seed: int) -> dict[int, str]:
    """What came of each of n mutants."""
    pair = Pair(*(VariableSettings(name=v, label=v, better="higher") for v in ("alliance", "symptoms")))
    pristine = _snapshot(new_collection(folder / "c", pair))
    (folder / "m.yml").write_text(yaml.safe_dump(MAPPING))
    good_file(folder, kind)
    results: dict[int, str] = {}
    context = multiprocessing.get_context("fork")
    while len(results) < n:
        report = context.SimpleQueue()
        worker = context.Process(target=work, args=(folder, kind, seed, range(len(results), n), report))
        worker.start()
        while worker.is_alive() or not report.empty():
            if report.empty():
                time.sleep(0.02)
            else:
                number, result = report.get()
                results[number] = result
                if len(results) % 1000 == 0:
                    print(kind, dict(Counter(text.split(":")[0] for text in results.values())), flush=True)
        worker.join()
        if len(results) < n:
            results[len(results)] = f"died: exit status {worker.exitcode}"
            for part in ("sessions", "patients"):
                shutil.rmtree(folder / "c" / part, ignore_errors=True)
            (folder / "c" / "studies.csv").write_bytes(pristine["studies.csv"])
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for kind in asked.formats.split(","):
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            results = run_format(Path(folder), kind, asked.n, asked.seed)
        counts = Counter(text.split(":")[0] for text in results.values())
        said = ", ".join(f"{n} {word}" for word, n in counts.most_common())
        print(f"{kind}: {said}; {time.monotonic() - start:.0f} s", flush=True)
        bad = {i: t for i, t in results.items() if t.startswith(("traceback", "half", "died"))}
        kinds = {text: [i for i, t in bad.items() if t == text] for text in dict.fromkeys(bad.values())}
        for text, numbers in list(kinds.items())[:30]:
            print(f"  {len(numbers)} (number {numbers[0]}) {text[:400]}", flush=True)


if __name__ == "__main__":
    main()
