"""The text of the book's pages: templates filled with one run's numbers, notebooks with their titles."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from jinja2 import FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from twostage.pipeline.errors import PipelineError
from twostage.text import code, myst


class Pages:
    """The manuscript's templates.

    What a template shows is text, escaped for MyST, unless it is :class:`twostage.text.escape.Markup`; the filter ``code``
    makes code of it.

    Parameters
    ----------
    folder : Path
        ``book/`` of the project.
    context : mapping
        What the templates may use; a name that is not in it stops the build.
    """

    def __init__(self, folder: Path, context: Mapping[str, Any]):
        self._folder, self._context = folder, context
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            finalize=myst,
        )
        self._environment.filters["code"] = code

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


def notebook_title(notebook: nbformat.NotebookNode) -> str:
    """The text of the heading with which a notebook begins; empty if it has none."""
    first = notebook.cells[0].source.splitlines()[0] if notebook.cells else ""
    return first.removeprefix("# ").strip() if first.startswith("# ") else ""


def copy_notebook(source: Path, target: Path, of: str = "", end: str = "") -> str:
    """Copy an executed notebook into the book and return its title.

    Parameters
    ----------
    source, target : Path
    of : str
        The study's label; added to the notebook's heading, so that equal notebooks of different studies can be told
        apart in searches and browser tabs.
    end : str
        Text in MyST to put at the end.

    Raises
    ------
    PipelineError
        If the notebook does not begin with a heading.
    """
    notebook = nbformat.read(source, as_version=4)
    title = notebook_title(notebook)
    if not title:
        raise PipelineError(f"{source}: the first cell must begin with a heading, '# ...'")
    if of:
        lines = notebook.cells[0].source.splitlines()
        notebook.cells[0].source = "\n".join([f"# {title}: {myst(of)}", *lines[1:]])
    if end:
        notebook.cells.append(nbformat.v4.new_markdown_cell(end, id="rerun"))
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    return title
