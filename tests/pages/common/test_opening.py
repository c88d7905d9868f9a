"""The first cells of every pooled notebook open its page: nothing they import is taken for a parameter."""

import json
from pathlib import Path

import pytest

from twostage.notebooks import STAGE2

PROJECT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("notebook", [notebook.name for notebook in STAGE2])
def test_a_page_opens(notebook):
    content = json.loads((PROJECT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
    first = next(i for i, cell in enumerate(cells) if "open_page(" in cell)
    names: dict = {"__name__": "__main__"}
    for cell in cells[: first + 1]:
        exec(cell, names)
        names |= {"collection": str(PROJECT / "data")} if "collection" in names else {}
    assert names["page"].parameters
