"""What a built book does not need: maps of scripts, fonts that nothing shows, icons of which it has none, and blanks."""

import json
import re
from pathlib import Path

from twostage.display import OUTPUT
from twostage.files import write_text

#: The theme's script with its icons, each as ``"name":[width,height,[other names],"code","path"]``.
ICONS = "scripts/fontawesome.js"


_ICON = re.compile(
    r'(?P<name>"[a-z0-9-]+"|[a-z][a-z0-9]*):\[\d+,\d+,\[[^\]]*\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?'
)


#: An icon where a page or a script asks for it.
_ASKED = re.compile(r"\bfa-([a-z0-9-]+)")


#: Fonts of browsers of ten years ago, and of the marks of companies; the theme's words in other languages.
_FONTS, _WORDS = ("*.ttf", "fa-brands-*"), ("*.po", "*.mo")


#: A tag; the blanks around a line break in it; those of a line that ends between two tags.
_TAG, _BREAK, _BETWEEN = re.compile(r"<[^>]+>"), re.compile(r"\s*\n\s*"), re.compile(r">\s*\n\s*<")


#: Blanks around the commands of a path.
_PATH, _COMMAND = re.compile(r' d="[^"]*"'), re.compile(r"\s*([A-Za-z])\s*")


_SVG = "image/svg+xml"


def trim(html: Path) -> None:
    """Take out of a built book what no page of it shows.

    Parameters
    ----------
    html : Path
        The book's folder.
    """
    static = html / "_static"
    fonts = {path for pattern in _FONTS for path in (static / "vendor").rglob(pattern)}
    words = {path for pattern in _WORDS for path in (static / "locales").rglob(pattern)}
    # Maps of the theme's scripts and styles are for those who change the theme.
    for path in [*static.rglob("*.map"), *fonts, *words]:
        path.unlink()
    for path in html.rglob("*.svg"):
        write_text(path, without_blanks(path.read_text(encoding="utf-8")))
    for path in (html / "_downloads").rglob("*.ipynb"):
        write_text(path, packed_notebook(path.read_text(encoding="utf-8")))
    for path in (html / "_downloads").rglob("*.json"):
        write_text(path, _compact(json.loads(path.read_text(encoding="utf-8"))))
    icons = static / ICONS
    if icons.is_file():
        others = [path for path in static.rglob("*.js") if path != icons]
        texts = [path.read_text(encoding="utf-8") for path in [*html.rglob("*.html"), *others]]
        asked = {name for text in texts for name in _ASKED.findall(text)}
        write_text(icons, with_icons(icons.read_text(encoding="utf-8"), asked))


def with_icons(script: str, asked: set[str]) -> str:
    """The script of the icons with those only that are asked for.

    Parameters
    ----------
    script : str
    asked : set of str
        Their names, as classes of the page name them after ``fa-``.
    """
    return _ICON.sub(lambda icon: icon[0] if icon["name"].strip('"') in asked else "", script)


def without_blanks(svg: str) -> str:
    """A figure without blanks that nothing shows; letters and numbers are as they were.

    Examples
    --------
    >>> without_blanks('<g>\\n <path d="M 0 1.5 \\nL 2 3"/>\\n <text>a  b</text>\\n</g>')
    '<g><path d="M0 1.5L2 3"/><text>a  b</text></g>'
    """
    tags = _TAG.sub(lambda tag: _BREAK.sub(" ", tag[0]), svg)
    paths = _PATH.sub(lambda path: path[0][:4] + _COMMAND.sub(r"\1", path[0][4:]), tags)
    return _BETWEEN.sub("><", paths)


def packed_notebook(text: str) -> str:
    """An executed notebook without blanks, and without the copies of tables that only the book's pages take."""
    notebook = json.loads(text)
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", [])):
        data, about = output.get("data", {}), output.get("metadata", {})
        if _SVG in data:
            data[_SVG] = without_blanks("".join(data[_SVG]))
        about.get("text/html", {}).pop(OUTPUT, None)
    return _compact(notebook)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
