"""What a notebook's first cell opens, from whatever folder the notebook is opened."""

import pytest

from twostage.notebooks import STAGE1, STAGE2, parameter_cell
from twostage.pages.common import page as common
from twostage.pages.study import page as of_study
from twostage.problems import CollectionError, ParameterError
from twostage.records.record import read_record
from twostage.stage1 import lagged
from twostage.terms import DIRECTIONS


def given(notebook: str, **changes) -> dict:
    """A notebook's namespace after its parameter cell."""
    namespace: dict = {}
    exec(parameter_cell(notebook), namespace)
    return namespace | changes


def test_a_study_s_page_has_its_panel_and_saves_its_records(written, tmp_path):
    values = given("stage1_lagged", collection=str(written), study="S02", last_session=5)
    page = of_study.open_page("stage1_lagged", values | {"record_folder": str(tmp_path)})
    assert (page.study.id, page.panel.parameters.last_session) == ("S02", 5)
    assert "(S02)" in page.heading().data
    page.save(lagged(page.panel))
    record = read_record(tmp_path / "lagged.json")
    assert (record.study, record.parameters.last_session) == ("S02", 5)


@pytest.mark.parametrize(
    ("notebook", "open_page"),
    [(n.name, of_study.open_page) for n in STAGE1] + [(n.name, common.open_page) for n in STAGE2],
)
def test_every_page_refuses_what_its_notebook_does_not_take(written, notebook, open_page):
    with pytest.raises(ParameterError, match="lagg"):
        open_page(notebook, given(notebook, collection=str(written), lagg=2))


def test_a_collection_is_found_above_the_notebook_s_folder_and_in_the_package_s_project(
    small, tmp_path, monkeypatch
):
    values = given("stage2_recovery", collection=small.name)
    (small.parent / "deep").mkdir()
    monkeypatch.chdir(small.parent / "deep")
    assert common.open_page("stage2_recovery", values).collection.path.samefile(small)
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.setattr(common, "package_project", lambda: small.parent)
    assert common.open_page("stage2_recovery", values).collection.path.samefile(small)


def test_a_collection_that_is_nowhere_is_named_with_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(common, "package_project", lambda: None)
    with pytest.raises(CollectionError) as caught:
        common.open_page("stage2_recovery", given("stage2_recovery", collection="mine"))
    (problem,) = caught.value.problems
    assert (problem.value, problem.expected) == (
        "mine",
        f"the folder of a collection in {tmp_path} or a folder above it",
    )


def test_both_directions_come_in_turn_under_their_names(written, capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(common, "display", lambda what: shown.append(what.data))
    page = common.open_page("stage2_recovery", given("stage2_recovery", collection=str(written)))
    for direction in page.directions():
        shown.append(direction.name)
    x, y = page.collection.x.label, page.collection.y.label
    assert shown == [f"**From {x} to {y}**", "x_to_y", f"**From {y} to {x}**", "y_to_x"]
    assert list(DIRECTIONS) == shown[1::2]


def test_what_is_not_there_is_not_shown(monkeypatch):
    shown = []
    monkeypatch.setattr(common, "display", shown.append)
    common.Page.show(None, "words", None)
    assert shown == ["words"]
