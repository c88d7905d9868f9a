"""Word files in the style of the APA: tables, figures with captions, and texts."""

import io
from collections.abc import Iterable, Sequence

from docx import Document
from docx.document import Document as Docx
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt
from docx.table import Table, _Cell
from docx.text.paragraph import Paragraph
from markdown_it import MarkdownIt
from markdown_it.token import Token

from twostage.export.items import PaperFigure, PaperTable
from twostage.text import visible

FONT, SIZE, SMALL = "Times New Roman", 12, 10


#: Tables with more columns lie across the page.
UPRIGHT = 7


def tables_docx(tables: Sequence[PaperTable]) -> bytes:
    """One table per page: number, title, three rules, a note."""
    document = _document()
    for i, table in enumerate(tables, start=1):
        if i > 1:
            document.add_section()
        _turn(document, len(table.cells.columns) > UPRIGHT)
        _caption(document, f"Table {i}", table.title)
        _table(document, table)
        _note(document, table.note)
    return _bytes(document)


def figures_docx(figures: Iterable[tuple[PaperFigure, bytes]]) -> bytes:
    """One figure per page, as PNG, with number, title and note."""
    document = _document()
    for i, (figure, png) in enumerate(figures, start=1):
        if i > 1:
            document.add_page_break()
        _caption(document, f"Figure {i}", figure.title)
        picture = document.add_picture(io.BytesIO(png), width=Cm(16))
        tallest = Cm(19)
        if picture.height > tallest:
            picture.width, picture.height = int(picture.width * tallest / picture.height), tallest
        _note(document, figure.note)
    return _bytes(document)


def text_docx(markdown: str) -> bytes:
    """A text in Markdown: headings, paragraphs, lists, emphasis, links."""
    document = _document()
    style, level = None, 0
    for token in MarkdownIt("commonmark").parse(markdown):
        if token.type == "heading_open":
            style, level = None, int(token.tag[1])
        elif token.type in ("bullet_list_open", "bullet_list_close"):
            style = "List Bullet" if token.type.endswith("open") else None
        elif token.type == "inline":
            if level:
                _inline(document.add_heading(level=level), token)
                level = 0
            else:
                paragraph = document.add_paragraph(style=style)
                paragraph.paragraph_format.line_spacing = 2.0 if style is None else 1.5
                _inline(paragraph, token)
    return _bytes(document)


def _inline(paragraph: Paragraph, token: Token) -> None:
    bold = italic = False
    address = ""
    for child in token.children or ():
        if child.type in ("strong_open", "strong_close"):
            bold = child.type.endswith("open")
        elif child.type in ("em_open", "em_close"):
            italic = child.type.endswith("open")
        elif child.type == "link_open":
            address = str(child.attrs.get("href", ""))
        elif child.type == "link_close":
            if address and address not in paragraph.text:
                paragraph.add_run(visible(f" ({address})"))
        else:
            text = " " if child.type in ("softbreak", "hardbreak") else child.content
            run = paragraph.add_run(visible(text))
            run.bold, run.italic = bold or None, italic or None


def _document() -> Docx:
    document = Document()
    for name in ("Normal", "Heading 1", "Heading 2", "Heading 3"):
        style = document.styles[name]
        style.font.name, style.font.size = FONT, Pt(SIZE)
        # Word takes the font of headings from its theme unless each script has one.
        fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
        for script in list(fonts.attrib):
            if script.endswith("Theme"):
                del fonts.attrib[script]
        for script in ("w:ascii", "w:hAnsi", "w:eastAsia", "w:cs"):
            fonts.set(qn(script), FONT)
        if name != "Normal":
            style.font.color.rgb, style.font.bold = None, True
            for colour in style.element.rPr.findall(qn("w:color")):
                style.element.rPr.remove(colour)
    document.core_properties.author, document.core_properties.comments = "", ""
    return document


def _turn(document: Docx, across: bool) -> None:
    section = document.sections[-1]
    short, long = sorted(side or Cm(21) for side in (section.page_width, section.page_height))
    section.orientation = WD_ORIENT.LANDSCAPE if across else WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = (long, short) if across else (short, long)


def _caption(document: Docx, number: str, title: str) -> None:
    for text, bold in ((number, True), (title, False)):
        paragraph = document.add_paragraph()
        paragraph.paragraph_format.keep_with_next = True
        run = paragraph.add_run(visible(text))
        run.bold, run.italic = bold or None, not bold or None


def _note(document: Docx, note: str) -> None:
    if note:
        paragraph = document.add_paragraph()
        paragraph.add_run("Note. ").italic = True
        paragraph.add_run(visible(note))
        for run in paragraph.runs:
            run.font.size = Pt(SMALL)


def _table(document: Docx, table: PaperTable) -> None:
    heads = [str(column) for column in table.cells.columns]
    grid = document.add_table(rows=1, cols=len(heads))
    _write(grid, 0, heads)
    for i, row in enumerate(table.cells.itertuples(index=False, name=None), start=1):
        grid.add_row()
        _write(grid, i, [str(cell) for cell in row])
    _rule(grid.rows[0].cells, "top", "bottom")
    _rule(grid.rows[-1].cells, *(["bottom"] if len(grid.rows) > 1 else []))
    repeated = OxmlElement("w:tblHeader")
    repeated.set(qn("w:val"), "true")
    grid.rows[0]._tr.get_or_add_trPr().append(repeated)


def _write(grid: Table, row: int, texts: Sequence[str]) -> None:
    """A row's cells; the first column at the left, the others in the middle."""
    for j, (cell, text) in enumerate(zip(grid.rows[row].cells, texts, strict=True)):
        paragraph = cell.paragraphs[0]
        paragraph.paragraph_format.space_after = Pt(2)
        if j:
            paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        run = paragraph.add_run(visible(text))
        run.font.size = Pt(SMALL)
        # Symbols of statistics are in italics, Greek letters are not.
        run.italic = (row == 0 and text in ("k", "n", "p")) or None


def _rule(cells: Sequence[_Cell], *sides: str) -> None:
    for cell in cells:
        borders = OxmlElement("w:tcBorders")
        for side in sides:
            line = OxmlElement(f"w:{side}")
            for name, value in (("val", "single"), ("sz", "8"), ("space", "0"), ("color", "000000")):
                line.set(qn(f"w:{name}"), value)
            borders.append(line)
        cell._tc.get_or_add_tcPr().append(borders)


def _bytes(document: Docx) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()
