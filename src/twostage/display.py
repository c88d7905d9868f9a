"""Numbers and tables as people read them; knows nothing of what they mean."""

import math
import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import pandas as pd
from IPython.display import HTML, Markdown

from twostage.beside import table_beside
from twostage.text import Markup, markup, paragraphs, to_csv
from twostage.words import say

MISSING = "–"

#: Under which an output's metadata have what is meant for the book.
OUTPUT = "twostage"


#: Significant digits that two ways of computing a number agree in: what differs farther behind is the same number, and
#: is rounded the same way on every page.
_SAME_DIGITS = 12


#: Digits of the largest double before the point, and of what is shown after it.
_EVERY_DIGIT = Context(prec=400)


def fixed(value: float, digits: int) -> str:
    """A finite number with so many decimals, a half rounded away from zero, as decimals are rounded by hand."""
    same = Decimal(f"{value:.{_SAME_DIGITS}g}")
    return f"{same.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, _EVERY_DIGIT):f}"


def number(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign; a dash where there is none; never ``-0.00``."""
    if value is None or not math.isfinite(value):
        return "∞" if value is not None and value == math.inf else MISSING
    text = fixed(value, digits)
    if float(text) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def interval(low: float, high: float, digits: int = 2) -> str:
    """``[−0.08, −0.02]``; a dash where there is none.

    An interval that excludes zero is never shown as one that touches it: it gets as many digits as that takes.
    """
    if all(end is None or math.isnan(end) for end in (low, high)):
        return MISSING
    digits = _digits(low, high, digits)
    return f"[{number(low, digits)}, {number(high, digits)}]"


def number_in(value: float | None, low: float, high: float, digits: int = 2) -> str:
    """A number with as many digits as :func:`interval` gives its interval: what lies within it is shown within it.

    Examples
    --------
    >>> number_in(-0.00045, -0.0007, -0.0002, 3), interval(-0.0007, -0.0002, 3)
    ('−0.0005', '[−0.0007, −0.0002]')
    """
    return number(value, _digits(low, high, digits))


def with_interval(value: float | None, low: float, high: float, digits: int = 2) -> str:
    """``−0.05 [−0.08, −0.02]``: a number and its interval with equally many digits."""
    return f"{number_in(value, low, high, digits)} {interval(low, high, digits)}"


def _digits(low: float, high: float, digits: int) -> int:
    """As many digits, or as many more as it takes to tell the nearer end from zero."""
    if low is not None and high is not None and (low > 0 or high < 0):
        nearest = min(abs(low), abs(high))
        while float(fixed(nearest, digits)) == 0 and digits < 17:
            digits += 1
    return digits


def p_value(value: float | None) -> str:
    """``< .001`` or three decimals, without the leading zero (APA style)."""
    if value is None or not math.isfinite(value):
        return MISSING
    return "< .001" if value < 0.0005 else fixed(value, 3).removeprefix("0")


def percent(value: float, digits: int = 0) -> str:
    """A share of 0 to 1 as a percentage."""
    return f"{number(100 * value, digits)} %" if math.isfinite(value) else MISSING


def percent_of(share: float, n: float, digits: int = 0) -> str:
    """A share that happened in n simulations, with its Monte Carlo standard error: ``12 % ± 1.0 %``.

    Where it happened never or always that error is 0 and says nothing: ``0 % (of 40; at most 7.2 %)`` gives the end of the
    exact 95 % interval, 1 - .05^(1/n), about 3/n.
    """
    if not (math.isfinite(share) and n > 0):
        return MISSING
    if 0 < share < 1:
        return f"{percent(share, digits)} ± {percent(math.sqrt(share * (1 - share) / n), 1)}"
    end = 1 - 0.05 ** (1 / n)
    bound = f"at most {percent(end, 1)}" if share <= 0 else f"at least {percent(1 - end, 1)}"
    return f"{percent(share, digits)} (of {count(n)}; {bound})"


def count(value: float) -> str:
    """``5,350``."""
    return f"{int(value):,}"


def inference(ci: str) -> str:
    """The name of a way of inference."""
    names = {"hartung-knapp": "Hartung-Knapp", "hartung-knapp-adhoc": "ad hoc Hartung-Knapp", "wald": "Wald"}
    return names[ci]


_DECIMALS = {"df": 1, "statistic": 2, "loglik": 1, "i2": 1, "q": 2, "h2": 2, "weight": 1}


#: Columns whose texts are names: a study may be called True.
_NAMES = {"study", "label"}

#: Columns whose texts are sentences of ours.
_OWN = frozenset({"reason", "step", "variant", "meaning", "unit"})

#: Titles of columns whose names are no words.
_TITLES: dict[str, str] = table_beside(__file__)


def _cell(column: str, value: Any) -> str:
    if isinstance(value, bool) or (column not in _NAMES and str(value) in {"True", "False"}):
        return "yes" if str(value) == "True" else "no"
    if column.endswith("p_value"):
        return p_value(value)
    if column == "direction":
        return str(value).replace("_to_", " → ")
    if isinstance(value, int) or hasattr(value, "bit_length"):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float):
        whole = (
            value == value and abs(value) < 1e15 and value == int(value) if math.isfinite(value) else False
        )
        return (
            count(value)
            if whole and column.startswith(("n_", "k"))
            else number(value, _DECIMALS.get(column, 3))
        )
    return MISSING if value is None or value is pd.NA else str(value)


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """A table with every cell as text, rounded by what its column holds."""
    return pd.DataFrame({c: [_cell(c, v) for v in table[c].tolist()] for c in table.columns})


def title(column: str) -> str:
    """The name of a column, or of a quantity, in words: one of ours is said in the words of the collection."""
    return say(_TITLES[column]) if column in _TITLES else column.replace("_", " ")


def html_table(table: pd.DataFrame, spaced: bool = True) -> Markup:
    """A table as HTML: no index column, text escaped, numbers rounded by :func:`readable` and below each other's point.

    Titles of columns are shown in words, or with blanks instead of underscores, unless `spaced` is false. Cells with a
    study's name say so, for the book makes links of them.
    """
    titles = {str(c): title(str(c)) if spaced else str(c) for c in table.columns}
    cells = readable(table)
    for column in _OWN.intersection(map(str, cells.columns)) if spaced else ():
        cells[column] = cells[column].map(say)
    if spaced and "quantity" in cells:
        cells["quantity"] = cells["quantity"].map(title)
    columns = [_column(str(name), titles[str(name)], texts.tolist()) for name, texts in cells.items()]
    head = "".join(f"      {heading}\n" for heading, _ in columns)
    rows = zip(*(shown for _, shown in columns), strict=True)
    body = "".join(
        f"    <tr>\n{''.join(f'      {cell}{chr(10)}' for cell in row)}    </tr>\n" for row in rows
    )
    return Markup(
        f'<table class="dataframe twostage">\n  <thead>\n    <tr>\n{head}    </tr>\n  </thead>\n'
        f"  <tbody>\n{body}  </tbody>\n</table>"
    )


#: What a number looks like, and an interval; the digits behind its point.
_NUMBER = re.compile(r"[−<]?\s?\d*(?:,\d{3})*(?:\.(?P<decimals>\d+))?(?:\s?%)?|∞|–|")


_INTERVAL = re.compile(r"(?:[−\d.,]+ )?\[[^\]]*\]|–|")


#: Letters of a text that gets room enough for a few words in a line.
_LONG = 24


def _column(name: str, heading: str, texts: list[str]) -> tuple[str, list[str]]:
    """A column's title and its cells, as HTML."""
    numbers = [_NUMBER.fullmatch(text) for text in texts]
    kind, after = "", [0] * len(texts)
    if any(c.isdigit() for text in texts for c in text) and name not in _NAMES:
        if all(numbers):
            kind = "number"
            digits = [len((found and found["decimals"]) or "") for found in numbers]
            after = [max(digits) - d for d in digits]
        elif all(map(_INTERVAL.fullmatch, texts)):
            kind = "number"
    if not kind and name in _NAMES:
        kind = "study"
    elif not kind and max(map(len, texts), default=0) > _LONG:
        kind = "words"
    of = f' class="{kind}"' if kind else ""
    cells = [
        f"<td{of}{f' style={chr(34)}--after:{shift}{chr(34)}' if shift else ''}>{markup(text)}</td>"
        for text, shift in zip(texts, after, strict=True)
    ]
    return f'<th scope="col"{of}>{markup(heading)}</th>', cells


def shown_as(**about: str) -> dict[str, dict[str, str]]:
    """What the output of a notebook's cell says of itself to the book: metadata that Jupyter keeps and does not show."""
    return {OUTPUT: {name: text for name, text in about.items() if text}}


def show(table: pd.DataFrame, caption: str = "") -> HTML:
    """A table for the last line of a notebook cell.

    Parameters
    ----------
    table : pandas.DataFrame
    caption : str
        What the book writes above it; else the heading of the part of the page.
    """
    cells = readable(table).rename(columns=lambda column: title(str(column)))
    return HTML(html_table(table), metadata=shown_as(caption=caption, csv=to_csv(cells)))


def show_text(text: str) -> Markdown:
    """A sentence for the last line of a notebook cell; text, unless it is :class:`~twostage.text.escape.Markup`."""
    return Markdown(paragraphs(text))


def rows_of(table: pd.DataFrame) -> Iterable[Any]:
    """The rows of a table, a column's value as an attribute; of any type, as a table's cells are."""
    return table.itertuples()


def row_of(table: pd.DataFrame, name: str) -> Any:
    """The row of that name; its cells are of any type, as a table's are."""
    return table.loc[name]
