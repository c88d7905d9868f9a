"""A small project whose notebooks do as little as possible, so that the tests are about the pipeline."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from twostage.params import NOTEBOOKS, RECORDS, parameter_cell

STAGE1 = """\
import json, time
from pathlib import Path
scores = (Path(collection) / "sessions" / f"{study}.csv").read_text()
time.sleep(PAUSE)
folder = Path(record_folder)
folder.mkdir(parents=True, exist_ok=True)
for analysis in ANALYSES:
    (folder / f"{analysis}.json").write_text(json.dumps({"study": study, "size": len(scores)}))
print(study, len(scores))"""

STAGE2 = """\
import json
from pathlib import Path
folder = Path(output_folder)
folder.mkdir(parents=True, exist_ok=True)
found = sorted(path.parent.name for path in Path(records).glob("*/data.json"))
(folder / "studies.json").write_text(json.dumps(found))
print(found)"""


def write_notebook(folder: Path, name: str, pause: float = 0.0) -> None:
    """Write a stand-in for one notebook, with the real one's parameters."""
    title = f"# {name}"
    code = STAGE1 if name in RECORDS else STAGE2
    code = code.replace("PAUSE", str(pause)).replace("ANALYSES", repr(RECORDS.get(name)))
    cells = [
        new_markdown_cell(title, id="title"),
        new_code_cell(parameter_cell(name), id="parameters", metadata={"tags": ["parameters"]}),
        new_code_cell(code, id="code"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a stand-in for each notebook."""
    for name in NOTEBOOKS:
        write_notebook(tmp_path / "project" / "notebooks", name)
    return tmp_path / "project"
