"""A book is light: icons that no page shows are not in it."""

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from twostage.display import OUTPUT
from twostage.pipeline.book.trim import ICONS, trim

GONE = ',"bars-x":[1,1,[],"e000","M3"]'
SCRIPT = f'c={{"bars":[448,512,["navicon"],"f0c9","M0 96"],bug:[512,512,[],"f188",["M1","M2"]]{GONE}}};go(c)'


def test_icons_that_are_shown_stay_and_what_nothing_shows_goes(tmp_path):
    static = tmp_path / "_static"
    (static / "vendor" / "webfonts").mkdir(parents=True)
    (static / "scripts").mkdir()
    for name in ("fa-solid-900.ttf", "fa-solid-900.woff2", "fa-brands-400.ttf"):
        (static / "vendor" / "webfonts" / name).touch()
    (static / "scripts" / "theme.js.map").touch()
    (static / "scripts" / "theme.js").write_text("open('fa-bug')")
    (static / ICONS).write_text(SCRIPT)
    (tmp_path / "index.html").write_text('<i class="fa-solid fa-bars"></i>')
    trim(tmp_path)
    assert (static / ICONS).read_text() == SCRIPT.replace(GONE, ",")
    left = {path.name for path in static.rglob("*") if path.is_file()}
    assert left == {"fa-solid-900.woff2", "theme.js", "fontawesome.js"}


def test_what_is_offered_has_no_blanks_and_says_the_same(tmp_path):
    """Notebooks stay notebooks, figures figures: only blanks, and copies of tables for the book's pages, are gone."""
    figure = '<svg>\n <path d="M 0 0 \nL 1.5 2 \nz\n" style="fill: #ffffff"/>\n <text>a  b &gt;\n c</text>\n</svg>\n'
    cell = new_code_cell(
        "1\n2", outputs=[new_output("display_data", {"image/svg+xml": figure, "text/html": "<b>1 </b>"})]
    )
    cell.outputs[0].metadata = {"text/html": {OUTPUT: {"csv": "a\n1\n"}}, "kept": 1}
    there, record = tmp_path / "_downloads" / "1a" / "n.ipynb", tmp_path / "_downloads" / "2b" / "r.json"
    for path in (there, record):
        path.parent.mkdir(parents=True)
    nbformat.write(new_notebook(cells=[cell]), there)
    record.write_text('{\n "a": [1, 0.1]\n}\n', encoding="utf-8")
    (tmp_path / "f.svg").write_text(figure, encoding="utf-8")
    trim(tmp_path)
    slim = '<svg><path d="M0 0L1.5 2z" style="fill: #ffffff"/><text>a  b &gt;\n c</text></svg>\n'
    assert (tmp_path / "f.svg").read_text(encoding="utf-8") == slim
    assert record.read_text(encoding="utf-8") == '{"a":[1,0.1]}\n'
    read = nbformat.read(there, 4)
    nbformat.validate(read)
    (output,) = read.cells[0].outputs
    assert output.data == {"image/svg+xml": slim, "text/html": "<b>1 </b>"}
    assert output.metadata == {"text/html": {}, "kept": 1}
