"""Follows every link and reads every command of a built book.

    python tests/pipeline/book_links.py runs/default/html

prints what it saw and every fault: a file that is not there, something loaded from elsewhere, a command that the
command line does not understand, a button that opens what is not in the repository.
"""

import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from typer.main import get_command

from twostage.cli.app import app
from twostage.notebooks import NOTEBOOKS

#: Attributes by which a page loads something when it is read.
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("embed", "src")}
LINK_RELATIONS = {"stylesheet", "preload", "icon", "modulepreload", "prefetch"}

#: Options of papermill that are followed by a name and a value.
PAPERMILL = {"-p": 2, "-r": 2, "--parameters": 2, "--parameters_raw": 2}


class Page(HTMLParser):
    """What a page links to, loads, and shows as code."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.code: list[str] = []
        self._depth = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        for name, value in attrs:
            if (tag, name) in LOADED and value:
                self.loaded.append(value)
        if tag == "link" and LINK_RELATIONS & set((values.get("rel") or "").split()):
            self.loaded.append(values.get("href") or "")
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag in ("pre", "code"):
            self._depth += 1
            if self._depth == 1:
                self.code.append("")

    def handle_endtag(self, tag):
        if tag in ("pre", "code"):
            self._depth -= 1

    def handle_data(self, data):
        if self._depth:
            self.code[-1] += data


def local_fault(page: Path, link: str, html: Path) -> str | None:
    """What is wrong with a link to a file of the book."""
    target = (page.parent / unquote(urlsplit(link).path)).resolve()
    if not target.is_relative_to(html.resolve()):
        return f"leads out of the book: {link}"
    return None if target.is_file() or (target / "index.html").is_file() else f"nothing there: {link}"


def button_fault(link: str, project: Path) -> str | None:
    """What is wrong with a link that opens a notebook on Binder or Colab."""
    parts = urlsplit(link)
    opened = parse_qs(parts.query).get("urlpath", [""])[0].removeprefix("lab/tree/") if parts.query else ""
    path = opened or "notebooks/" + unquote(parts.path).rpartition("/notebooks/")[2]
    return (
        None if path.endswith(".ipynb") and (project / path).is_file() else f"not in the repository: {link}"
    )


def command_fault(command: str, project: Path) -> str | None:
    """What the command line says to a command, without running it."""
    try:
        words = shlex.split(command, comments=True)
    except ValueError as error:
        return f"{command}: {error}"
    if words[:1] == ["papermill"]:
        return _papermill_fault(command, words, project)
    group = get_command(app)
    if len(words) < 2 or words[1].startswith("-"):
        return None
    if words[1] not in group.commands:
        return f"no such command: {command}"
    # A sentence may only name a command.
    if len(words) == 2 or "--help" in words or "..." in words or any("[" in word for word in words):
        return None
    try:
        group.commands[words[1]].make_context(words[1], words[2:])
    except Exception as error:
        # The command line's own errors, by what only they have: their class is another from version to version.
        if not hasattr(error, "format_message"):
            raise
        return f"{command}: {error.format_message()}"
    return None


def _papermill_fault(command: str, words: list[str], project: Path) -> str | None:
    template = next((w for w in words[1:] if w.endswith(".ipynb")), None)
    if template is None or not (project / template).is_file():
        return f"no such notebook: {command}"
    known = NOTEBOOKS[Path(template).stem].takes
    given = [words[i + 1] for i, word in enumerate(words) if word in PAPERMILL]
    wrong = [name for name in given if name not in known]
    return f"no such parameter {wrong}: {command}" if wrong else None


def commands(page: Page) -> list[str]:
    """Lines of the page's code that are commands of the command line or of papermill."""
    lines = [line.strip().removeprefix("$ ") for code in page.code for line in code.splitlines()]
    return [line for line in lines if re.match(r"(twostage|papermill) ", line)]


Found = tuple[str, str | None]


def followed(path: Path, html: Path, project: Path) -> Iterator[Found]:
    """Kind and fault of everything on one page."""
    page = Page(path.read_text(encoding="utf-8"))
    for link in page.loaded:
        if not link.startswith("data:"):
            remote = urlsplit(link).scheme or link.startswith("//")
            yield "loaded file", f"from elsewhere: {link}" if remote else local_fault(path, link, html)
    for link in page.links:
        if "mybinder.org/v2" in link or "colab.research.google.com/github" in link:
            yield "button", button_fault(link, project)
        elif not urlsplit(link).scheme and not link.startswith("#"):
            yield "download" if "_downloads" in link else "link", local_fault(path, link, html)
    for command in commands(page):
        yield "command", command_fault(command, project)


def follow(html: Path, project: Path) -> tuple[Counter, list[str]]:
    """Follow everything in a book; returns what was seen by kind, and the faults."""
    found: list[tuple[Path, Found]] = []
    for path in sorted(html.rglob("*.html")):
        if "_static" not in path.relative_to(html).parts:
            found += [(path, f) for f in followed(path, html, project)]
    for path in sorted(html.rglob("*.css")):
        remote = re.search(r"(?:url\(|@import\s+)[\"']?(https?:)?//", path.read_text(encoding="utf-8"))
        found.append((path, ("style sheet", "loads from elsewhere" if remote else None)))
    seen = Counter(kind for _, (kind, _) in found)
    return seen, [f"{path.relative_to(html)}: {fault}" for path, (_, fault) in found if fault]


def main() -> int:
    """Run from the command line."""
    html = Path(sys.argv[1])
    seen, faults = follow(html, Path.cwd())
    print(", ".join(f"{n} {kind}s" for kind, n in sorted(seen.items())))
    print(*faults, f"{len(faults)} faults", sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
