"""The checklist answers every item, the diagram counts what the tables say, and judgements are counted by domain."""

from xml.etree import ElementTree

import pandas as pd
import pytest

from twostage.collection import JUDGEMENTS, Review, StudiesFound
from twostage.pages.reporting.checklist import ITEMS, STATEMENTS, answers
from twostage.pages.reporting.flow import flow_diagram, flow_steps
from twostage.pages.reporting.plots import WIDTH, bias_plot
from twostage.pages.reporting.tables import bias_reasons, bias_shares, bias_table

PAGES = {page for item in ITEMS for page in item.pages}

FLOW = pd.DataFrame(
    {
        "study": ["A", "B", "all"],
        "label": ["a", "b", "all studies"],
        "enrolled": [100, 50, 150],
        "no score in sessions 1 to 7": [0, 0, 0],
        "fewer than 3 sessions with both variables": [10, 5, 15],
        "included": [90, 45, 135],
    }
).convert_dtypes()

JUDGED = pd.DataFrame(
    [("A", "dropout", "high", "half left"), ("B", "dropout", "low", ""), ("A", "selection", "low", " ")],
    columns=["study", "domain", "judgement", "reason"],
)


def test_the_checklist_is_that_of_prisma_ipd():
    numbers = [item.number for item in ITEMS]
    assert sorted(int(n) for n in numbers if n.isdigit()) == list(range(1, 28))
    assert [n for n in numbers if not n.isdigit()] == ["A1", "A2", "A3", "A4"]
    assert {key for item in ITEMS for key in item.statements} == set(STATEMENTS)
    assert set(STATEMENTS) | {"studies"} == set(Review.model_fields)


def test_every_item_has_a_page_or_says_what_is_not_stated():
    for item, pages, missing in answers(Review(), False, PAGES):
        assert pages or missing, item
        assert len(missing) == len(item.statements)
        assert all(text.endswith("not stated") for text in missing)
    assert all("simulated" in text for _, _, missing in answers(Review(), True, PAGES) for text in missing)


def test_what_is_stated_is_found_on_the_page_of_statements():
    found = {
        item.number: (pages, missing) for item, pages, missing in answers(Review(search="all"), False, PAGES)
    }
    assert found["8"] == (["reporting"], [])
    assert found["7"] == ([], ["information sources: not stated"])


def test_a_page_that_the_book_lacks_is_no_answer():
    found = {
        item.number: pages for item, pages, _ in answers(Review(), False, PAGES - {"results_small_study"})
    }
    assert found["22"] == []


def test_the_flow_of_studies_and_persons():
    steps = flow_steps(FLOW, StudiesFound(identified=812, eligible=5, sought=5), 1, False)
    assert [step.text for step in steps] == [
        "Studies identified: 812",
        "Studies eligible: 5",
        "Studies whose individual participant data were sought: 5",
        "Studies whose data or results were obtained: 2 (of these 1 shared results only)",
        "Patients in these studies: 150",
        "Patients analysed: 135",
    ]
    assert [step.lost for step in steps] == [
        ("807 not among the next",),
        (),
        ("3 data not obtained",),
        (),
        ("15 fewer than 3 sessions with both variables",),
        (),
    ]


def test_a_withheld_number_makes_a_lower_bound():
    flow = FLOW.copy()
    flow.loc[0, ["enrolled", "no score in sessions 1 to 7"]] = pd.NA
    *_, enrolled, analysed = flow_steps(flow, StudiesFound(), 0, True)
    assert enrolled.text == "Patients in these studies: at least 50"
    assert enrolled.lost[0] == "at least 0 no score in sessions 1 to 7"
    assert analysed.text == "Patients analysed: 135"


def test_every_text_of_the_diagram_is_text_and_within_it():
    steps = flow_steps(FLOW, StudiesFound(identified=812), 0, False)
    svg = ElementTree.fromstring(flow_diagram(steps, "<b>Flow</b>"))[0]
    assert svg[0].text == "<b>Flow</b>"
    written = " ".join(node.text for node in svg if node.tag.endswith("text"))
    for step in steps:
        assert step.text in written
    left, top, width, height = map(float, svg.get("viewBox").split())
    assert all(0 < float(node.get("y")) < height for node in svg if node.tag.endswith("text"))


def test_judgements_by_study_and_by_domain():
    table = bias_table(JUDGED, {"A": "Study a", "B": "Study b"})
    assert table.to_dict("list") == {
        "study": ["Study a", "Study b"],
        "dropout": ["\u00d7 high", "+ low"],
        "selection": ["+ low", "\u2013"],
    }
    shares = bias_shares(JUDGED, ["A", "B"])
    assert shares["domain"].tolist() == ["dropout", "selection"]
    assert shares[list(JUDGEMENTS)].to_numpy().tolist() == [[1, 0, 1, 0], [1, 0, 0, 0]]
    assert bias_reasons(JUDGED, {"A": "Study a", "B": "b"})["reason"].tolist() == ["half left"]


def test_the_bars_share_the_width_by_how_many_studies_there_are():
    svg = ElementTree.fromstring(bias_plot(bias_shares(JUDGED, ["A", "B"])))[0]
    bars = [float(node.get("width")) for node in svg if node.tag.endswith("rect")]
    assert bars == pytest.approx([WIDTH / 2, WIDTH / 2, WIDTH])
