"""Two bundles of one study, subtracted: the patient by whom they differ. Rounding and the site's list stand against it."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from clinic import ordinary, shared, with_scores, without
from weapons import last_session_total, subtracted

from twostage.params import make_parameters
from twostage.sharing import share
from twostage.sharing.errors import DisclosureError
from twostage.sharing.layout import DEFAULT_DIGITS, MOST_DIGITS, Filters
from twostage.sharing.share import share_study

#: Scores as they are, so that what is found is in scale points, and the unit does not change with the patients.
AS_THEY_ARE = make_parameters({"standardize": "none"})

#: Half a step of the mean of seven whole scores: within it the scores' sum is known.
WITHIN = 0.5 / 7


@pytest.fixture(scope="module")
def study(three):
    """30 patients; the first has three sessions with both variables, another one's last session is the only seventh."""
    x, y = ordinary(12)
    x[0, [1, 4, 5, 6]], y[0, [1, 4, 5, 6]] = np.nan, np.nan
    x[2:, 6], y[2:, 6] = np.nan, np.nan
    return with_scores(three.study("S01"), np.round(10 * x), y)


def rows_of(study, patient: str) -> tuple[int, tuple[float, float]]:
    """Transitions of a patient, and both means."""
    own = study.sessions[study.sessions["patient"] == patient].set_index("session")
    pairs = [s for s in own.index if s + 1 in own.index]
    return len(pairs), (own["x"].mean(), own["y"].mean())


def lagged_of(study, parameters=AS_THEY_ARE, **filters):
    return shared(study, parameters, ("lagged",), **filters)["lagged"]


def found_out(study, digits: int, patients) -> float:
    """Share of patients whose means two bundles tell, one with them and one without."""
    whole, hits = lagged_of(study, digits=digits), []
    for patient in patients:
        n, true = rows_of(study, patient)
        found = subtracted(whole, lagged_of(without(study, patient), digits=digits), n)
        hits += [] if found is None else [abs(f - t) <= WITHIN for f, t in zip(found, true, strict=True)]
    return float(np.mean(hits)) if hits else 0.0


PATIENTS = [f"P{i:02d}" for i in range(2, 8)]


def test_by_one_patient(study):
    assert found_out(study, MOST_DIGITS, PATIENTS) == 1.0
    assert found_out(study, DEFAULT_DIGITS, PATIENTS) < 0.2


def test_by_parameters(study):
    n, true = rows_of(study, "P00")
    assert n == 1 or n == 2
    four = AS_THEY_ARE.model_copy(update={"min_sessions": 4})
    for digits, safe in ((MOST_DIGITS, False), (DEFAULT_DIGITS, True)):
        found = subtracted(lagged_of(study, digits=digits), lagged_of(study, four, digits=digits), n)
        assert (found is None or np.abs(np.subtract(found, true)).max() > WITHIN) == safe
