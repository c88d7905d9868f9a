"""Pages with the documentation of the public face and of its results, made from docstrings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twostage import plots
from twostage.beside import table_beside
from twostage.words import say


@dataclass(frozen=True)
class ApiPage:
    """A page on some public names.

    Attributes
    ----------
    file, title, text : str
        Its name below ``api/``, its heading and its first sentence.
    functions : tuple of str
        Names as users call them, ``twostage.`` left out.
    classes : tuple of str
        What those functions take and return: modules and names, ``twostage.`` left out.
    """

    file: str
    title: str
    text: str
    functions: tuple[str, ...]
    classes: tuple[str, ...] = ()


def _page(row: dict[str, Any]) -> ApiPage:
    functions = [f"plots.{name}" for name in plots.__all__] if row["file"] == "plots" else row["functions"]
    return ApiPage(**row | {"functions": tuple(functions), "classes": tuple(row.get("classes", ()))})


PAGES = tuple(map(_page, table_beside(__file__)))


def write_api_pages(folder: Path) -> list[str]:
    """Write a page for each group of public names.

    Parameters
    ----------
    folder : Path
        Folder of the book's source.

    Returns
    -------
    list of str
        The pages, relative to the folder and without suffix.
    """
    (folder / "api").mkdir()
    for page in PAGES:
        sections = [_section(name, f".. autofunction:: twostage.{name}\n") for name in page.functions]
        sections += [
            _section(name, f".. autoclass:: twostage.{name}\n   :members:\n") for name in page.classes
        ]
        text = "\n".join([f"# {page.title}\n\n{page.text}{_names()}\n", *sections])
        (folder / "api" / f"{page.file}.md").write_text(text, encoding="utf-8")
    return [f"api/{page.file}" for page in PAGES]


def _names() -> str:
    """What the package's names mean in a book with words of its own."""
    person, occasion = say("a patient"), say("a session")
    if (person, occasion) == ("a patient", "a session"):
        return ""
    return f" In the package's names and texts `patient` stands for {person}, `session` for {occasion}."


def _section(name: str, directive: str) -> str:
    return f"## {name.rpartition('.')[2]}\n\n```{{eval-rst}}\n{directive}```\n"
