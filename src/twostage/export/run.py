"""A run as files for a paper: tables, figures, text and syntax."""

from collections.abc import Callable, Iterator
from pathlib import Path

from twostage.export.folder import place
from twostage.export.items import PaperFigure, figures, numbers, tables
from twostage.export.paper import paper_text
from twostage.export.pictures import converted
from twostage.export.source import Source, open_source
from twostage.export.syntax import scripts
from twostage.export.word import figures_docx, tables_docx, text_docx
from twostage.export.workbook import workbook

FORMATS = ("svg", "pdf", "png")


def export_run(
    run: str,
    folder: Path,
    *,
    tiff: bool = False,
    force: bool = False,
    say: Callable[[str], None] = lambda words: None,
) -> list[str]:
    """Write what a paper needs of a run.

    Parameters
    ----------
    run : str
        Name of a finished run, or its folder.
    folder : Path
        New or empty, or that of an earlier export.
    tiff : bool
        Figures as TIFF, too.
    force : bool
        Also replace files that were changed since they were exported.
    say : callable
        Told what is being done.

    Returns
    -------
    list of str
        The files within the folder.

    Raises
    ------
    RecordError, CollectionError, ExportError, PipelineError
        There is no such run, it is not finished, or the folder holds something else.
    """
    source = open_source(run, say)
    contents: dict[str, bytes] = {}
    for name, content in _contents(source, tiff, say):
        contents[name] = content
    about = {"run": source.name, "version": source.context["version"]}
    return place(contents, folder, about, force=force)


def _contents(source: Source, tiff: bool, say: Callable[[str], None]) -> Iterator[tuple[str, bytes]]:
    say("tables")
    found = tables(source)
    yield "tables/tables.docx", tables_docx(found)
    yield "tables/tables.xlsx", workbook(found, numbers(source), source.caution)
    pictures = figures(source)
    shown = []
    for i, figure in enumerate(pictures, start=1):
        say(f"figure {i} of {len(pictures)}: {figure.name}")
        files = converted(figure.svg, (*FORMATS, *(["tiff"] if tiff else [])))
        shown.append((figure, files["png"]))
        for ending, content in files.items():
            yield f"figures/figure_{i:02d}_{figure.name}.{ending}", content
    yield "figures/figures.docx", figures_docx(shown)
    yield "figures/captions.txt", _captions(pictures).encode()
    say("text")
    text = paper_text(source)
    yield "text/methods_and_results.md", text.encode()
    yield "text/methods_and_results.docx", text_docx(text)
    yield "text/references.bib", (source.run.manuscript / "references.bib").read_bytes()
    say("syntax for R")
    for name, script in scripts(source):
        yield f"syntax/{name}", script.encode()
    yield "README.txt", _readme(source).encode()


def _captions(pictures: list[PaperFigure]) -> str:
    parts = [f"Figure {i}\n{f.title}\nNote. {f.note}\n" for i, f in enumerate(pictures, start=1)]
    return "\n".join(parts)


def _readme(source: Source) -> str:
    said = f"{source.caution}\n\n" if source.caution else ""
    return (
        f"{source.collection.title}\n\n{said}"
        f"Made by twostage {source.context['version']} from the run {source.name}.\n\n"
        "tables/   as a Word file and a workbook; the workbook also has the numbers in full precision\n"
        "figures/  as SVG, PDF and PNG with 300 dots per inch; with their captions as a Word file and as text\n"
        "text/     methods and results to go on writing; no number in them was typed\n"
        "syntax/   R: stage 1 of each study from its data files (lmerTest, clubSandwich, lavaan), the pooling (metafor)\n\n"
        "export.json lists the files with their checksums. Exporting again to this folder replaces these files and no\n"
        "others, and none that was changed since.\n"
    )
