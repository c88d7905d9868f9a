"""Studies whose patients an attacker is after, and what a site would share of them."""

from dataclasses import replace

import numpy as np
import pandas as pd

from twostage.collection.collection import Study
from twostage.notebooks import STAGE1
from twostage.params import Parameters, make_parameters
from twostage.records.analyse import FUNCTIONS, notebook_parameters
from twostage.records.record import ANALYSES, Record, make_record
from twostage.sharing.disclosure import protect
from twostage.sharing.layout import Filters
from twostage.sharing.local import Local, look
from twostage.stage1.panel import make_panel

#: Scores end at 7, in steps of .01.
MOST, GRID = 7.0, 0.01


def with_scores(study: Study, x: np.ndarray, y: np.ndarray, pre=None, post=None) -> Study:
    """The study with scores of n patients at T sessions, NaN where a session is missing."""
    n, T = x.shape
    names = [f"P{i:02d}" for i in range(n)]
    sessions = pd.DataFrame(
        {
            "patient": np.repeat(names, T),
            "session": np.tile(np.arange(1, T + 1), n),
            "x": x.ravel(),
            "y": y.ravel(),
        }
    ).dropna(subset=["x", "y"], how="all")
    given = {name: scores for name, scores in (("pre", pre), ("post", post)) if scores is not None}
    patients = pd.DataFrame({"patient": names} | given) if given else None
    return replace(
        study, sessions=sessions.reset_index(drop=True), patients=patients, x_direction=1, y_direction=1
    )


def ordinary(seed: int, n: int = 30, T: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Scores of an ordinary study: levels that differ between patients, and deviations from them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(5.2, 0.6, (n, 1)) + rng.normal(0, 0.5, (n, T))
    y = rng.normal(60, 12, (n, 1)) + rng.normal(0, 6, (n, T))
    return np.round(np.clip(x, 1, MOST), 2), np.round(y)


def without(study: Study, patient: str) -> Study:
    """The study before a patient joined."""
    return replace(
        study, sessions=study.sessions[study.sessions["patient"] != patient].reset_index(drop=True)
    )


def shared(
    study: Study,
    parameters: Parameters | None = None,
    analyses=ANALYSES,
    local: Local | None = None,
    **filters,
) -> dict[str, Record]:
    """What a site shares of a study: all its records, or some, which is faster."""
    chosen, by, made = parameters or make_parameters({"stage1_errors": "model"}), Filters(**filters), {}
    for notebook in STAGE1:
        wanted = [name for name in notebook.leaves if name in {"data", *analyses}]
        panel = make_panel(study, notebook_parameters(notebook.name, chosen)) if wanted else None
        made |= {name: make_record(panel, FUNCTIONS[name](study, panel)) for name in wanted}
    return protect(made, by, local or look(study, chosen, by.tab))[0]
