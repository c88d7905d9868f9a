"""The picture that stands beside a link to the book where messages show one: title, effects, and what the data are."""

from pathlib import Path

from matplotlib.figure import Figure

from twostage.files import write_bytes
from twostage.pages.common.style import GREY, INK, PLAIN, folded, short, use_style
from twostage.pages.common.svg import as_png
from twostage.pages.common.tables import Effect
from twostage.pipeline.book.scripts import CARD

#: Inches and dots of each, as cards are shown (1200 times 630).
SIZE, DOTS = (12.0, 6.3), 100


def write_card(folder: Path, title: str, effects: dict[str, Effect], note: str) -> None:
    """Draw the card.

    Parameters
    ----------
    folder : Path
        From which pages load.
    title : str
    effects : dict
        Name -> pooled effect; those that no study has are left out.
    note : str
        What the data are.
    """
    use_style()
    figure = Figure(figsize=SIZE, dpi=DOTS)
    figure.text(0.05, 0.93, folded(short(title, 110), 40), size=34, weight="bold", color=INK, va="top")
    there = {words: effect for words, effect in effects.items() if effect.studies}
    ax = figure.add_axes((0.05, 0.2, 0.9, 0.42))
    ax.axvline(0.0, color=GREY)
    for row, (words, effect) in enumerate(there.items()):
        ax.plot([effect.low, effect.high], [-row, -row], color=PLAIN, lw=5, solid_capstyle="butt")
        ax.plot(effect.value, -row, "D", color=PLAIN, ms=15)
        ax.annotate(
            f"{short(words, 48)}   {effect.text}",
            (0, -row + 0.25),
            xycoords=("axes fraction", "data"),
            size=19,
        )
    ax.set_ylim(-len(there) + 0.4, 0.8)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    figure.text(0.05, 0.03, folded(short(note, 190), 100), size=14, color=INK)
    write_bytes(folder / CARD, as_png(figure, tight=False))
