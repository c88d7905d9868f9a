"""Figures as SVG: letters are letters, and every mark can be seen on a light and on a dark page."""

import re

import matplotlib.pyplot as plt
import pytest

from twostage.pages.common.forest import forest
from twostage.pages.common.leave import save_figure
from twostage.pages.common.style import GREY, INK, LOOK, use_style
from twostage.pages.common.svg import GROUND, as_svg, contrast, dark, in_both_lights, readable_width
from twostage.terms import ESTIMATORS

COLOURS = {INK, GREY, *(look[0] for look in LOOK.values()), *(e.colour for e in ESTIMATORS.values())}


@pytest.mark.parametrize("colour", sorted(COLOURS))
def test_marks_stand_out_in_light_and_dark(colour):
    # WCAG 2.1, 1.4.11: graphical objects have a contrast of 3 to 1.
    assert contrast(colour, "#ffffff") >= 3.0
    assert contrast(dark(colour.lower()), GROUND) >= 3.0


def test_letters_are_letters_and_colours_have_rules(pooled, three, tmp_path):
    use_style()
    ax = forest(pooled["lagged"], "x_to_y", "x_within", three)
    save_figure(ax, str(tmp_path), "forest", "A forest")
    svg = (tmp_path / "forest.svg").read_text(encoding="utf-8")
    assert three.studies["label"].iloc[0] in re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert "sans-serif" in svg and "<dc:date>" not in svg
    colours = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg.split("</style>")[-1]))
    assert colours and all(dark(colour) in svg for colour in colours)
    assert (tmp_path / "forest.png").read_bytes().startswith(b"\x89PNG")
    # Drawn once, however often it is asked for, and ruled once.
    figure = ax.get_figure(root=True)
    assert as_svg(figure) is as_svg(figure)
    assert in_both_lights(svg) == svg
    plt.close(figure)


def test_on_a_phone_letters_have_nine_pixels():
    use_style()
    figure, ax = plt.subplots(figsize=(5, 3))
    ax.set_title("small", fontsize=6)
    svg = as_svg(figure)
    plt.close(figure)
    across = float(re.search(r'<svg [^>]*?width="([\d.]+)pt"', svg)[1])
    # At that many pixels across, six points of the picture are nine pixels.
    assert readable_width(svg) * 6.0 / across == pytest.approx(9.0, abs=0.02)
    assert readable_width("<svg></svg>") == 0
