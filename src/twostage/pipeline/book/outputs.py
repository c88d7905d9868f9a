"""The figures and tables that an executed notebook shows, with captions and numbers where it is a pooled one."""

import re
from pathlib import Path

from nbformat import NotebookNode

from twostage.display import OUTPUT
from twostage.files import write_text
from twostage.pages.common.svg import in_both_lights
from twostage.pipeline.book.captions import Captions
from twostage.text import myst

SVG, HTML, MARKDOWN = "image/svg+xml", "text/html", "text/markdown"


#: A heading of a part of a page, and a line that says of which direction is what follows.
_HEADING, _DIRECTION = re.compile(r"^##+ (.*)$", re.M), re.compile(r"^\*\*(.*)\*\*$")


def number_outputs(notebook: NotebookNode, name: str, folder: Path, captions: Captions | None) -> None:
    """Make the figures of a notebook those for light and dark pages; with captions, number figures and tables.

    Parameters
    ----------
    notebook : NotebookNode
        Changed in place.
    name : str
        The notebook's.
    folder : Path
        Receives what the page offers for download.
    captions : Captions or None
    """
    part, numbered = "", 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            part = next(reversed(_HEADING.findall(cell.source)), part)
            continue
        direction = ""
        for output in cell.get("outputs", []):
            data, about = output.get("data", {}), output.get("metadata", {})
            if SVG in data:
                data[SVG] = in_both_lights(data[SVG])
            if captions is None:
                continue
            said = _DIRECTION.match(data.get(MARKDOWN, ""))
            direction = said[1] if said else direction
            figure = about.get(OUTPUT, {}).get("figure")
            table = about.get(HTML, {}).get(OUTPUT)
            if figure and SVG in data:
                output.data = {MARKDOWN: captions.live_figure(name, figure)}
            elif table and table["csv"].count("\n") > 1:
                numbered += 1
                words = myst(table.get("caption", "")) or ": ".join(filter(None, (part, direction)))
                file = folder / f"{name}-table-{numbered}.csv"
                write_text(file, f"\ufeff{table['csv']}")
                shown = captions.shown(data[HTML], name, str(numbered), words, file.name)
                output.data = {MARKDOWN: shown}
