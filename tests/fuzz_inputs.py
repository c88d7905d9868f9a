"""Malformed settings, registries, data and parameters: each is refused with a reason, or works to the last table.

    python tests/fuzz_inputs.py 4000 [seed]

spoils a small synthetic collection again and again, validates it, and uses what is accepted: every study is read and
prepared for analysis, and one in :data:`THOROUGH` is analysed, pooled and written into tables and sentences. Ends with
status 1 if anything but a declared refusal was raised. `tests/sharing/fuzz_bundles.py` does the same to bundles.
"""

import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from later import use

from twostage.collection.collection import read_collection, validate_collection
from twostage.params import make_parameters
from twostage.pipeline.entry import parse_assignments, read_parameters
from twostage.problems import ProblemError, summarised
from twostage.records.analyse import analyse
from twostage.simulation.simulate import simulate_collection, write_collection
from twostage.stage1.panel import make_panel

#: One in so many accepted collections goes through everything.
THOROUGH = 20

YAML = [
    "", "~", "yes", "NO", "true", "0", "-1", "010", "0x1F", "1_000", "12:30", "1e999", ".nan", "9" * 5000, "4e5", "[]",
    "{}", "[a, b]", "{a: {b: {c: 1}}}", "&a [*a]", "*a", "!!python/name:os.system ''", "'", '"', "{{ 7 * 7 }}", "x: y: z",
    "- a", "? [1]", "\x07", "\u202e", "../../etc/passwd", "sessions/{study}.csv", "{nothing}", "{", "[" * 300, "lag",
    "patients/{study}.csv", "higher", "S01", "CON", "<script>", "null", "2020-01-31", "0.5", "7", "3", "100", "1001",
]  # fmt: skip
CELLS = [
    "", " ", "0", "-0", "1", "-1", "1e308", "1e999", "5e-324", "nan", "NaN", "inf", "NA", "None", "True", "1,5", "1.5",
    "007", "0x10", "1_0", "9" * 400, "S01", "s02", "CON", "pooled", "../S01", "a\nb", '"', "=1+1", "{{ 7 }}", "<b>x</b>",
    "\x00", "\u202e", "é", "日本語", "1 ", "2020", "x" * 300, "\r", "٣", "1e5", "+1", ".5", "5.", "several", "not stated",
]  # fmt: skip
PARAMETERS = [
    "first_session", "last_session", "lag", "min_sessions", "standardize", "detrend", "random_slopes", "level",
    "early_last_session", "tau2_method", "ci_method", "nothing", "", "1", "~", "study",
]  # fmt: skip


def spoilt_yaml(text: str, rng: random.Random) -> str:
    """A settings file with one or two lines changed."""
    lines = text.split("\n")
    for _ in range(rng.choice([1, 1, 1, 2])):
        at, what = rng.randrange(len(lines)), rng.randrange(6)
        if what < 3:
            lines[at] = f"{lines[at].partition(':')[0]}: {rng.choice(YAML)}"
        elif what == 3:
            lines[at : at + 1] = rng.choice([[], [lines[at]] * 2, [" " + lines[at]]])
        elif what == 4:
            lines.insert(at, f"{rng.choice(PARAMETERS)}: {rng.choice(YAML)}")
        else:
            place = rng.randrange(len(lines[at]) + 1)
            lines[at] = (
                lines[at][:place]
                + rng.choice([":", "#", "\t", "'", "- ", "&", "%", "\\"])
                + lines[at][place:]
            )
    return "\n".join(lines)


def spoilt_table(text: str, rng: random.Random) -> str:
    """A CSV file with a cell, row or line changed."""
    lines = text.split("\n")
    at, what = rng.randrange(len(lines)), rng.randrange(8)
    if what < 6:
        cells = lines[at].split(",")
        cells[rng.randrange(len(cells))] = rng.choice(CELLS)
        lines[at] = ",".join(cells)
    elif what == 6:
        lines[at : at + 1] = rng.choice(
            [[], [lines[at]] * 2, [lines[at] + ","], [lines[at][: len(lines[at]) // 2]]]
        )
    else:
        lines = rng.choice([[], lines[:1], lines[::-1], ["\ufeff" + lines[0], *lines[1:]], [";".join(lines)]])
    return "\n".join(lines)


def try_parameters(folder: Path, rng: random.Random) -> str | None:
    """What is wrong with how a parameter file or `-p` values were treated; "" where they were refused."""
    pairs = [(rng.choice(PARAMETERS), rng.choice(YAML)) for _ in range(rng.choice([1, 2, 3]))]
    path = folder / "p.yml"
    path.write_text(
        "".join(f"{name}: {value}\n" for name, value in pairs), encoding="utf-8", errors="replace"
    )
    try:
        values = (
            read_parameters(path) if rng.random() < 0.5 else parse_assignments([f"{n}={v}" for n, v in pairs])
        )
        make_parameters(values)
    except ProblemError as error:
        error.summary("so")
        return ""
    except Exception:
        return traceback.format_exc()
    return None


def try_collection(folder: Path, thorough: bool) -> str | None:
    """What is wrong with how a collection was treated; "" where it was refused."""
    try:
        if problems := validate_collection(folder, same_data=True):
            summarised(problems)
            return ""
        collection = read_collection(folder)
        parameters = make_parameters(collection.defaults)
        for study in collection.studies["study"]:
            make_panel(collection.study(study), parameters)
        if thorough:
            records = analyse(collection, parameters, ("data", "outcome", "lagged", "crosslevel")).records
            with tempfile.TemporaryDirectory() as out:
                use(collection, records, Path(out))
    except Exception:
        return traceback.format_exc()
    return None


def fuzz(n: int, seed: int, folder: Path) -> tuple[Counter, list[str]]:
    """Spoil a valid collection n times; returns counts by kind and outcome, and everything that is wrong."""
    rng, counts, faults = random.Random(seed), Counter(), []
    tables = {"registry": ["studies.csv", "dictionary.csv", "truth.csv"]}
    tables["data"] = [f"{kind}/S0{i}.csv" for kind in ("sessions", "patients") for i in (1, 2, 3)]
    for i in range(n):
        kind = rng.choice(["settings", "settings", "registry", "registry", "data", "parameters"])
        if kind == "parameters":
            fault = try_parameters(folder, rng)
        else:
            file = folder / ("collection.yml" if kind == "settings" else rng.choice(tables[kind]))
            before = file.read_bytes()
            spoil = spoilt_yaml if kind == "settings" else spoilt_table
            file.write_bytes(spoil(before.decode("utf-8"), rng).encode("utf-8", errors="surrogatepass"))
            fault = try_collection(folder, rng.randrange(THOROUGH) == 0)
            changed = file.read_bytes()
            file.write_bytes(before)
            if fault:
                fault = f"{file.name}\n{_difference(before, changed)}\n{fault}"
        outcome = {"": "refused", None: "accepted"}.get(fault, "failed")
        counts[kind, outcome] += 1
        faults += [f"seed {seed}, input {i}, {kind}: {fault}"] if fault else []
    return counts, faults


def _difference(before: bytes, after: bytes) -> str:
    old, new = before.split(b"\n"), after.split(b"\n")
    return "\n".join(repr(line)[:300] for line in new if line not in old)


def main() -> int:
    """Run from the command line."""
    warnings.simplefilter("error")
    n, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        site = write_collection(simulate_collection(11, n_studies=3, n_patients=120), Path(folder) / "site")
        start = time.process_time()
        counts, faults = fuzz(n, seed, site)
    print(f"{n} malformed inputs, seed {seed}, {time.process_time() - start:.0f} s of processor time")
    for (kind, outcome), count in sorted(counts.items()):
        print(f"  {kind}: {count} {outcome}")
    print(f"{len(faults)} tracebacks or acceptances that failed later", *faults, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
