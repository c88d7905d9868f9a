"""One specification of a collection's multiverse as the results of a run, so that the two can be compared."""

from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import Collection
from twostage.multiverse.estimate import estimate_all
from twostage.multiverse.grid import make_grid
from twostage.multiverse.specifications import specify
from twostage.multiverse.store import MultiverseError, read_multiverse, readable_studies
from twostage.problems import Problem
from twostage.stage1 import make_panel
from twostage.stage2 import Results
from twostage.stats.pool import pool
from twostage.terms import DIRECTIONS


def universe_results(collection: Collection, number: int) -> Results:
    """Compute one specification.

    Parameters
    ----------
    collection : Collection
    number : int
        As the column `specification` of the stored multiverse has it.

    Returns
    -------
    Results
        Its pooled cross-lagged effects, where a run has those of its main analysis.

    Raises
    ------
    GridError, MultiverseError
        There is no such specification, or the stored multiverse is of another grid, so that it would not be that one.
    """
    specs = specify(grid := make_grid(collection))
    where = f"{collection.name}#{number}"
    stored = read_multiverse(collection)
    told = {name: value for name, value in grid.told().items() if name != "sets"}
    if stored is not None and stored.about["values"] != told:
        expected = "the specifications of the collection's grid; twostage multiverse makes them anew"
        raise MultiverseError([Problem(where, None, None, "those of another grid", expected)])
    if not 0 <= number < len(specs):
        raise MultiverseError([Problem(where, None, "specification", number, f"0 to {len(specs) - 1}")])
    s1, s2, at = np.unravel_index(number, specs.shape)
    one, (method, ci) = specs.stage1[s1], specs.stage2[s2]
    chosen = list(grid.sets.values())[at]
    parameters = one.parameters(grid.parameters).model_copy(update={"tau2_method": method, "ci_method": ci})
    studies = {id: study for id, study in readable_studies(collection)[0].items() if id in chosen.studies}
    raw = parameters.model_copy(update={"standardize": "none", "detrend": "none"})
    found = []
    for study in studies.values():
        panel = make_panel(study, raw)
        about = {"reliability": panel.reliability, "reliability_kind": panel.reliability_kind}
        found.append(estimate_all([panel.wide()[0]], one.window[0], [one], **about))
    arrays = {
        n: np.stack([getattr(e, n)[0, 0] for e in found]) for n in ("estimate", "std_error", "n_patients")
    }
    how: dict[str, Any] = {"method": method, "ci": ci, "level": parameters.level}
    rows = [_pooled(arrays, d, how, one.estimator) for d in range(len(DIRECTIONS))]
    table = pd.DataFrame([row for row in rows if row])
    sums = {id: study.checksum for id, study in studies.items()}
    names = collection.x.label, collection.y.label
    return Results(where, parameters, sums, *names, table, collection.words, estimator=one.estimator)


def _pooled(arrays: dict[str, np.ndarray], d: int, how: dict[str, Any], estimator: str) -> dict[str, Any]:
    """A row of a run's pooled table; empty where fewer than two studies have the effect."""
    there = np.isfinite(arrays["estimate"][:, d])
    if there.sum() < 2:
        return {}
    fit = pool(arrays["estimate"][there, d], arrays["std_error"][there, d] ** 2, **how)
    direction = list(DIRECTIONS.values())[d]
    names = ("estimate", "std_error", "ci_low", "ci_high", "p_value", "pi_low", "pi_high", "tau2", "i2", "k")
    return {
        "analysis": "lagged",
        "variant": "main",
        "direction": direction.name,
        "term": direction.cross,
        "estimator": estimator,
        **{name: getattr(fit, name) for name in names},
        "n_patients": int(arrays["n_patients"][there, d].sum()),
        **how,
    }
