"""What tables and figures are called, by the names under which pages left them."""

from twostage.beside import table_beside
from twostage.terms import DIRECTIONS, arrow

#: What tables and figures are called, by the beginning of their names.
TITLES: dict[str, str] = table_beside(__file__)


def result_title(name: str, x: str, y: str) -> str:
    """What a table or figure is called: ``Forest Plot: alliance → symptoms``.

    Parameters
    ----------
    name : str
        Under which a page left it; the longest beginning of it that is known names it, else its own words.
    x, y : str
        Labels of the variables.

    Examples
    --------
    >>> result_title("forest_x_to_y", "alliance", "symptoms"), result_title("my_table", "x", "y")
    ('Forest Plot: alliance → symptoms', 'My table')
    """
    known = max((start for start in TITLES if name.startswith(start)), key=len, default="")
    ways = [direction for direction in DIRECTIONS if direction in name]
    plain_name = name.replace(ways[0], "") if ways else name
    title = TITLES.get(known, " ".join(plain_name.split("_")).strip().capitalize())
    return f"{title}: {arrow(ways[0], x, y)}" if ways else title
