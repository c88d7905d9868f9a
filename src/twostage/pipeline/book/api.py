"""Pages with the documentation of the package, made from its docstrings."""

import ast
from pathlib import Path

import twostage

#: Modules whose import does something, and packages' faces.
NOT_DOCUMENTED = ("__main__", "__init__")


def documented_modules() -> dict[str, list[str]]:
    """The modules of each package; every package is a page of the book."""
    root = Path(twostage.__file__).parent
    found: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.py"), key=lambda path: (path.parent, path.name)):
        if not path.name.startswith(NOT_DOCUMENTED):
            package = ".".join([root.name, *path.parent.relative_to(root).parts])
            found.setdefault(package, []).append(f"{package}.{path.stem}")
    return found


def write_api_pages(folder: Path) -> list[str]:
    """Write a page per package with a section per module.

    Parameters
    ----------
    folder : Path
        Folder of the book's source.

    Returns
    -------
    list of str
        The pages, relative to the folder and without suffix.
    """
    (folder / "api").mkdir()
    modules = documented_modules()
    for package, names in modules.items():
        sections = [
            f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n" for name in names
        ]
        text = "\n".join([f"# {package}\n\n{_summary(package)}\n", *sections])
        (folder / "api" / f"{package}.md").write_text(text, encoding="utf-8")
    return [f"api/{package}" for package in modules]


def _summary(package: str) -> str:
    """The first paragraph of a package's docstring."""
    path = Path(twostage.__file__).parent.joinpath(*package.split(".")[1:], "__init__.py")
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
