"""The foot of each page, put in when all pages are built: it names the data, and changes with every change of them."""

import re
from pathlib import Path

from twostage.files import write_text

#: What stands in a page where its foot is to be.
PLACE = "<!--twostage-footer-->"


#: File of the book's source with the foot, as HTML.
FILE = "footer.html"


#: The page that a foot leads to, and what stands for its address.
CITE_PAGE, CITE_ADDRESS = "how_to_cite", "TWOSTAGE-HOW-TO-CITE"


#: What stands before the path of a file beside the pages, and for the page on such files.
BESIDE_ADDRESS, SOFTWARE_PAGE, SOFTWARE_ADDRESS = "TWOSTAGE-BESIDE/", "for_software", "TWOSTAGE-FOR-SOFTWARE"


def place_footers(html: Path, footer: str) -> None:
    """Put the foot into the pages of a built book that have a place for it.

    Parameters
    ----------
    html : Path
        The book's folder.
    footer : str
        As HTML.
    """
    for page in html.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if PLACE in text:
            up = "../" * (len(page.relative_to(html).parts) - 1)
            write_text(page, text.replace(PLACE, addressed(footer, up)))


def addressed(footer: str, up: str) -> str:
    """The foot with addresses as a page has them from which `up` leads to the first."""
    parts = {CITE_ADDRESS: f"{up}{CITE_PAGE}.html", SOFTWARE_ADDRESS: f"{up}{SOFTWARE_PAGE}.html"}
    for word, address in parts.items():
        footer = footer.replace(word, address)
    return re.sub(rf"{BESIDE_ADDRESS}([\w./-]+)", rf"{up}\g<1>", footer)
