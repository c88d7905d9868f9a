"""What the page says of a multiverse whose rule is known."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from multiverse_support import made_up

from twostage.pages.multiverse import plots, tables
from twostage.pages.multiverse.analysis import examine
from twostage.pages.multiverse.live import live_data


@pytest.fixture(scope="module")
def made(three):
    return made_up(three)


@pytest.fixture(scope="module")
def views(made):
    return examine(made)


@pytest.fixture(scope="module")
def words(made, views):
    return {d: tables.sentences(made, view) for d, view in views.items()}


def test_the_choice_that_moves_the_answer_most_is_named(words, views):
    # The line is removed by a choice, or with an estimator: the estimator is not told from the trend by itself.
    moves = words["x_to_y"]["moves"]
    assert moves.startswith("The choice that moves the answer most is the")
    for d, view in views.items():
        most = view.shares.total.max()
        name = view.shares.names[int(view.shares.total.argmax())]
        start = (
            f"moves the answer most is the {tables.choice_words(name)}: {100 * most:.0f} % of the variance"
        )
        assert start in words[d]["moves"]
    assert "between-study variance" in moves.partition("Less than 0.5 % goes with:")[2]
    shares = views["x_to_y"].by_estimator["centred_occasions"]
    assert shares.balanced
    at = shares.names.index("detrend")
    assert shares.first[at] == pytest.approx(1.0) and shares.total[at] == pytest.approx(1.0)


def test_what_turns_the_conclusion_is_named(words, views):
    text = words["x_to_y"]["flips"]
    assert "In the main analysis the interval lies below zero" in text
    assert "None of them has an interval on the other side of zero" in text
    assert "A single choice is enough (estimator: centred, each patient's own line removed" in text
    assert views["x_to_y"].flips.fewest == 1


def test_shares_are_counted(made, words, views):
    y = views["y_to_x"].table
    negative = 100 * (y["estimate"] < 0).mean()
    assert f"{negative:.1f} % have a negative estimate" in words["y_to_x"]["curve"]
    assert "have a negative estimate" in words["x_to_y"]["curve"] and " all have" in words["x_to_y"]["curve"]
    beyond = 100 * (y["estimate"] < -0.03).mean()
    assert f"smallest effect of interest, lie {beyond:.1f} %" in words["y_to_x"]["curve"]


def test_a_share_is_never_all_or_none_by_rounding(made, views):
    table = tables.overview_table(made, views["x_to_y"])
    assert table.iloc[-1]["specifications"] == f"{len(made):,}"
    assert "> 99.9 %" in tables.priors_table(made, "x_to_y").iloc[0, 1]


def test_chance_is_told_with_its_error(words, views):
    assert "Held against 50 draws" in words["x_to_y"]["joint"]
    assert views["x_to_y"].joint.result.p_value[1] == pytest.approx(1 / 51)


def test_without_draws_the_page_says_so(three):
    views = examine(made_up(three, draws=0))
    assert "nothing was drawn" in views["x_to_y"].joint.words


def test_a_caution_is_bold(made):
    from dataclasses import replace

    assert "Specifications are not replications" in tables.how_made(made)
    assert "These results are out of date" in tables.how_made(replace(made, older_code=True))


def test_pictures_are_drawn(made, views, three):
    name = tables.names_of(three)["x_to_y"]
    ax = plots.curve(made, views["x_to_y"], name)
    below = ax.figure.axes[1]
    values = sum(len(made.about["values"][c]) for c in made.varied)
    assert len(below.get_yticklabels()) == len(below.images) == values
    assert len(plots.shares(views["x_to_y"]).get_yticklabels()) == len(views["x_to_y"].shares.names)


def test_the_live_data_are_the_table(made, views, three):
    data = live_data(made, views, tables.names_of(three), three.note)
    effect = data["effects"][0]
    numbers = np.array(effect["numbers"]).reshape(-1, 3) / 1e4
    np.testing.assert_allclose(numbers[:, 0], views["x_to_y"].table["estimate"], atol=5e-5)
    assert effect["choices"][0] == "a" * len(made.varied)
    assert [len(c["values"]) for c in data["choices"]] == [len(made.about["values"][n]) for n in made.varied]
