"""The text of the book's pages: templates filled with one run's numbers, notebooks with their titles."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from twostage.pipeline.book.captions import Captions
from twostage.pipeline.book.outputs import number_outputs
from twostage.pipeline.errors import PipelineError
from twostage.text import Markup, code, myst
from twostage.words import say

#: What of a template is no text of a page: what Jinja does, code, names of pages.
_NO_TEXT = re.compile(r"(\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|^    .*?$|(?P<ticks>`+).*?(?P=ticks))", re.S | re.M)


class _Templates(FileSystemLoader):
    """The templates of a folder, their texts in the words of the collection."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Any]:
        text, file, current = super().get_source(environment, template)
        return said(text), file, current


def said(text: str) -> str:
    """A text with markup in the words of the collection; code and what stands for other texts stays."""
    parts, end = [], 0
    for match in _NO_TEXT.finditer(text):
        parts += [say(text[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*parts, say(text[end:])])


class Pages:
    """The manuscript's templates.

    What a template shows is text, escaped for MyST, unless it is :class:`twostage.text.escape.Markup`; the filter ``code``
    makes code of it, ``said`` puts a text of the project's into the words of the collection.

    Parameters
    ----------
    folder : Path
        ``book/`` of the project.
    context : mapping
        What the templates may use; a name that is not in it stops the build.
    """

    def __init__(self, folder: Path, context: Mapping[str, Any]):
        self._folder, self._context = folder, context
        self._templates = _Templates(folder)
        self._environment = ImmutableSandboxedEnvironment(
            loader=self._templates,
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            finalize=myst,
        )
        self._environment.filters["code"] = code
        self._environment.filters["said"] = say

    def has(self, template: str) -> bool:
        """Whether the manuscript has a page."""
        return (self._folder / template).is_file()

    def title(self, template: str) -> Markup:
        """The title of a page, as MyST."""
        source, _, _ = self._templates.get_source(self._environment, template)
        return Markup(heading(self._environment.from_string(source.splitlines()[0]).render(**self._context)))

    def render(self, template: str, **more: Any) -> str:
        """Fill a template.

        Raises
        ------
        PipelineError
            If it asks for something that the run does not have.
        """
        try:
            return self._environment.get_template(template).render(**self._context, **more)
        except (TemplateError, LookupError, OSError) as error:
            line = getattr(error, "lineno", None)
            where = self._folder / template if line is None else f"{self._folder / template}, line {line}"
            raise PipelineError(f"{where}: {type(error).__name__}: {error}") from error


def heading(line: str) -> str:
    """The text of a line that is a heading of the first order; empty if it is none."""
    return line.removeprefix("# ").strip() if line.startswith("# ") else ""


def notebook_title(notebook: nbformat.NotebookNode) -> str:
    """The text of the heading with which a notebook begins; empty if it has none."""
    return heading(notebook.cells[0].source.splitlines()[0]) if notebook.cells else ""


def _in_words(notebook: nbformat.NotebookNode, title: str) -> str:
    """Put a notebook's texts, and what it says of its figures, into the words of the collection; returns the title."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = said(cell.source)
        about = cell.metadata.get("mystnb", {}).get("image", {})
        if "alt" in about:
            about["alt"] = say(about["alt"])
    return said(title)


def copy_notebook(
    source: Path, target: Path, of: str = "", end: str = "", captions: Captions | None = None
) -> str:
    """Copy an executed notebook into the book and return its title.

    Parameters
    ----------
    source, target : Path
    of : str
        The study's label; added to the notebook's heading, so that equal notebooks of different studies can be told
        apart in searches and browser tabs.
    end : str
        Text in MyST to put at the end.
    captions : Captions, optional
        Number the figures and tables.

    Raises
    ------
    PipelineError
        If the notebook does not begin with a heading.
    """
    notebook = nbformat.read(source, as_version=4)
    title = notebook_title(notebook)
    if not title:
        raise PipelineError(f"{source}: the first cell must begin with a heading, '# ...'")
    title = _in_words(notebook, title)
    if of:
        lines = notebook.cells[0].source.splitlines()
        notebook.cells[0].source = "\n".join([f"# {title}: {myst(of)}", *lines[1:]])
    number_outputs(notebook, source.stem, target.parent, captions)
    if end:
        notebook.cells.append(nbformat.v4.new_markdown_cell(end, id="rerun"))
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    return title
