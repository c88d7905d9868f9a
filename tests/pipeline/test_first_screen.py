"""The first screen says what was found, in which direction, how large, and how far to trust it."""

from dataclasses import replace

import pytest
from hostile import TEXTS

from twostage.notebooks import HOME
from twostage.pages.common.leave import write_pooled
from twostage.pages.common.tables import NO_EFFECT, effect
from twostage.params import make_parameters
from twostage.pipeline.book.first_screen import answer, first_figure, scale_points
from twostage.pipeline.book.forest import forest_data
from twostage.records.record import make_record, write_record
from twostage.stage1.describe import describe


@pytest.fixture(scope="module")
def found(pooled):
    return effect(pooled["lagged"].row("x_to_y", "x_within"), 0.95)


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (-0.07, -0.03, "severity was lower at the next session, an improvement: −0.05 SD for each"),
        (0.03, 0.07, "severity was higher at the next session, a worsening: "),
        (-0.07, 0.01, "severity may have been higher or lower at the next session: "),
    ],
)
def test_the_direction_is_in_words(found, three, low, high, says):
    value = (low + high) / 2
    made = replace(found, value=value, low=low, high=high, estimate=f"{value:.2f}".replace("-", "−"))
    text = answer(made, "x_to_y", three, 1, "SD")
    assert text.startswith("After a session with higher alliance than is usual for the patient")
    assert says in text and made.ci in text


def test_of_nothing_nothing_is_said(three):
    assert "no study gives an estimate" in answer(NO_EFFECT, "y_to_x", three, 2, "SD")
    assert "2 sessions later" in answer(NO_EFFECT, "y_to_x", three, 2, "SD")


def test_points_of_the_scale_are_the_effect_times_what_scores_were_divided_by(found, three, panels, tmp_path):
    parameters = make_parameters({})
    assert scale_points(found, "x_to_y", three, parameters, tmp_path / "none") == ""
    assert scale_points(found, "x_to_y", three, make_parameters({"standardize": "none"}), tmp_path) == ""
    for study, panel in panels.items():
        write_record(make_record(panel, describe(panel)), tmp_path / study)
    points = [abs(found.value) * panel.scale["y"] for panel in panels.values()]
    ranges = three.studies["y_max"] - three.studies["y_min"]
    shares = [100 * point / width for point, width in zip(points, ranges, strict=True)]
    text = scale_points(found, "x_to_y", three, parameters, tmp_path)
    assert text == (
        f"In points of the scales of 3 studies: {min(points):.2f} to {max(points):.2f}, or "
        f"{min(shares):.1f} to {max(shares):.1f} % of a scale's range."
    )


def test_the_figure_has_every_study_and_texts_as_text(pooled, three, tmp_path):
    for analysis, table in pooled.items():
        write_pooled(table, str(tmp_path / HOME[analysis]))
    hostile = next(text for text in TEXTS if "onerror" in text)
    collection = replace(three, x=replace(three.x, label=hostile))
    data = forest_data(tmp_path, collection, 1, "SD")
    both = {
        d: effect(pooled["lagged"].row(d, t), 0.95)
        for d, t in (("x_to_y", "x_within"), ("y_to_x", "y_within"))
    }
    html = first_figure(data, both)
    assert html.count("ff-study") == 6 and html.count("ff-pooled") == 2
    assert "<img" not in html and "&lt;img" in html
    assert "\n" not in html
    assert first_figure(data, dict.fromkeys(both, NO_EFFECT)) == ""
