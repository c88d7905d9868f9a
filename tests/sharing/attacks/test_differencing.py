"""Two bundles of one study, subtracted: the patient by whom they differ. Rounding and the site's list stand against it."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from clinic import ordinary, shared, with_scores, without
from weapons import last_session_total, subtracted

from twostage.collection.collection import read_collection
from twostage.params import make_parameters
from twostage.records import stage1_records
from twostage.sharing import disclosure as matrices
from twostage.sharing import share
from twostage.sharing.layout import DEFAULT_DIGITS, MOST_DIGITS, DisclosureError, Filters
from twostage.sharing.local import Local
from twostage.sharing.share import share_study
from twostage.stage1.panel import make_panel

#: Scores as they are, so that what is found is in scale points, and the unit does not change with the patients.
AS_THEY_ARE = make_parameters({"standardize": "none", "stage1_errors": "model"})

#: Half a step of the scale: within it a score counts as found out.
HALF = 0.5


@pytest.fixture(scope="module")
def study(three):
    """30 patients; one has three sessions, with one pair among them; one has three of which one is the seventh."""
    x, y = ordinary(12)
    for patient, missing in ((0, [2, 4, 5, 6]), (1, [2, 3, 4, 5])):
        x[patient, missing], y[patient, missing] = np.nan, np.nan
    return with_scores(three.study("S01"), np.round(10 * x), y)


def lagged_of(study, parameters=AS_THEY_ARE, **filters):
    """The main analysis as it is shared; nobody stands out in this study, so it is not looked for (faster)."""
    return shared(study, parameters, ("lagged",), Local(), **filters)["lagged"]


def distances(study, patient: str) -> dict[str, float]:
    """How far a patient's means are from those of the others, in scale points."""
    rows = make_panel(study, AS_THEY_ARE).transitions().dropna(subset=["y_next"])
    own = rows["patient"] == patient
    return {
        v: abs(rows.loc[own, f"{v}_mean"].iloc[0] - rows.loc[~own, f"{v}_mean"].mean()) for v in ("x", "y")
    }


def hits(found, study, patient: str) -> list[bool]:
    """Whether a patient's distances from the others were found out."""
    true = distances(study, patient)
    return [abs(found[v] - true[v]) <= HALF for v in true] if found else [False]


def test_by_one_patient(study):
    """In a study of 30; the README has more studies, more patients and every number of digits."""
    found = {}
    for digits in (MOST_DIGITS, 4, DEFAULT_DIGITS):
        whole = lagged_of(study, digits=digits)
        pairs = {p: (whole, lagged_of(without(study, p), digits=digits)) for p in PATIENTS}
        found[digits] = np.mean(
            [hit for p, pair in pairs.items() for hit in hits(subtracted(*pair), study, p)]
        )
    assert found[MOST_DIGITS] == 1.0
    assert found[4] > 0.7
    assert found[DEFAULT_DIGITS] < 0.35


PATIENTS = [f"P{i:02d}" for i in range(2, 10)]


@pytest.mark.parametrize(("patient", "other"), [("P00", {"min_sessions": 4}), ("P01", {"last_session": 6})])
def test_by_parameters_and_by_window(study, patient, other):
    """Other parameters under which one patient is not in the analysis; the unit and the others' rows stay."""
    # A longer window is not another window of the others: they have no seventh session.
    rows = study.sessions
    short = replace(study, sessions=rows[(rows["patient"] == patient) | (rows["session"] < 7)])
    changed = AS_THEY_ARE.model_copy(update=other)
    for digits, found_out in ((MOST_DIGITS, True), (DEFAULT_DIGITS, False)):
        found = subtracted(lagged_of(short, digits=digits), lagged_of(short, changed, digits=digits))
        assert all(hits(found, short, patient)) == found_out


@pytest.mark.parametrize("digits", [MOST_DIGITS, DEFAULT_DIGITS])
def test_the_last_session_from_sums(three, monkeypatch, digits):
    """Linear reconstruction: one bundle's sums over transitions, less its session means, leave the last session."""
    x, y = ordinary(13)
    whole = with_scores(three.study("S01"), x - 5.2, y - 60)

    def total():
        records = shared(whole, AS_THEY_ARE, ("lagged",), Local(), digits=digits)
        return last_session_total(records["lagged"], records["data"].sessions[0]["y_mean"], 30)

    assert total() is None
    monkeypatch.setattr(matrices, "without_intercepts", dict)
    # The sum of 30 scores, to less than one patient's deviation: enough where all others have the same.
    assert abs(total() - (y[:, 6] - 60).sum()) < 0.7 * y.std()


# --- the site's list


EXACT = Filters(digits=MOST_DIGITS)


def share_to(folder, collection, study="S01", parameters=AS_THEY_ARE, filters=EXACT, **more):
    """Share a study from a collection on the disk; today is one day later each time."""
    day = date(2026, 3, 1 + len(list(folder.iterdir())))
    target = folder / f"{day}.zip"
    return share_study(read_collection(collection), study, parameters, filters, target, today=day, **more)


SECOND = {
    "patient": ({}, {}),
    "window": ({}, {"parameters": AS_THEY_ARE.model_copy(update={"last_session": 6})}),
    "parameters": ({}, {"parameters": AS_THEY_ARE.model_copy(update={"min_sessions": 4})}),
    "rounding": ({"filters": Filters(digits=2)}, {"filters": Filters(digits=3)}),
    "thresholds": ({"filters": Filters(tab=8)}, {"filters": Filters(tab=3)}),
    "versions": ({}, {}),
}


@pytest.fixture
def remembered(monkeypatch):
    """No study is analysed twice with the same parameters: what follows asks the list, not the analyses."""
    known = {}

    def records(study, parameters):
        key = study.checksum, parameters
        if key not in known:
            known[key] = stage1_records(study, parameters)
        return known[key]

    monkeypatch.setattr(share, "stage1_records", records)


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize("how", list(SECOND))
def test_a_second_bundle_that_differs_is_refused(small, tmp_path, monkeypatch, how):
    folder = tmp_path / "sent"
    folder.mkdir()
    first, second = SECOND[how]
    whole = (small / "sessions" / "S01.csv").read_text()
    if how == "patient":
        remove(small, "S01", "p0001")
    share_to(folder, small, **first)
    if how == "patient":
        (small / "sessions" / "S01.csv").write_text(whole)
    if how == "versions":
        monkeypatch.setattr(share, "version", lambda name: "9.9.9")
        monkeypatch.setattr(share, "stage1_records", later_version)
    with pytest.raises(
        DisclosureError, match=r"a bundle of S01 of 2026-03-01 with other results: .*\n?.*--second-bundle"
    ):
        share_to(folder, small, **second)
    assert {p.suffix for p in folder.iterdir()} == {".zip", ".html"}
    assert len(list(folder.iterdir())) == 2
    monkeypatch.setattr(share, "refuse_second", lambda ledger, new, collection: None)
    share_to(folder, small, **second)
    assert len(list(folder.iterdir())) == 4


def remove(collection, study, patient):
    """Take a patient's scores out of a study."""
    path = collection / "sessions" / f"{study}.csv"
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
    before = read_collection(small).study("S02")
    patient = before.sessions["patient"].iloc[0]
    whole = share_to(folder, small, "S02").bundle.records["lagged"]
    remove(small, "S02", patient)
    fewer = share_to(folder, small, "S02", second=True).bundle.records["lagged"]
    assert subtracted(whole, fewer) == pytest.approx(distances(before, patient), abs=0.001)
