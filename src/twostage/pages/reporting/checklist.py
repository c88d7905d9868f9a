"""The checklist of PRISMA-IPD: where the book answers each item, and what the authors stated.

Stewart et al. (2015), doi:10.1001/jama.2015.3656: 27 items of PRISMA and four of individual participant data.
"""

from collections.abc import Container
from dataclasses import dataclass

from twostage.beside import table_beside
from twostage.collection import Review

NOT_STATED = "not stated"


SIMULATED = "not applicable: simulated"


#: What a review states of itself, by its key in ``collection.yml``.
STATEMENTS: dict[str, str] = table_beside(__file__)["statements"]


@dataclass(frozen=True)
class Item:
    """One item of the checklist.

    Attributes
    ----------
    number, topic : str
    pages : tuple of str
        Files of the manuscript that answer it, where the book has them.
    statements : tuple of str
        Keys of what the authors have to state for it.
    """

    number: str
    topic: str
    pages: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()


ITEMS = tuple(
    Item(i["number"], i["topic"], tuple(i.get("pages", ())), tuple(i.get("statements", ())))
    for i in table_beside(__file__)["items"]
)


def stated(review: Review, key: str, synthetic: bool) -> str:
    """What a review says of one thing, or that it says nothing; simulated data had no search."""
    return getattr(review, key) or (SIMULATED if synthetic else NOT_STATED)


def answers(
    review: Review, synthetic: bool, pages: Container[str]
) -> list[tuple[Item, list[str], list[str]]]:
    """Each item with the pages that the book has for it, and what is not stated there.

    Parameters
    ----------
    review : Review
    synthetic : bool
    pages : container of str
        All pages that the book has.

    Returns
    -------
    list of (Item, list of str, list of str)
        Item, its pages, and for each statement that it asks for and the authors did not make, which and why not. Where a
        statement is made, it stands on the page ``reporting``.
    """
    found = []
    for item in ITEMS:
        made = [key for key in item.statements if getattr(review, key)]
        there = [page for page in (*item.pages, *["reporting"] * bool(made)) if page in pages]
        missing = [
            f"{STATEMENTS[key].lower()}: {stated(review, key, synthetic)}"
            for key in item.statements
            if key not in made
        ]
        found.append((item, list(dict.fromkeys(there)), missing))
    return found
