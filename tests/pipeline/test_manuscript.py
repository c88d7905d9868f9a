"""The manuscript quotes what the pooled notebooks left, and nothing else."""

import re
from pathlib import Path

import pandas as pd
import pytest

from twostage.display import interval, number
from twostage.notebooks import HOME
from twostage.pages.common.heterogeneity import heterogeneity_words, words_table
from twostage.pages.common.leave import draw, save_figure, save_sentences, write_pooled, write_table
from twostage.pages.common.tables import effect
from twostage.params import make_parameters
from twostage.pipeline.book.manuscript import book_context
from twostage.stage2.pool import patient_flow
from twostage.stats.base.attempt import Attempt

BOOK = Path(__file__).resolve().parents[2] / "book"


@pytest.fixture(scope="module")
def context(pooled, panels, three, tmp_path_factory):
    import matplotlib.pyplot as plt

    from twostage.records.record import make_record
    from twostage.stage1.describe import describe

    run = tmp_path_factory.mktemp("run")
    for analysis, table in pooled.items():
        write_pooled(table, str(run / "output" / HOME[analysis]))
    flow = patient_flow([make_record(panel, describe(panel)) for panel in panels.values()])
    write_table(flow, str(run / "output" / "stage2_lagged"), "flow")
    words = words_table(pooled["lagged"], three, ["x_within"])
    write_table(words, str(run / "output" / "stage2_lagged"), "words_lagged")
    ax = plt.subplots()[1]
    save_figure(ax, str(run / "output" / "stage2_lagged"), "forest_x_to_y", "Forest plot of 3 studies")
    plt.close(ax.figure)
    influence, small = (str(run / "output" / HOME[name]) for name in ("influence", "small_study"))
    save_sentences({"y_to_x": {"casewise": "None of 3."}}, influence)
    draw(None, Attempt(None, "too few"), influence, "panel_x_to_y", "")
    write_table(
        pd.DataFrame({"effect": ["PET", "NA"], "estimate": ["−0.050", "NA"]}), small, "adjusted_x_to_y"
    )
    return book_context(run, three, make_parameters({}))


def test_effects_are_those_of_the_pool(context, pooled):
    row = pooled["lagged"].row("x_to_y", "x_within")
    assert context["effect"]("lagged", "x_to_y", "x_within") == effect(row, 0.95)


def test_a_number_nobody_computed_stops_the_build(context):
    with pytest.raises(KeyError, match="no coefficient x_within:z"):
        context["effect"]("lagged", "x_to_y", "x_within:z")


def test_words_are_those_of_the_fit(context, pooled):
    fit = pooled["lagged"].fits["main", "x_to_y", "x_within"]
    assert context["words"]("lagged", "x_to_y", "x_within") == heterogeneity_words(fit)
    with pytest.raises(KeyError, match="no coefficient z"):
        context["words"]("lagged", "x_to_y", "z")


def test_counts_come_from_the_flow(context, drawn, panels):
    assert context["n_patients"] == "150"
    assert context["n_included"] == str(sum(p.sessions["patient"].nunique() for p in panels.values()))
    assert (context["n_studies"], context["n_countries"]) == (3, drawn.registry["country"].nunique())


def test_figures_carry_their_text(context):
    markup = context["figure"]("lagged", "forest_x_to_y")
    assert "/output/stage2_lagged/forest_x_to_y.svg" in markup
    assert ':alt: "Forest plot of 3 studies"' in markup


def test_sentences_and_tables_come_from_their_notebooks(context):
    assert context["sentence"]("influence", "y_to_x", "casewise") == "None of 3."
    with pytest.raises(KeyError):
        context["sentence"]("influence", "y_to_x", "unheard of")
    table = context["table"]("small_study", "adjusted_x_to_y")
    assert "<td>−0.050</td>" in table and "<td>NA</td>" in table
    assert context["table"]("small_study", "adjusted_y_to_x") == ""


def test_a_figure_that_could_not_be_drawn_is_left_out(context):
    assert context["figure"]("influence", "panel_x_to_y") == ""
    with pytest.raises(FileNotFoundError):
        context["figure"]("influence", "panel_y_to_x")


def test_variants_are_listed_in_order(context):
    assert context["variants"]("x_to_y")[0] == "as chosen"


#: Numbers that belong to the text: of the article that asked the question, of the method's name, of software.
IN_THE_TEXT = {"17", "9", "5,350", "0", "1", "2", "4", "3", "88"}


@pytest.mark.parametrize(
    "page", sorted(BOOK.glob("results_*.md")) + [BOOK / "discussion.md", BOOK / "index.md"]
)
def test_no_result_is_typed_into_the_prose(page):
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\$.*?\$|`[^`]*`", "", text, flags=re.DOTALL)
    numbers = set(re.findall(r"\d[\d.,]*\d|\d", text))
    assert numbers <= IN_THE_TEXT, numbers - IN_THE_TEXT


def test_generating_values_stand_beside_the_estimates(context, three, pooled):
    table = context["truth"]()
    means = three.truth.query("study == 'mean' and term == 'x_within' and direction == 'x_to_y'")
    value, found = float(means["value"].iloc[0]), effect(pooled["lagged"].row("x_to_y", "x_within"), 0.95)
    assert f">{number(value, 3)}</td>" in table and interval(found.low, found.high, 3) in table
    held = [r for r in re.findall(r"<tr>(.*?)</tr>", table, re.S) if f">{number(value, 3)}<" in r]
    assert (">yes<" if found.low <= value <= found.high else ">no<") in held[0]


def test_the_effect_without_each_study_is_a_table(context, three):
    folder = context["captions"].output / HOME["sensitivity"]
    numbers = {"estimate": -0.11, "ci_low": -0.2, "ci_high": -0.02, "tau2": 0.01, "i2": 40.0}
    write_table(pd.DataFrame([{"label": "Study <1>"} | numbers]), str(folder), "leave_one_out_x_to_y")
    table = context["without"]("x_to_y")
    cells = ["Study &lt;1&gt;", "−0.110", "[−0.200, −0.020]", "0.100", "40"]
    assert re.findall(r"<td[^>]*>(.*)</td>", table) == cells
    assert ":name: tab-sensitivity-leave_one_out_x_to_y" in table
    assert context["without"]("y_to_x") == ""
