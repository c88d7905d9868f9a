"""Word, Excel and picture files hold what they were given, as text."""

import io

import docx
import matplotlib.pyplot as plt
import openpyxl
import pandas as pd
import pytest
from docx.enum.section import WD_ORIENT
from PIL import Image

from twostage.export.items import PaperFigure, PaperTable
from twostage.export.pictures import converted
from twostage.export.word import figures_docx, tables_docx, text_docx
from twostage.export.workbook import workbook

HOSTILE = [
    "=1+1",
    "+49",
    "-2",
    "@SUM(A1)",
    '=HYPERLINK("http://x","y")',
    "<b>bold</b>",
    "a\x00b\x1b[2J",
    "\ud800",
]

TABLE = PaperTable(
    "Effects", pd.DataFrame({"Study": HOSTILE, "p": ["< .001"] * len(HOSTILE)}), "The data are synthetic."
)


def test_a_workbook_has_texts_and_no_formula():
    book = openpyxl.load_workbook(io.BytesIO(workbook([TABLE], {}, "")))
    sheet = book["Table 1"]
    assert [sheet.cell(1, 1).value, sheet.cell(2, 1).value] == ["Table 1", "Effects"]
    cells = [sheet.cell(4 + i, 1) for i in range(len(HOSTILE))]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value is not None} == {"s"}
    assert [cell.value for cell in cells[:6]] == HOSTILE[:6]
    assert cells[6].value == "a\ufffdb\ufffd[2J"
    assert all(cell.quotePrefix for cell in cells[:5])
    assert sheet.cell(4 + len(HOSTILE), 1).value == "Note. The data are synthetic."


def test_numbers_are_numbers_and_have_the_caution():
    exact = pd.DataFrame(
        {"study": ["003"], "estimate": [0.1 + 0.2], "k": [3], "df": [float("nan")], "converged": [True]}
    )
    book = openpyxl.load_workbook(io.BytesIO(workbook([], {"pooled": exact}, "The data are synthetic.")))
    row = [cell.value for cell in book["pooled"][2]]
    # A workbook has 16 digits.
    assert row == ["003", pytest.approx(0.3, rel=1e-15), 3, None, "True"]
    assert book["pooled"].cell(4, 1).value == "The data are synthetic."


def test_tables_in_word():
    wide = PaperTable("Wide", pd.DataFrame([[str(i) for i in range(9)]], columns=list("abcdefghi")), "")
    document = docx.Document(io.BytesIO(tables_docx([TABLE, wide])))
    first, second = document.tables
    assert [cell.text for cell in first.rows[0].cells] == ["Study", "p"]
    assert [row.cells[0].text for row in first.rows[1:6]] == HOSTILE[:5]
    said = ["Table 1", "Effects", "Note. The data are synthetic.", "Table 2", "Wide"]
    assert [p.text for p in document.paragraphs if p.text] == said
    assert [s.orientation for s in document.sections] == [WD_ORIENT.PORTRAIT, WD_ORIENT.LANDSCAPE]
    number, title = document.paragraphs[:2]
    assert number.runs[0].bold and title.runs[0].italic


def test_a_text_in_word():
    markdown = "# Title\n\nA *word* and **two**, \\*not\\* this &#104;ttp.\nSame line.\n\n- one\n- two\n"
    document = docx.Document(io.BytesIO(text_docx(markdown)))
    found = [(p.style.name, p.text) for p in document.paragraphs]
    assert found == [
        ("Heading 1", "Title"),
        ("Normal", "A word and two, *not* this http. Same line."),
        ("List Bullet", "one"),
        ("List Bullet", "two"),
    ]
    runs = {run.text: (run.italic, run.bold) for run in document.paragraphs[1].runs}
    assert runs["word"] == (True, None) and runs["two"] == (None, True)


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("picture") / "a.svg"
    figure, ax = plt.subplots(figsize=(4, 3))
    ax.plot([0, 1], [0, 1], color="red", lw=20)
    figure.savefig(path)
    plt.close(figure)
    return path


def test_a_picture_in_every_format(picture):
    found = converted(picture, ("svg", "pdf", "png", "tiff"))
    assert found["svg"] == picture.read_bytes()
    assert found["pdf"].startswith(b"%PDF")
    for kind in ("png", "tiff"):
        image = Image.open(io.BytesIO(found[kind]))
        assert image.format == kind.upper() and image.mode == "RGB"
        assert image.size == pytest.approx((1200, 900), abs=2)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        # The line's middle and a corner of the page.
        assert image.getpixel((image.width // 2, image.height // 2)) == (255, 0, 0)
        assert image.getpixel((0, 0)) == (255, 255, 255)
    assert converted(picture, ("pdf", "png")) == {name: found[name] for name in ("pdf", "png")}


def test_figures_in_word_have_their_captions(picture):
    png = converted(picture, ("png",))["png"]
    figure = PaperFigure("a", "Forest Plot", "A line. The data are synthetic.", picture)
    document = docx.Document(io.BytesIO(figures_docx([(figure, png)])))
    texts = [p.text for p in document.paragraphs if p.text]
    assert texts == ["Figure 1", "Forest Plot", "Note. A line. The data are synthetic."]
    assert len(document.inline_shapes) == 1
