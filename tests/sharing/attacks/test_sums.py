"""Exact sums of the one-stage model: subtracted, small, dominated, combined. Each finds its patient with a rule off."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from clinic import MOST, ordinary, with_scores

from twostage.collection.collection import read_collection
from twostage.params import make_parameters
from twostage.records import FUNCTIONS, ONE_STAGE, make_record, notebook_parameters, stage1_records
from twostage.sharing import cells, share
from twostage.sharing.cells import safe_sums
from twostage.sharing.layout import DisclosureError, Filters
from twostage.sharing.local import Local
from twostage.sharing.share import share_study
from twostage.sharing.summaries import Counts
from twostage.sharing.sums import cell_sizes, protect_sums
from twostage.stage1 import PRODUCTS, lagged, make_panel, onestage
from twostage.terms import DIRECTIONS

AS_THEY_ARE = make_parameters({"standardize": "none"})
FILTERS = Filters()

#: Where scores are that are neither high nor low.
MIDDLE = 4.0

#: A score found to less than this share of the scale's step counts as found.
FOUND = 0.01


def panel_of(three, x, y, parameters=AS_THEY_ARE):
    return make_panel(with_scores(three.study("S01"), x, y), parameters)


def shared_record(panel, cell=None, least=FILTERS.tab):
    """The record of sums of a site that chose to share them."""
    cells = (cell, cell) if cell else cell_sizes(FILTERS)
    record = make_record(panel, onestage(panel))
    return protect_sums(record, safe_sums(panel, *cells, FILTERS.tab), {}, Counts((), least))


def shared_sums(panel, cell=None, least=FILTERS.tab):
    """Direction -> the sums that a site shares, which chose to."""
    return {a.direction: a.sums() for a in shared_record(panel, cell, least).aggregates}


def total(sums):
    """Sum of all rows of each column, and their number."""
    rows = sums.size * sums.count
    return dict(zip(sums.names, rows @ sums.mean, strict=True)), rows.sum()


def person(panel, name):
    """x_mean and y_mean of a patient."""
    own = panel.sessions[panel.sessions["patient"] == name].iloc[0]
    return {v: own[v] for v in ("x_mean", "y_mean")}


@pytest.fixture(scope="module")
def scores():
    return ordinary(21, n=60)


def test_an_ordinary_study_can_share(three, scores):
    found = shared_sums(panel_of(three, *scores))
    assert set(found) == {"x_to_y", "y_to_x"}
    assert all((s.count >= cell_sizes(FILTERS)[0]).all() for s in found.values())


def test_cross_level_columns_make_no_cell_larger(three, scores):
    """Where they need more patients than a cell has, only they are withheld."""
    panel = panel_of(three, *scores)
    enough, more = (safe_sums(panel, 16, wide, FILTERS.tab) for wide in (len(scores[0]), len(scores[0]) + 1))
    assert enough.with_products["x_to_y"] == enough.partitions == more.partitions
    assert not any(more.with_products.values())
    record = make_record(panel, onestage(panel))
    found = protect_sums(record, more, {}, Counts((), FILTERS.tab))
    assert {len(a.terms) for a in found.aggregates} == {5}
    assert {(f.variant, f.direction) for f in found.failures} == {(PRODUCTS, d) for d in DIRECTIONS}
    assert {len(a.terms) for a in shared_record(panel).aggregates} == {7} and not shared_record(
        panel
    ).failures


def test_one_patient_is_a_product(three, scores, monkeypatch):
    """Whoever varies has the mean of all, but one: squares weighed by the patients' means are this patient's."""
    x, y = (s.copy() for s in scores)
    n, far = len(x), 2.0
    x += MIDDLE - x.mean(axis=1, keepdims=True)
    x[40:58] = (MIDDLE + np.tile([1.0, -1.0], 9))[:, None]
    x[58:] = MIDDLE + 0.1 * (x[58:] - MIDDLE)
    x[59] += far
    panel = panel_of(three, x, y)
    assert set(shared_sums(panel)["x_to_y"].names) & set(DIRECTIONS["x_to_y"].interactions) == set()
    monkeypatch.setattr(cells, "_with_products", lambda rows, direction, partitions, cell, least: partitions)
    sums = shared_sums(panel)["x_to_y"]
    at = [sums.names.index(name) for name in ("x_within", "x_within:x_mean")]
    (squares, once), (_, twice) = sums.within[np.ix_(at, at)]
    # With d = s / n: once = s W - d squares, twice = (s^2 - 2 s d) W + d^2 squares; W of the patient, s their distance.
    s = np.linspace(0.5, 4.0, 350_001)
    d = s / n
    off = np.abs((s - 2 * d) * (once + d * squares) + d**2 * squares - twice)
    mean = sums.count @ sums.mean[:, sums.names.index("x_mean")] / n
    assert abs(mean + (s - d)[off.argmin()] - person(panel, "P59")["x_mean"]) < FOUND


def test_a_small_cell(three, scores):
    """The only patient with two transitions: the mean of a cell is this patient's."""
    x, y = (s.copy() for s in scores)
    x[0, 3:], y[0, 3:] = np.nan, np.nan
    panel = panel_of(three, x, y)
    assert all((s.count >= cell_sizes(FILTERS)[0]).all() for s in shared_sums(panel).values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "cell_hides", lambda rows, least: True)
        sums = shared_sums(panel, cell=1, least=1)["x_to_y"]
    place = dict(zip(sums.names, sums.mean[sums.count == 1][0], strict=True))
    for name, true in person(panel, "P00").items():
        assert abs(place[name] - true) < FOUND


def test_the_last_session_of_complete_patients(three, scores, monkeypatch):
    """All but one are at the ceiling in the last session: no column shows it, but a combination of two does."""
    x, y = (s.copy() for s in scores)
    x[:, -1] = MOST
    x[7, -1] = 4.25
    panel = panel_of(three, x, y)
    assert not shared_sums(panel)
    monkeypatch.setattr(cells, "gives_away", lambda values, least: None)
    monkeypatch.setattr(cells, "no_one_outweighs", lambda apart: True)
    (sums,) = {k: v for k, v in shared_sums(panel).items() if k == "x_to_y"}.values()
    mean = dict(zip(sums.names, sums.mean[0], strict=True))
    last = mean["x_mean"] - sums.size[0] * mean["x_within"]
    assert abs(MOST - sums.count[0] * (MOST - last) - 4.25) < FOUND


def test_one_patient_dominates_a_combination(three, scores, monkeypatch):
    """In each column the patient is one of many, in the difference of two nearly the only one."""
    x, y = (s.copy() for s in scores)
    y[:] = 10 * x + 0.01 * np.sign(y - 60)
    y[3] += 6.0
    panel = panel_of(three, x, y)
    assert not shared_sums(panel)
    monkeypatch.setattr(cells, "no_one_outweighs", lambda apart: True)
    monkeypatch.setattr(cells, "_conditioned", lambda values: True, raising=False)
    found = shared_sums(panel)
    sums = found["x_to_y"]
    at = [sums.names.index(n) for n in ("x_mean", "y_mean")]
    turn = np.array([-10.0, 1.0])
    deviation = np.sqrt(turn @ sums.scatter[0][np.ix_(at, at)] @ turn)
    n = sums.count[0]
    assert abs(deviation * np.sqrt(n / (n - 1)) - 6.0) < 0.05


def test_one_direction_less_the_other(three, scores, monkeypatch):
    """One patient's last y is missing: the rows of the directions differ by one, which is this patient's."""
    x, y = (s.copy() for s in scores)
    y[5, -1] = np.nan
    panel = panel_of(three, x, y)
    assert set(shared_sums(panel)) == {"x_to_y"}
    assert "few patients have a row that the other" in shared_record(panel).failures[0].reason
    monkeypatch.setattr(cells, "different", lambda one, other: 0)
    found = shared_sums(panel)
    (more, n), (fewer, m) = total(found["y_to_x"]), total(found["x_to_y"])
    assert n - m == 1
    for name, true in person(panel, "P05").items():
        assert abs(more[name] - fewer[name] - true) < FOUND


def test_by_one_patient(three, scores):
    """What the list is there for: two versions of the data, subtracted."""
    x, y = scores
    whole, fewer = panel_of(three, x, y), panel_of(three, x[1:], y[1:])
    (more, n), (less, m) = (total(shared_sums(panel)["x_to_y"]) for panel in (whole, fewer))
    for name, true in person(whole, "P00").items():
        assert abs((more[name] - less[name]) / (n - m) - true) < FOUND


def test_by_window(three, scores):
    """A patient who alone came to the seventh session: sums to the seventh less sums to the sixth are of this session."""
    x, y = (s.copy() for s in scores)
    x[1:, 6], y[1:, 6] = np.nan, np.nan
    long, short = (panel_of(three, x, y, AS_THEY_ARE.model_copy(update={"last_session": t})) for t in (7, 6))
    (more, n), (less, m) = (total(shared_sums(panel)["x_to_y"]) for panel in (long, short))
    assert n - m == 1
    assert abs(more["outcome"] - less["outcome"] - y[0, 6]) < FOUND


def test_by_unit(three, scores):
    """The same sums in two units tell the unit, the standard deviation of all, to the last digit."""
    units = [panel_of(three, *scores, make_parameters({"standardize": s})) for s in ("none", "total")]
    raw, unit = (total(shared_sums(panel)["x_to_y"])[0] for panel in units)
    assert raw["x_mean"] / unit["x_mean"] == pytest.approx(units[1].scale["x"], rel=1e-12)


SECOND = {"window": {"last_session": 6}, "unit": {"standardize": "none"}, "patient": {}}


@pytest.fixture(scope="module")
def remembered():
    """Studies are analysed once with the same parameters, without the slow estimators: the list is what is asked here."""
    known = {}

    def records(study, parameters):
        key = study.checksum, parameters
        if key not in known:
            known[key] = stage1_records(study, parameters)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(share, "stage1_records", records)
        patch.setattr(share, "look", only_sums)
        patch.setitem(FUNCTIONS, "estimators", no_estimators)
        patch.setitem(FUNCTIONS, "sensitivity", lambda study, panel: replace(lagged(panel), **OTHER))
        yield


NONE = {"covariances": {}, "joint_covariances": {}}
NOTHING, OTHER = (
    NONE | {"analysis": name, "table": pd.DataFrame(columns=["df"]), "fits": pd.DataFrame()}
    for name in ("estimators", "sensitivity")
)


def no_estimators(study, panel):
    return replace(lagged(panel), exclusions=panel.exclusions, **NOTHING)


def only_sums(study, parameters, least, cells=None):
    panel = make_panel(study, notebook_parameters("stage1_lagged", parameters))
    return Local(sums=None if cells is None else safe_sums(panel, *cells, least))


def remove_first(collection, study):
    """Take a patient's scores out of a study."""
    path = collection / "sessions" / f"{study}.csv"
    header, *lines = path.read_text().splitlines(keepends=True)
    patient = lines[0].split(",")[0]
    kept = [line for line in lines if not line.startswith(f"{patient},")]
    path.write_text("".join([header, f"{patient},1,,\n", *kept]))


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize("how", list(SECOND))
def test_other_sums_of_a_study_are_refused_whatever_is_said(small, tmp_path, monkeypatch, how):
    folder = tmp_path / "sent"
    folder.mkdir()

    def send(parameters, name, **more):
        more["today"], target = date(2026, 3, 1), folder / f"{name}.zip"
        where, chosen = read_collection(small), make_parameters(parameters)
        return share_study(where, "S02", chosen, FILTERS, target, **more).bundle.records[ONE_STAGE]

    assert send({}, "first", sums=True).aggregates == send({}, "again", sums=True).aggregates != ()
    if how == "patient":
        remove_first(small, "S02")
    with pytest.raises(DisclosureError, match="exact sums of a study once"):
        send(SECOND[how], "second", sums=True, second=True)
    assert not (folder / "second.zip").exists()
    # Rounded results are another matter: the site may accept that risk.
    assert not send(SECOND[how], "rounded", second=True).aggregates
    monkeypatch.setattr(share, "refuse_second_sums", lambda ledger, new, collection: None)
    assert send(SECOND[how], "second", sums=True, second=True).aggregates
