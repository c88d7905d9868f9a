"""Pages with the documentation of the package's modules, made from their docstrings."""

import ast
from pathlib import Path

import twostage

#: Modules whose import does something: pytask's tasks.
NOT_DOCUMENTED = "task_"


def documented_modules() -> dict[str, str]:
    """Name of each module of the package with the first line of its docstring."""
    package = Path(twostage.__file__).parent
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        summary = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
        if summary and not path.name.startswith(NOT_DOCUMENTED):
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = " ".join(summary.split())
    return found


def write_api_pages(folder: Path) -> list[str]:
    """Write a page per module and one that lists them.

    Parameters
    ----------
    folder : Path
        Folder of the book's source.

    Returns
    -------
    list of str
        The pages, relative to the folder and without suffix, the list first.
    """
    modules = documented_modules()
    (folder / "api").mkdir()
    lines = [f"- {{doc}}`{name} </api/{name}>`: {summary}" for name, summary in modules.items()]
    text = "# API reference\n\nThe package's modules, from their docstrings.\n\n" + "\n".join(lines) + "\n"
    (folder / "api" / "index.md").write_text(text, encoding="utf-8")
    for name in modules:
        directive = f".. automodule:: {name}\n   :members:\n"
        page = f"# {name}\n\n```{{eval-rst}}\n{directive}```\n"
        (folder / "api" / f"{name}.md").write_text(page, encoding="utf-8")
    return ["api/index", *(f"api/{name}" for name in modules)]
