"""Computes a multiverse: a study or some draws at a time, on all cores, resumable, and stored with the collection."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from twostage.collection import Collection, Study, read_collection
from twostage.files import read_json, write_json
from twostage.multiverse.estimate import Estimates, estimate_all
from twostage.multiverse.grid import FILE, STAGE1, make_grid, told
from twostage.multiverse.null import CHUNK, Null, fit_null, null_statistics, thinned
from twostage.multiverse.pools import Pools, pool_all
from twostage.multiverse.priors import pool_under_priors
from twostage.multiverse.specifications import Specifications, specify
from twostage.multiverse.store import (
    data_checksum,
    makers_checksum,
    readable_studies,
    result_table,
    study_key,
    write_multiverse,
    write_table,
)
from twostage.pages.bayes.analysis import priors_for
from twostage.pipeline.backend import local_workers
from twostage.pipeline.kernel import SINGLE_THREAD
from twostage.recovery.simulations import source_commit
from twostage.stage1 import make_panel
from twostage.stats.multiverse import STATISTICS
from twostage.terms import DIRECTIONS

SEED = 20201201


#: Functions that make a piece each, and what they are given.
_Pieces = Sequence[tuple[Callable[..., None], tuple[Any, ...]]]


@dataclass(frozen=True, eq=False)
class Plan:
    """What a multiverse is made of.

    Attributes
    ----------
    collection : Collection
    studies : dict
        Id -> study, of those with data that fit into memory.
    left_out : dict
        Id -> why a study is not among them.
    specs, thin : Specifications
        All, and those that are drawn without an effect.
    draws : int
        A multiple of :data:`twostage.multiverse.null.CHUNK`.
    seed : int
    grid_from : str
        ``given``, ``multiverse.yml`` or ``default``.
    folder : Path
        Of the pieces; its name changes with the code and the combinations of stage 1.
    code, data : str
        Checksums.
    """

    collection: Collection
    studies: dict[str, Study]
    left_out: dict[str, str]
    specs: Specifications
    thin: Specifications
    draws: int
    seed: int
    grid_from: str
    folder: Path
    code: str
    data: str

    @property
    def window(self) -> tuple[int, int]:
        """The sessions in which all windows lie."""
        windows = [one.window for one in self.specs.stage1]
        return min(first for first, _ in windows), max(last for _, last in windows)

    def study_file(self, study: str) -> Path:
        """Where a study's estimates are kept."""
        return self.folder / f"{study}-{study_key(self.studies[study])[:16]}.json"

    @property
    def null_folder(self) -> Path:
        """Where draws are kept; its name changes with everything that they depend on."""
        made_by = json.dumps([self.data, self.thin.grid.told(), self.seed], sort_keys=True)
        return self.folder / f"null-{hashlib.sha256(made_by.encode()).hexdigest()[:12]}"

    def null_file(self, chunk: int) -> Path:
        """Where a chunk of draws is kept."""
        return self.null_folder / f"{chunk:04d}.json"


def plan_multiverse(
    project: Path, collection: Path, *, grid: Path | None = None, draws: int = 0, seed: int = SEED
) -> Plan:
    """Check what is asked for and find out where its pieces are.

    Raises
    ------
    CollectionError, GridError
        The collection or the grid cannot be used.
    ValueError
        A number of draws that is no multiple of :data:`twostage.multiverse.null.CHUNK`; fewer than two studies with data.
    """
    if draws < 0 or draws % CHUNK:
        raise ValueError(f"null: found {draws}; expected a multiple of {CHUNK}")
    content = read_collection(collection)
    found = make_grid(content, grid)
    studies, left_out = readable_studies(content)
    if len(studies) < 2:
        raise ValueError(f"{collection}: found {len(studies)} studies with data; a multiverse needs two")
    specs, code = specify(found), makers_checksum()
    parameters = found.parameters.model_dump()
    combinations = [[told(getattr(one, name)) for name in STAGE1] for one in specs.stage1]
    key = hashlib.sha256(json.dumps([code, combinations, parameters], sort_keys=True).encode()).hexdigest()[
        :12
    ]
    return Plan(
        collection=content,
        studies=studies,
        left_out=left_out,
        specs=specs,
        thin=thinned(found),
        draws=draws,
        seed=seed,
        grid_from="given" if grid else FILE if (content.path / FILE).is_file() else "default",
        folder=project / "runs" / "multiverse" / f"{content.name}-{key}",
        code=code,
        data=data_checksum(studies, parameters),
    )


def carry_out_multiverse(plan: Plan, *, jobs: int | None = None, out: Path | None = None) -> Path:
    """Make the pieces that are not there yet, pool all, and store the result with the collection.

    Parameters
    ----------
    plan : Plan
    jobs : int, optional
        Processes; default: one per core.
    out : Path, optional
        File for all specifications with all digits: CSV, or Parquet.

    Returns
    -------
    Path
        The folder of the stored result.

    Notes
    -----
    An interruption loses at most the pieces being made.
    """
    jobs = jobs or os.cpu_count() or 1
    # Workers are new processes: these variables reach them before they import NumPy.
    os.environ.update(SINGLE_THREAD)
    workers = local_workers(jobs)
    try:
        # The largest study first, so that no core waits for it at the end.
        ids = sorted(plan.studies, key=lambda id: -len(plan.studies[id].sessions))
        todo: _Pieces = [(estimate_study, (plan, id)) for id in ids if not plan.study_file(id).is_file()]
        _work(workers, todo, "study", len(ids))
        start = time.monotonic()
        read = {id: read_estimates(plan, id) for id in plan.studies}
        estimates = {id: found for id, (found, _) in read.items()}
        y, se = (
            np.stack([getattr(e, name) for e in estimates.values()]) for name in ("estimate", "std_error")
        )
        pools = pool_all(y, se, plan.specs, list(plan.studies))
        table = result_table(plan.specs, pools)
        if out is not None:
            write_table(table, out)
        priors = _under_priors(workers, plan, y[:, 0], se[:, 0])
        # Pieces of an earlier command count as if this one had made them.
        seconds = time.monotonic() - start + sum(taken for _, taken in read.values()) / jobs
        chunks = range(plan.draws // CHUNK)
        about = _about(plan, estimates, pools, jobs, seconds)
        if plan.draws:
            null = null_of(plan)
            about["null"] = _told(null)
            todo = [(draw_null, (plan, null, i)) for i in chunks if not plan.null_file(i).is_file()]
            _work(workers, todo, f"{CHUNK} draws", len(chunks))
    finally:
        workers.shutdown()
    return write_multiverse(plan.collection.path, table, priors, gather_null(plan), about)


def _work(workers: Any, todo: _Pieces, unit: str, total: int) -> None:
    futures = [workers.submit(function, *arguments) for function, arguments in todo]
    with tqdm(total=total, initial=total - len(todo), unit=unit, mininterval=1) as bar:
        for future in as_completed(futures):
            future.result()
            bar.update()


def raw_panel(plan: Plan, study: str) -> tuple[np.ndarray, dict[str, Any]]:
    """A study's scores in the widest window, in scale points, and its reliabilities."""
    first, last = plan.window
    change = {"first_session": first, "last_session": last, "standardize": "none", "detrend": "none"}
    panel = make_panel(plan.studies[study], plan.specs.grid.parameters.model_copy(update=change))
    about = {"reliability": panel.reliability, "reliability_kind": panel.reliability_kind}
    return panel.wide()[0], about


def estimate_study(plan: Plan, study: str) -> None:
    """Estimate one study under every combination of stage 1 and write its file."""
    start = time.monotonic()
    scores, about = raw_panel(plan, study)
    found = estimate_all([scores], plan.window[0], plan.specs.stage1, **about)
    numbers = {name: value.tolist() for name, value in vars(found).items()}
    write_json(plan.study_file(study), numbers | {"seconds": time.monotonic() - start})


def read_estimates(plan: Plan, study: str) -> tuple[Estimates, float]:
    """What :func:`estimate_study` left, and how many seconds it took."""
    content = read_json(plan.study_file(study))
    seconds = content.pop("seconds")
    return Estimates(**{name: np.array(value) for name, value in content.items()}), seconds


def null_of(plan: Plan) -> Null:
    """The collection without lagged effects."""
    panels, about = zip(*(raw_panel(plan, id) for id in plan.studies), strict=True)
    return fit_null(panels, list(plan.studies), plan.window[0], about)


def draw_null(plan: Plan, null: Null, chunk: int) -> None:
    """Make one chunk of draws and write its file."""
    write_json(plan.null_file(chunk), null_statistics(null, plan.thin, plan.seed, chunk).tolist())


def gather_null(plan: Plan) -> pd.DataFrame:
    """The draws that are there, of earlier plans with the same studies, grid and seed too."""
    found = [np.array(read_json(path)) for path in sorted(plan.null_folder.glob("*.json"))]
    draws = np.concatenate(found) if found else np.zeros((0, len(DIRECTIONS), len(STATISTICS)))
    parts = [
        pd.DataFrame(draws[:, d], columns=list(STATISTICS)).assign(direction=direction)
        for d, direction in enumerate(DIRECTIONS)
    ]
    return pd.concat(parts, ignore_index=True)[["direction", *STATISTICS]]


def _under_priors(workers: Any, plan: Plan, y: np.ndarray, se: np.ndarray) -> pd.DataFrame:
    priors = priors_for(plan.specs.grid.parameters.standardize)
    every = [(priors.tau, priors.mean_sd), *priors.others]
    futures = [workers.submit(pool_under_priors, y, se, plan.specs, [one], priors.least) for one in every]
    return pd.concat([future.result() for future in futures], ignore_index=True)


def _about(
    plan: Plan, estimates: dict[str, Estimates], pools: Pools, jobs: int, seconds: float
) -> dict[str, Any]:
    grid = plan.specs.grid
    values = grid.told()
    return {
        "sets": values.pop("sets"),
        "values": values,
        "dropped": [list(row) for row in plan.specs.dropped],
        "failed": [list(row) for row in _failed(plan, estimates)],
        "not_pooled": int(np.isnan(pools.estimate).sum()),
        "left_out": plan.left_out,
        "thinned": {name: value for name, value in plan.thin.grid.told().items() if name != "sets"},
        "least": priors_for(grid.parameters.standardize).least,
        "null": None,
        **{name: getattr(plan, name) for name in ("grid_from", "seed", "code", "data")},
        **{name: getattr(grid.parameters, name) for name in ("level", "standardize")},
        "seconds": round(seconds, 1),
        "processes": jobs,
        "date": date.today().isoformat(),
        "commit": source_commit(),
        "package_version": version("twostage"),
    }


def _told(null: Null) -> dict[str, Any]:
    borrowed = {study.study: study.borrowed for study in null.studies if study.borrowed}
    return {"tau": dict(zip(DIRECTIONS, map(float, null.tau), strict=True)), "borrowed": borrowed}


def _failed(plan: Plan, estimates: dict[str, Estimates]) -> Iterator[tuple[str, str, str, int]]:
    """Study, estimator, the first reason, and under how many combinations of stage 1 it has no estimate."""
    of = np.array([one.estimator for one in plan.specs.stage1])
    for study, found in estimates.items():
        wrong = (found.reasons[0] != "").any(axis=1)
        for estimator in dict.fromkeys(of[wrong]):
            rows = np.flatnonzero(wrong & (of == estimator))
            reason = next(filter(None, found.reasons[0, rows].ravel()))
            yield study, str(estimator), str(reason), len(rows)
