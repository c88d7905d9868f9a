"""Two bundles of one study, subtracted: the patient by whom they differ. Rounding and the site's list stand against it."""

from datetime import date

import numpy as np
import pytest
from clinic import ordinary, shared, with_scores, without
from weapons import last_session_total, newly_observed, subtracted

from twostage.collection.collection import read_collection
from twostage.params import make_parameters
from twostage.sharing import share
from twostage.sharing.analyse import stage1_records
from twostage.sharing.layout import DEFAULT_DIGITS, MOST_DIGITS, DisclosureError, Filters
from twostage.sharing.local import Local
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
    """The main analysis as it is shared; nobody stands out in this study, so it is not looked for (faster)."""
    return shared(study, parameters, ("lagged",), Local(), **filters)["lagged"]


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
    four = AS_THEY_ARE.model_copy(update={"min_sessions": 4})
    for digits, safe in ((MOST_DIGITS, False), (DEFAULT_DIGITS, True)):
        found = subtracted(lagged_of(study, digits=digits), lagged_of(study, four, digits=digits), n)
        assert (found is None or np.abs(np.subtract(found, true)).max() > WITHIN) == safe


def test_by_window(study):
    own = study.sessions[study.sessions["patient"] == "P01"].set_index("session")
    six = AS_THEY_ARE.model_copy(update={"last_session": 6})
    for digits, safe in ((MOST_DIGITS, False), (DEFAULT_DIGITS, True)):
        found = newly_observed(lagged_of(study, digits=digits), lagged_of(study, six, digits=digits))
        error = np.abs(np.subtract(found, (own.loc[6, "x"], own.loc[7, "y"]))).max()
        assert (error > 0.5) == safe


def test_the_last_session_from_sums(three):
    """Linear reconstruction: one bundle's sums over transitions, less its session means, leave the last session."""
    x, y = ordinary(13)
    whole = with_scores(three.study("S01"), x, y - 60)
    for digits, safe in ((MOST_DIGITS, False), (DEFAULT_DIGITS, True)):
        records = shared(whole, AS_THEY_ARE, ("lagged",), Local(), digits=digits)
        first = records["data"].sessions[0]["y_mean"]
        error = abs(last_session_total(records["lagged"], first, 30) - (y[:, 6] - 60).sum())
        assert (error > 10) == safe


# --- the site's list


EXACT = Filters(digits=MOST_DIGITS)


def share_s01(collection, folder, parameters=AS_THEY_ARE, filters=EXACT, **more):
    """Share the study S01 from a collection on the disk; today is one day later each time."""
    day = date(2026, 3, 1 + len(list(folder.iterdir())))
    target = folder / f"{day}.zip"
    return share_study(read_collection(collection), "S01", parameters, filters, target, today=day, **more)


SECOND = {
    "patient": ({}, {}),
    "window": ({}, {"parameters": AS_THEY_ARE.model_copy(update={"last_session": 6})}),
    "parameters": ({}, {"parameters": AS_THEY_ARE.model_copy(update={"min_sessions": 4})}),
    "rounding": ({"filters": Filters(digits=4)}, {"filters": Filters(digits=5)}),
    "thresholds": ({"filters": Filters(digits=4, tab=8)}, {"filters": Filters(digits=4, tab=3)}),
    "versions": ({}, {}),
}


@pytest.mark.parametrize("how", list(SECOND))
def test_a_second_bundle_that_differs_is_refused(small, tmp_path, monkeypatch, how):
    folder = tmp_path / "sent"
    folder.mkdir()
    first, second = SECOND[how]
    whole = (small / "sessions" / "S01.csv").read_text()
    if how == "patient":
        remove(small, "p0001")
    share_s01(small, folder, **first)
    if how == "patient":
        (small / "sessions" / "S01.csv").write_text(whole)
    if how == "versions":
        monkeypatch.setattr(share, "version", lambda name: "9.9.9")
        monkeypatch.setattr(share, "stage1_records", later_version)
    with pytest.raises(
        DisclosureError, match=r"a bundle of S01 of 2026-03-01 with other results: .*\n?.*--second-bundle"
    ):
        share_s01(small, folder, **second)
    assert {p.suffix for p in folder.iterdir()} == {".zip", ".html"}
    assert len(list(folder.iterdir())) == 2
    monkeypatch.setattr(share, "refuse_second", lambda ledger, new, collection: None)
    share_s01(small, folder, **second)
    assert len(list(folder.iterdir())) == 4


def remove(collection, patient):
    """Take a patient's scores out of S01."""
    path = collection / "sessions" / "S01.csv"
    header, *lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(f"{patient},")]
    path.write_text("".join([header, f"{patient},1,,\n", *kept]))


def later_version(study, parameters):
    """Records of a version that leaves out a patient whom earlier ones had."""
    return stage1_records(without(study, "p0002"), parameters)


def test_two_bundles_that_were_written_give_the_patients_scores(small, tmp_path):
    """What the list is there for, from the files themselves."""
    folder = tmp_path / "sent"
    folder.mkdir()
    before = read_collection(small).study("S01")
    n, true = rows_of(before, "p0001")
    whole = share_s01(small, folder).bundle.records["lagged"]
    remove(small, "p0001")
    fewer = share_s01(small, folder, second=True).bundle.records["lagged"]
    assert subtracted(whole, fewer, n) == pytest.approx(true, abs=0.05)
