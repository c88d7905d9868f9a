"""How many studies have which risk of bias, domain by domain."""

import pandas as pd

from twostage.collection import JUDGEMENTS
from twostage.pages.reporting.drawing import Drawing
from twostage.pages.reporting.tables import SIGNS
from twostage.text import Markup

#: Width of the bars; heights of a bar and of a line of text, in the units of the drawing.
WIDTH, BAR, LINE = 500, 18, 20


def bias_plot(shares: pd.DataFrame) -> Markup:
    """A bar for each domain, one part for each judgement.

    Parameters
    ----------
    shares : pandas.DataFrame
        As of :func:`twostage.pages.reporting.tables.bias_shares`: domain, and the number of studies with each judgement.
    """
    drawing, y = Drawing("bias-plot", "How many studies have which risk of bias in each domain", WIDTH), 0.0
    for row in shares.to_dict("records"):
        drawing.add("text", str(row["domain"]), x=0, y=y + 15)
        y += LINE
        total, x = sum(row[word] for word in JUDGEMENTS), 0.0
        for word in JUDGEMENTS:
            width = WIDTH * row[word] / total
            if width:
                drawing.add("rect", x=x, y=y, width=width, height=BAR, class_=word.replace(" ", "-"))
                drawing.add("text", f"{SIGNS[word]} {row[word]}", x=x + 4, y=y + 14)
            x += width
        y += BAR + 8
    legend = ", ".join(f"{SIGNS[word]} {word}" for word in JUDGEMENTS)
    drawing.add("text", f"Number of studies: {legend}", x=0, y=y + 15)
    return drawing.markup(y + LINE)
