"""Carries out a recovery study: chunk by chunk, on all cores, resumable, and stored with the collection."""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from twostage.collection import read_collection
from twostage.files import write_if_changed
from twostage.params import Parameters, make_parameters
from twostage.pipeline.backend import local_workers
from twostage.pipeline.kernel import SINGLE_THREAD
from twostage.recovery.code import code_checksum
from twostage.recovery.conditions import CONDITIONS, LAG_CONDITIONS
from twostage.recovery.design import StudyDesign, design_checksum
from twostage.recovery.measures import summarise
from twostage.recovery.replicate import replicate
from twostage.recovery.simulations import source_commit
from twostage.recovery.store import LONGER_LAGS, MAIN, MAKER, Part, write_recovery
from twostage.recovery.studies import study_designs

#: Replicates made, and written, at a time.
CHUNK = 20


SEED = 20201001


#: Where each condition's results are stored.
PARTS = dict.fromkeys(CONDITIONS, MAIN) | dict.fromkeys(LAG_CONDITIONS, LONGER_LAGS)


EVERY = CONDITIONS | LAG_CONDITIONS


@dataclass(frozen=True)
class Plan:
    """What a recovery study is made of.

    Attributes
    ----------
    collection : Path
    designs : tuple of StudyDesign
    parameters : Parameters
    replicates : int
        A multiple of :data:`CHUNK`.
    seed, bootstraps : int
    conditions : tuple of str
    folder : Path
        Of the chunks; its name changes with the code, the designs and the seed.
    code, design : str
        Checksums.
    """

    collection: Path
    designs: tuple[StudyDesign, ...]
    parameters: Parameters
    replicates: int
    seed: int
    bootstraps: int
    conditions: tuple[str, ...]
    folder: Path
    code: str
    design: str

    def chunks(self) -> list[tuple[str, int]]:
        """Condition and number of every chunk, all conditions of one chunk after the other."""
        return [(c, i) for i in range(self.replicates // CHUNK) for c in self.conditions]

    def file(self, condition: str, chunk: int) -> Path:
        """Where a chunk is kept."""
        return self.folder / f"{condition}-{chunk:04d}.csv"


def plan_recovery(
    project: Path,
    collection: Path,
    *,
    replicates: int,
    seed: int = SEED,
    bootstraps: int = 50,
    conditions: Sequence[str] = tuple(CONDITIONS),
) -> Plan:
    """Check what is asked for and find out where its chunks are.

    Raises
    ------
    CollectionError
        The collection cannot be used.
    ValueError
        A number of replicates that is no positive multiple of :data:`CHUNK`, an unknown condition, or a collection
        analysed at another lag than 1.
    """
    if replicates < 1 or replicates % CHUNK:
        raise ValueError(f"replicates: found {replicates}; expected a multiple of {CHUNK}")
    unknown = [c for c in conditions if c not in EVERY]
    if unknown:
        raise ValueError(f"conditions: found {unknown[0]!r}; expected one of {', '.join(EVERY)}")
    content = read_collection(collection)
    parameters = make_parameters(content.defaults)
    if parameters.lag != 1:
        raise ValueError(f"{collection}: lag: found {parameters.lag}; expected 1, the generating process's")
    designs = study_designs(content, parameters)
    code, design = code_checksum(MAKER), design_checksum(designs)
    made_by = json.dumps([code, design, seed, bootstraps, parameters.model_dump()], sort_keys=True)
    key = hashlib.sha256(made_by.encode()).hexdigest()[:12]
    folder = project / "runs" / "recovery" / f"{content.name}-{key}"
    places = {"collection": content.path.resolve(), "folder": folder, "conditions": tuple(conditions)}
    return Plan(
        **places,
        designs=designs,
        parameters=parameters,
        replicates=replicates,
        seed=seed,
        bootstraps=bootstraps,
        code=code,
        design=design,
    )


def carry_out_recovery(plan: Plan, *, jobs: int | None = None) -> Path:
    """Make the chunks that are not there yet, summarise all, and store the result with the collection.

    Parameters
    ----------
    plan : Plan
    jobs : int, optional
        Processes; default: one per core.

    Returns
    -------
    Path
        The folder of the stored result.

    Notes
    -----
    An interruption loses at most the chunks being made.
    """
    jobs = jobs or os.cpu_count() or 1
    plan.folder.mkdir(parents=True, exist_ok=True)
    todo = [key for key in plan.chunks() if not plan.file(*key).is_file()]
    # Workers are new processes: these variables reach them before they import NumPy.
    os.environ.update(SINGLE_THREAD)
    workers = local_workers(jobs)
    try:
        futures = [workers.submit(make_chunk, plan, *key) for key in todo]
        done = len(plan.chunks()) - len(todo)
        with tqdm(total=len(plan.chunks()), initial=done, unit="chunk", mininterval=1) as bar:
            for future in as_completed(futures):
                future.result()
                bar.update()
    finally:
        workers.shutdown()
    parts = dict.fromkeys(PARTS[name] for name in plan.conditions)
    return [write_recovery(plan.collection, *gather(plan, jobs, part), part) for part in parts].pop()


def make_chunk(plan: Plan, condition: str, chunk: int) -> None:
    """Make one chunk and write its file."""
    start = time.monotonic()
    table = replicate(
        EVERY[condition],
        plan.designs,
        seed=plan.seed,
        chunk=chunk,
        replicates=CHUNK,
        pooling={
            "method": plan.parameters.tau2_method,
            "ci": plan.parameters.ci_method,
            "level": plan.parameters.level,
        },
        min_sessions=plan.parameters.min_sessions,
        bootstraps=plan.bootstraps,
    )
    table = table.assign(seconds=time.monotonic() - start)
    write_if_changed(plan.file(condition, chunk), table.to_csv(index=False, float_format="%.10g"))


def gather(plan: Plan, jobs: int, part: Part = MAIN) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A part's chunks that are there, of earlier and other plans with the same code, designs and seed too, summarised."""
    files = sorted(plan.folder.glob("*.csv"))
    tables = [pd.read_csv(path) for path in files if PARTS[path.stem.rpartition("-")[0]] == part]
    seconds = sum(float(table["seconds"].iloc[0]) for table in tables)
    summary = summarise(pd.concat(tables), lambda c, d, t: EVERY[c].truth(d, t))
    order = {name: position for position, name in enumerate(EVERY)}
    summary = summary.sort_values("condition", key=lambda c: c.map(order), kind="stable", ignore_index=True)
    made = summary["n_replicates"] + summary["n_failed"]
    about = {"replicates": int(made.max()), "fewest_replicates": int(made.min())}
    about |= {name: getattr(plan, name) for name in ("seed", "bootstraps", "code", "design")}
    about |= {"seconds": round(seconds, 1), "processes": jobs, "date": date.today().isoformat()}
    return summary, about | {"commit": source_commit(), "package_version": version("twostage")}
