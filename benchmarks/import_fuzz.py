"""Malformed mappings by the thousand: each is refused with problems or imported whole, never anything else.

    python benchmarks/import_fuzz.py [--n 10000] [--seed 1]

A mutant is a valid mapping with one to four changes: keys removed, renamed or doubled, values of other types, bytes
of the file changed, cut or repeated. Counted are refusals, imports, tracebacks (any other exception) and collections
that are not as before after a refusal or not valid after an import.
"""

import argparse
import copy
import random
import shutil
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from twostage.collection.collection import validate_collection
from twostage.collection.settings import VariableSettings
from twostage.collection.skeleton import Pair, new_collection
from twostage.importing.job import import_file
from twostage.problems import ProblemError

DATA = {
    "long": "id,session,wai,q1,q2,age,sex,arm,when\na,1,1,2,3,30,f,u,2024-01-01\na,2,2,1,3,30,f,u,2024-01-09\n"
    "b,1,5,0,1,44,m,v,2024-02-01\nb,2,,3,3,44,m,v,2024-02-08\n",
    "wide": "id,wai_1,wai_2,q1_1,q1_2,q2_1,q2_2,age,sex,arm\na,1,2,2,1,3,3,30,f,u\nb,5,,0,3,1,3,44,m,v\n",
}

FACTS = {
    "label": "Clinic",
    "country": "Norway",
    "year": 2024,
    "setting": "clinic",
    "treatment": "psychotherapy",
    "design": "naturalistic",
    "x_instrument": "WAI",
    "x_min": 0,
    "x_max": 9,
    "x_direction": 1,
    "y_instrument": "OQ",
    "y_min": 0,
    "y_max": 9,
    "y_direction": -1,
    "source": "the clinic",
    "licence": "not public",
}

KEY = {"score": "sum", "reversed": [], "item_min": 0, "item_max": 3, "min_answered": 0.5, "missing": [9]}
PEOPLE = {"age": {"column": "age"}, "gender": {"column": "sex", "values": {"f": "woman"}}}

VALID = {
    "long": {
        "file": {"encoding": "utf-8", "separator": ",", "decimal": "."},
        "layout": "long",
        "patient": "id",
        "session": "session",
        "keep_sessions": [1, 7],
        "x": {"column": "wai", "missing": [99]},
        "y": {"items": ["q1", "q2"], **KEY},
        "missing": [-9],
        "patients": PEOPLE,
        "study_column": "arm",
        "studies": {"u": {"study": "U"}, "v": {"study": "V", "label": "Other"}},
        "study": FACTS,
    },
    "wide": {
        "layout": "wide",
        "patient": "id",
        "x": {"column": "wai_{session}"},
        "y": {"items": ["q1_{session}", "q2_{session}"], **KEY},
        "patients": PEOPLE,
        "study": FACTS,
    },
    "dates": {
        "layout": "long",
        "patient": "id",
        "date": "when",
        "date_format": "ISO",
        "x": {"column": "wai"},
        "y": {"column": "q1"},
        "study": FACTS,
    },
}

#: Values put where others were.
ODD: list[Any] = [
    *(
        None,
        "",
        " ",
        "FILL IN",
        "id",
        "wai",
        "q1",
        "when",
        "{session}",
        "{session}{session}",
        "wai_{x}",
        "(",
        "\\",
        "%",
    ),
    *(
        0,
        1,
        -1,
        1.5,
        10**30,
        float("nan"),
        float("inf"),
        True,
        [],
        [[]],
        {},
        {"column": "wai"},
        ["id", "id"],
        "\x00",
    ),
    *(
        "\ud800",
        "ä" * 300,
        "../x",
        "a\nb",
        "'",
        '"',
        ",",
        "utf-16",
        "hex",
        "zlib",
        "%Y",
        "%Q%Y",
        "\u2028",
        "٣",
        {1: 2},
    ),
]


@dataclass
class Counts:
    """What came of the mutants; the lists hold mutants' numbers and the last line of what went wrong."""

    refused: int = 0
    imported: int = 0
    tracebacks: list[str] = field(default_factory=list)
    half_written: list[str] = field(default_factory=list)


def _places(content: Any, path: tuple = ()) -> list[tuple]:
    parts = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    return [p for key, value in parts for p in [(*path, key), *_places(value, (*path, key))]]


def _change(content: dict, rng: random.Random) -> None:
    places = _places(content)
    if not places:
        return
    *path, key = rng.choice(places)
    parent: Any = content
    for step in path:
        parent = parent[step]
    what = rng.random()
    if what < 0.25:
        del parent[key]
    elif what < 0.4 and isinstance(parent, dict):
        parent[rng.choice([f"{key}s", "colour", "column", 3, None])] = parent.pop(key)
    else:
        parent[key] = copy.deepcopy(rng.choice(ODD))


def mutant(rng: random.Random) -> tuple[str, bytes]:
    """Layout of the data and bytes of a mapping's file."""
    name = rng.choice(list(VALID))
    content = copy.deepcopy(VALID[name])
    for _ in range(rng.randrange(1, 5)):
        _change(content, rng)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=rng.random() < 0.5)
    data = bytearray(text.encode("utf-8", "surrogatepass"))
    if rng.random() < 0.3:
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(data) + 1)
            end = at + rng.randrange(12)
            data[at:end] = rng.choice(
                [b"", bytes([rng.randrange(256)]), b"&a ", b"*a", b"- ", b": ", b"\t", data[at:end] * 2]
            )
    return "wide" if name == "wide" else "long", bytes(data)


def _snapshot(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")
    }


def run_fuzz(folder: Path, n: int, seed: int) -> Counts:
    """Try n mutants in a folder and count."""
    rng, counts = random.Random(seed), Counts()
    words = {"better": "higher"}
    pair = Pair(*(VariableSettings(name=v, label=v, **words) for v in ("alliance", "symptoms")))
    collection = new_collection(folder / "c", pair)
    pristine = _snapshot(collection)
    for layout, text in DATA.items():
        (folder / f"{layout}.csv").write_text(text)
    for number in range(n):
        layout, mapping = mutant(rng)
        (folder / "m.yml").write_bytes(mapping)
        study = None if b"study_column" in mapping and rng.random() < 0.9 else "S1"
        _try(folder, layout, study, number, counts, pristine)
    return counts


def _try(folder: Path, layout: str, study: str | None, number: int, counts: Counts, pristine: dict) -> None:
    collection = folder / "c"
    try:
        import_file(folder / f"{layout}.csv", collection, folder / "m.yml", study)
    except ProblemError as error:
        str(error)
        counts.refused += 1
        if _snapshot(collection) != pristine:
            counts.half_written.append(f"{number}: changed after a refusal")
        return
    except Exception:
        lines = [line.strip() for line in traceback.format_exc().splitlines() if line.strip(" ^~")]
        counts.tracebacks.append(f"{number}: {' '.join(lines[-3:])}")
        return
    counts.imported += 1
    problems = validate_collection(collection)
    if problems:
        counts.half_written.append(f"{number}: {problems[0]}")
    for kind in ("sessions", "patients"):
        shutil.rmtree(collection / kind, ignore_errors=True)
    (collection / "studies.csv").write_bytes(pristine["studies.csv"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        counts = run_fuzz(Path(folder), asked.n, asked.seed)
    print(f"{asked.n} mappings: {counts.refused} refused, {counts.imported} imported", end=", ")
    print(f"{len(counts.tracebacks)} tracebacks, {len(counts.half_written)} half-written", end="; ")
    print(f"{time.process_time() - start:.0f} s of processor time")
    print("\n".join(dict.fromkeys([*counts.tracebacks[:20], *counts.half_written[:20]])))


if __name__ == "__main__":
    main()
