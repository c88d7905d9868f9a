"""The checklist of PRISMA-IPD: where the book answers each item, and what the authors stated.

Stewart et al. (2015), doi:10.1001/jama.2015.3656: 27 items of PRISMA and four of individual participant data.
"""

from collections.abc import Container
from dataclasses import dataclass

from twostage.collection import Review

NOT_STATED = "not stated"


SIMULATED = "not applicable: simulated"


#: What a review states of itself, by its key in ``collection.yml``.
STATEMENTS = {
    "protocol": "Protocol",
    "registration": "Registration",
    "eligibility": "Eligibility criteria",
    "sources": "Information sources",
    "search": "Search",
    "selection": "Study selection",
    "obtaining": "How individual participant data were sought and obtained",
    "not_obtained": "Studies whose data were not obtained",
    "checks": "Checks of the data, beyond those of this software",
    "risk_of_bias": "Tool for risk of bias within studies",
    "funding": "Funding",
    "conflicts": "Conflicts of interest",
}


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


ITEMS = (
    Item("1", "Title", ("index",)),
    Item("2", "Structured summary", ("index",)),
    Item("3", "Rationale", ("introduction",)),
    Item("4", "Objectives", ("index", "introduction")),
    Item("5", "Protocol and registration", (), ("protocol", "registration")),
    Item("6", "Eligibility criteria", (), ("eligibility",)),
    Item("7", "Identifying studies: information sources", (), ("sources",)),
    Item("8", "Identifying studies: search", (), ("search",)),
    Item("9", "Study selection processes", (), ("selection",)),
    Item("10", "Data collection processes", (), ("obtaining",)),
    Item("11", "Data items", ("studies", "methods")),
    Item("A1", "IPD integrity: how data were checked", ("integrity",), ("checks",)),
    Item("12", "Risk of bias assessment in individual studies", (), ("risk_of_bias",)),
    Item("13", "Specification of outcomes and effect measures", ("methods",)),
    Item("14", "Synthesis methods", ("methods",)),
    Item("A2", "Exploration of variation in effects", ("methods", "results_moderators")),
    Item("15", "Risk of bias across studies", ("methods",), ("not_obtained",)),
    Item("16", "Additional analyses", ("methods", "results_sensitivity")),
    Item("17", "Study selection and IPD obtained", ("reporting", "studies")),
    Item("18", "Study characteristics", ("studies",)),
    Item("A3", "IPD integrity: what the checks found", ("integrity",)),
    Item("19", "Risk of bias within studies", ("reporting",), ("risk_of_bias",)),
    Item("20", "Results of individual studies", ("results_lagged",)),
    Item("21", "Results of syntheses", ("results_lagged", "results_crosslevel", "results_outcome")),
    Item("22", "Risk of bias across studies", ("results_small_study",)),
    Item("23", "Additional analyses", ("results_sensitivity", "results_estimators", "results_influence")),
    Item("24", "Summary of evidence", ("discussion",)),
    Item("25", "Strengths and limitations", ("discussion",)),
    Item("26", "Conclusions", ("discussion",)),
    Item("A4", "Implications", ("discussion",)),
    Item("27", "Funding", (), ("funding", "conflicts")),
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
