"""Figures and tables of pages: captions say what, of which data and by which estimator; what notebooks show is found."""

import json
import re
from dataclasses import replace

import nbformat
import pandas as pd
import pytest

from twostage.display import show, shown_as
from twostage.files import write_text
from twostage.params import make_parameters
from twostage.pipeline.book.captions import Captions, numbered_table
from twostage.pipeline.book.outputs import number_outputs

SVG = '<svg><defs></defs><path style="fill: #222222"/></svg>'


@pytest.fixture
def captions(three, tmp_path) -> Captions:
    folder = tmp_path / "output" / "stage2_lagged"
    for name, about in (
        ("forest_x_to_y", {"alt": "Forest of $3 `studies`"}),
        ("gone", {"reason": "too few"}),
    ):
        write_text(folder / f"{name}.json", json.dumps(about))
    write_text(folder / "forest_x_to_y.png", "")
    return Captions(three, make_parameters({}, "test"), tmp_path / "output")


def test_a_caption_says_what_by_which_estimator_and_of_which_data(captions):
    lines = captions.figure("stage2_lagged", "forest_x_to_y").splitlines()
    assert lines[0] == "```{figure} /output/stage2_lagged/forest_x_to_y.svg"
    assert ":name: fig-lagged-forest_x_to_y" in lines
    caption = lines[lines.index("") + 1]
    assert caption.startswith(
        "**Forest Plot: alliance → symptom severity.** Forest of \\$3 \\`studies\\`. Effects are "
    )
    assert "person-mean centred" in caption and "REML and Hartung-Knapp" in caption
    assert caption.endswith("synthetic.")
    assert "{download}`PNG </output/stage2_lagged/forest_x_to_y.png>`" in lines
    assert captions.figure("stage2_lagged", "gone") == ""
    # The estimators' page shows others too.
    other = captions.result("<table></table>", "stage2_estimators", "comparison")
    assert "Effects are" not in other and "Estimators are named" in other


def test_tables_of_another_model_say_so(captions):
    html = "<table></table>"
    left = captions.result(html, "stage2_sensitivity", "unseen_x_to_y")
    shown = captions.shown(
        html, "stage2_sensitivity", "1", "Dropout that depends on scores nobody saw", "a.csv"
    )
    for caption in (left, shown):
        assert "random-intercept" in caption and "person-mean centred" not in caption
    assert "person-mean centred" in captions.result(html, "stage2_sensitivity", "countries_x_to_y")
    assert "Effects" not in captions.result(html, "stage2_estimators", "nested")


def test_of_one_study_nothing_is_pooled(captions):
    one = replace(captions.collection, studies=captions.collection.studies.iloc[:1])
    caption = replace(captions, collection=one).result("<table></table>", "stage2_lagged", "by_transition")
    assert "**Effects of Each Transition.**" in caption and "ooled" not in caption


def test_a_table_without_rows_has_no_caption():
    assert numbered_table("", "tab-a", "A") == ""
    assert numbered_table("<table></table>", "tab-a", "A").startswith(
        "````{results-table} A\n:name: tab-a\n\n<div"
    )


def cell(*outputs) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell("1", outputs=[*outputs])


def output(data: dict, **metadata) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("display_data", data, metadata=metadata)


def notebook() -> nbformat.NotebookNode:
    table = show(pd.DataFrame({"study": ["=1+1"], "estimate": [0.5]}))
    html, metadata = table._repr_html_()
    cells = [
        nbformat.v4.new_markdown_cell("# Page\n\n## Pooled estimates"),
        cell(
            output({"text/markdown": "**From a to b**"}),
            output({"image/svg+xml": SVG}, **shown_as(figure="forest_x_to_y")),
            output({"text/html": html}, **{"text/html": metadata}),
        ),
    ]
    return nbformat.v4.new_notebook(cells=cells)


def test_what_a_pooled_notebook_shows_is_numbered(captions, tmp_path):
    page = notebook()
    number_outputs(page, "stage2_lagged", tmp_path, captions)
    _, figure, table = (dict(o.data) for o in page.cells[1].outputs)
    assert ":name: fig-lagged-forest_x_to_y-computed" in figure["text/markdown"]
    assert "**Pooled estimates: From a to b.**" in table["text/markdown"]
    file = re.search(r"`CSV <(.*)>`", table["text/markdown"])[1]
    # What a spreadsheet would take for a formula is text in the file.
    assert (tmp_path / file).read_text(encoding="utf-8-sig") == "study,estimate\n'=1+1,0.500\n"


def test_what_a_study_shows_is_as_it_was_and_dark_on_dark_pages(tmp_path):
    page = notebook()
    number_outputs(page, "stage1_data", tmp_path, None)
    _, figure, table = (dict(o.data) for o in page.cells[1].outputs)
    assert "prefers-color-scheme" in figure["image/svg+xml"] and "text/html" in table
    assert list(tmp_path.glob("*.csv")) == []
