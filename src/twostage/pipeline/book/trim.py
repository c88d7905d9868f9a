"""What a built book does not need: maps of scripts, fonts that nothing shows, icons of which it has none."""

import re
from pathlib import Path

from twostage.files import write_text

#: The theme's script with its icons, each as ``"name":[width,height,[other names],"code","path"]``.
ICONS = "scripts/fontawesome.js"


_ICON = re.compile(
    r'(?P<name>"[a-z0-9-]+"|[a-z][a-z0-9]*):\[\d+,\d+,\[[^\]]*\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?'
)


#: An icon where a page or a script asks for it.
_ASKED = re.compile(r"\bfa-([a-z0-9-]+)")


#: Fonts of browsers of ten years ago, and of the marks of companies.
_FONTS = ("*.ttf", "fa-brands-*")


def trim(html: Path) -> None:
    """Take out of a built book what no page of it shows.

    Parameters
    ----------
    html : Path
        The book's folder.
    """
    static = html / "_static"
    fonts = {path for pattern in _FONTS for path in (static / "vendor").rglob(pattern)}
    # Maps of the theme's scripts and styles are for those who change the theme.
    for path in [*static.rglob("*.map"), *fonts]:
        path.unlink()
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
