"""Kills commands at random moments, and holds what comes of it against commands that were left alone.

    python tests/kill_anywhere.py --kills 30 --seed 1

Each kill: a command is started in a fresh copy of its workspace, and ended after a random part of the time that it
takes, by SIGKILL, SIGTERM or SIGINT. All its processes must be gone within five seconds; every file that was there must
be as it was or as the whole command leaves it, or come back with the next command; the same command must then lead to
the results that it has undisturbed, and leave nothing over.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "pipeline"))

import yaml
from standin import command, write_project

from twostage.simulation.examples import example_study
from twostage.simulation.simulate import simulate_collection, write_collection

#: Within which all processes of a killed command must have ended.
SECONDS = 5.0

#: In the environment of everything that a killed command starts.
MARK = "TWOSTAGE_KILLED"

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)

#: What no command may say, whatever happens to it.
UNWANTED = ("Traceback", "leaked", "caught in kernel", "Exception ignored")

#: Differs between two equal runs: memory of the orchestration, logs, times.
NOT_RESULTS = ("state", ".lock", "book.log", "book", "book_build", "tmp", ".doctrees")


@dataclass(frozen=True)
class Scenario:
    """A command and where it is given.

    Attributes
    ----------
    name : str
    arguments : tuple of str
        Of ``twostage``.
    prepare : callable
        Makes the workspace in a folder.
    again : tuple of str
        What may follow the arguments when the command is given again.
    """

    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], object]


@dataclass
class Kill:
    """What one kill led to.

    Attributes
    ----------
    scenario : str
    signal : str
        "none" if the command was done before the moment came.
    moment, ended : float
        Seconds after the start; and from the signal until the last process was gone.
    problems : list of str
        Empty if all is well.
    """

    scenario: str
    signal: str
    moment: float
    ended: float = 0.0
    problems: list[str] = field(default_factory=list)


def _project(folder: Path) -> None:
    write_project(folder, studies=1)


def _built(folder: Path) -> None:
    """A finished book whose first page has changed: only the book is due."""
    _project(folder)
    _call(folder, "run", "--jobs", "2", "--run", "killed")
    page = folder / "book" / "index.md"
    page.write_text(page.read_text() + "\nAnother sentence.\n")


def _import(folder: Path) -> None:
    write_collection(simulate_collection(1, n_studies=2, n_patients=60), folder / "c")
    example = example_study(2)
    example.long.to_csv(folder / "new.csv", index=False)
    variables = {"x": {"column": "wai"}, "y": {"column": "oq"}}
    variables["patients"] = {name: name for name in ("therapist", "age", "gender")}
    known = {"study": {**example.facts, "label": "Clinic"}}
    mapping = {"layout": "long", "patient": "patient", "session": "session", **variables, **known}
    (folder / "map.yml").write_text(yaml.safe_dump(mapping))


def _share(folder: Path) -> None:
    write_collection(simulate_collection(1, n_studies=2, n_patients=200), folder / "data")


def _accept(folder: Path) -> None:
    """A collection with an accepted bundle, and another bundle of the same study."""
    _share(folder)
    write_collection(simulate_collection(3, n_studies=1, n_patients=60), folder / "c")
    for digits in ("6", "5"):
        options = ("--round", digits, "--out", f"S02-{digits}.zip", "--force", "--second-bundle")
        _call(folder, "share", "S02", *options)
    _call(folder, "accept", "S02-6.zip", "--to", "c")


def _recovery(folder: Path) -> None:
    _project(folder)


RECOVERY = ("recovery", "data", "--replicates", "20", "--condition", "plain", "--jobs", "2")

SCENARIOS = (
    Scenario("run", ("run", "--jobs", "2", "--run", "killed"), _project),
    Scenario("book", ("run", "--jobs", "2", "--run", "killed"), _built),
    Scenario("import", ("import", "new.csv", "--to", "c", "--study", "S03", "--map", "map.yml"), _import),
    Scenario("share", ("share", "S02", "--out", "S02.zip", "--force"), _share),
    Scenario("accept", ("accept", "S02-5.zip", "--to", "c", "--replace"), _accept),
    Scenario("recovery", RECOVERY, _recovery),
)


def _environment(folder: Path, mark: str = "") -> dict[str, str]:
    (folder / "tmp").mkdir(exist_ok=True)
    return os.environ | {"TMPDIR": str(folder / "tmp"), MARK: mark}


def _call(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    done = subprocess.run(
        command(*arguments), cwd=folder, env=_environment(folder), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"twostage {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done


def alive(mark: str) -> list[str]:
    """Command lines of the processes that have the mark in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120])
        except OSError:
            continue
    return found


def results(folder: Path) -> dict[str, str]:
    """Checksum of each file of a workspace that has results, without times of day and durations."""
    found = {}
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.is_file() and not (set(place.parts[:-1]) | {path.name}) & set(NOT_RESULTS):
            found[place.as_posix()] = hashlib.sha256(_timeless(path)).hexdigest()[:12]
    return found


def _timeless(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name == "about.json":
        told = json.loads(content)
        return repr([told[name] for name in sorted(told) if name not in ("seconds", "date")]).encode()
    if path.parent.parent.name == "recovery" and path.suffix == ".csv":
        # The last column is how long it took.
        return b"\n".join(line.rpartition(b",")[0] for line in content.splitlines())
    return content


class Bench:
    """Workspaces of one scenario: how it is before and after, and how long its command takes."""

    def __init__(self, scenario: Scenario, folder: Path):
        self.scenario, self._fresh, self._place = scenario, folder / "fresh", folder / "work"
        self._fresh.mkdir(parents=True)
        scenario.prepare(self._fresh)
        work = self._workspace()
        self.before, start = results(work), time.monotonic()
        _call(work, *scenario.arguments)
        self.seconds, self.after = time.monotonic() - start, results(work)

    def _workspace(self) -> Path:
        """A fresh copy, always in the same place: paths are in results."""
        shutil.rmtree(self._place, ignore_errors=True)
        return Path(shutil.copytree(self._fresh, self._place, copy_function=shutil.copy2))

    def kill(self, draw: random.Random) -> Kill:
        """Start the command, end it at a random moment, and look what is left; then give it again."""
        work, how = self._workspace(), draw.choice(SIGNALS)
        kill = Kill(self.scenario.name, how.name, draw.uniform(0, self.seconds))
        mark = f"{os.getpid()}-{draw.random()}"
        process = subprocess.Popen(
            command(*self.scenario.arguments),
            cwd=work,
            env=_environment(work, mark),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            process.wait(kill.moment)
            kill.signal = "none"
        except subprocess.TimeoutExpired:
            # Ctrl-C reaches all processes of a terminal; kill is told one.
            (os.killpg if how is signal.SIGINT else os.kill)(process.pid, how)
        self._until_gone(process, mark, kill)
        self._look(work, kill)
        return kill

    def _until_gone(self, process: subprocess.Popen, mark: str, kill: Kill) -> None:
        start = time.monotonic()
        while (process.poll() is None or alive(mark)) and time.monotonic() - start < 4 * SECONDS:
            time.sleep(0.05)
        kill.ended = time.monotonic() - start
        if kill.ended > SECONDS:
            kill.problems.append(f"after {kill.ended:.1f} s there were still {alive(mark) or 'the command'}")
        process.kill()
        said = process.communicate()[1]
        kill.problems += [f"said {word!r}: {said[-500:]}" for word in UNWANTED if word in said]

    def _look(self, work: Path, kill: Kill) -> None:
        found = results(work)
        for name in self.before:
            if name not in found:
                # Moved away while it was being replaced: the next command must put it back.
                if not list((work / name).parent.parent.glob(".*.old")):
                    kill.problems.append(f"lost: {name}")
            elif found[name] not in (self.before[name], self.after.get(name)):
                kill.problems.append(f"half-written: {name}")
        try:
            said = _call(work, *self.scenario.arguments).stderr
        except RuntimeError as error:
            # An import that was done already says so.
            if results(work) != self.after:
                kill.problems.append(f"cannot be given again: {error}")
            return
        kill.problems += [f"given again, it said {word!r}" for word in UNWANTED if word in said]
        again = results(work)
        differ = {
            name for name in self.after.keys() | again.keys() if self.after.get(name) != again.get(name)
        }
        if differ:
            kill.problems.append(f"other results: {sorted(differ)[:5]} ({len(differ)})")
        if left := [path.name for path in (work / "tmp").iterdir()]:
            kill.problems.append(f"left in the folder for temporary files: {left}")


def kill_anywhere(scenario: Scenario, folder: Path, kills: int, seed: int) -> list[Kill]:
    """Kill a command some times; every kill says what was wrong after it."""
    bench, draw = Bench(scenario, folder), random.Random(f"{scenario.name} {seed}")
    print(f"{scenario.name}: {bench.seconds:.1f} s undisturbed, {len(bench.after)} files", flush=True)
    done: list[Kill] = []
    while sum(kill.signal != "none" for kill in done) < kills:
        kill = bench.kill(draw)
        print(
            f"  {kill.signal:8} at {kill.moment:5.2f} s, ended in {kill.ended:.2f} s: {kill.problems or 'well'}",
            flush=True,
        )
        done.append(kill)
    return done


def main() -> int:
    """Kill all scenarios in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30, help="in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=[scenario.name for scenario in SCENARIOS], action="append")
    asked = parser.parse_args()
    chosen = [s for s in SCENARIOS if not asked.only or s.name in asked.only]
    done: list[Kill] = []
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        for i, scenario in enumerate(chosen):
            kills = asked.kills // len(chosen) + (i < asked.kills % len(chosen))
            done += kill_anywhere(scenario, Path(folder) / scenario.name, kills, asked.seed)
    bad = sum(bool(kill.problems) for kill in done)
    n = sum(kill.signal != "none" for kill in done)
    print(f"{n} kills, {bad} with problems; longest end {max(kill.ended for kill in done):.2f} s")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
