"""A result or the reason: what the data cannot answer is said, mistakes are not hidden."""

import json

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from twostage.pages.common.leave import draw, save_sentences, show_result
from twostage.stats.base.attempt import Attempt, attempt
from twostage.stats.base.checks import NotEstimable
from twostage.stats.influence.casewise import influence
from twostage.stats.pool.pool import pool


def test_what_the_data_do_not_answer_becomes_a_reason():
    one = attempt(influence, pool([0.1], [0.1]))
    assert not one and one.result is None
    assert one.words == "Not computed: influence needs at least 2 studies, got 1."
    two = attempt(influence, pool([0.1, 0.4], [0.1, 0.1]))
    assert two and two.words == "" and two.result.fit.k == 2


def test_a_reason_is_handed_on():
    none = Attempt(None, "no study has this effect")
    assert attempt(influence, none) is none
    assert attempt(lambda x: x + 1, Attempt(1)).result == 2


def test_mistakes_stay_errors():
    with pytest.raises(ValueError, match="method must be one of") as caught:
        attempt(pool, [0.1], [0.1], method="REMX")
    assert not isinstance(caught.value, NotEstimable)
    with pytest.raises(TypeError):
        attempt(influence, 3.0)


def test_tables_and_figures_or_nothing(tmp_path):
    plt.close("all")  # what other tests left open
    good, bad = Attempt(pd.DataFrame({"a": [1.5]})), Attempt(None, "too few")
    assert "1.500" in show_result(good, lambda rows: rows, str(tmp_path), "rows").data
    assert pd.read_csv(tmp_path / "rows.csv")["a"].tolist() == [1.5]
    assert (
        show_result(bad, lambda rows: rows, str(tmp_path), "none") is None
        and not (tmp_path / "none.csv").exists()
    )

    def picture(rows, title):
        ax = plt.subplots()[1]
        ax.set_title(title)
        return ax

    draw(picture, good, str(tmp_path), "fig", "A picture.", title="t")
    assert (tmp_path / "fig.svg").is_file() and plt.gca().get_title() == "t"
    draw(picture, bad, str(tmp_path), "fig2", "A picture.", title="t")
    assert json.loads((tmp_path / "fig2.json").read_text()) == {"reason": "Not computed: too few."}
    assert not (tmp_path / "fig2.svg").exists()
    draw(picture, bad, "", "fig3", "A picture.")
    names = {path.name for path in tmp_path.iterdir()}
    assert len(plt.get_fignums()) == 1 and names == {
        "rows.csv",
        "fig.svg",
        "fig.png",
        "fig.json",
        "fig2.json",
    }
    plt.close("all")


def test_sentences_are_left(tmp_path):
    save_sentences({"x_to_y": {"a": "One."}, "y_to_x": {"a": "Two."}}, str(tmp_path))
    assert pd.read_csv(tmp_path / "sentences.csv").to_dict("list") == {
        "direction": ["x_to_y", "y_to_x"],
        "name": ["a", "a"],
        "text": ["One.", "Two."],
    }
