"""The code that makes results and pages: this package's modules and the libraries they compute with."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import twostage
from twostage.beside import files_beside
from twostage.files import as_json
from twostage.pipeline.content import digest, digest_of

#: Folders and files of the package that the results of notebooks do not depend on.
NOT_RESULTS = (
    *(
        "cli",
        "export",
        "importing",
        "pages/addition",
        "pipeline",
        "project.py",
        "sharing",
        "simulation/examples.py",
    ),
    "tutorial.py",
)

#: Those of them that notebooks are executed with.
EXECUTION = tuple(f"pipeline/{name}.py" for name in ("kernel", "runner", "warm_kernel", "warm_process"))

#: Libraries whose versions can change a number, a table or a figure of a notebook.
RESULT_LIBRARIES = (
    *("numpy", "scipy", "pandas", "statsmodels", "formulaic", "matplotlib", "seaborn", "duckdb"),
    *("ipython", "ipykernel", "markdown-it-py", "matplotlib-inline", "papermill", "pillow"),
)

#: Libraries whose versions can change a page.
BOOK_LIBRARIES = (
    *("jinja2", "jupyter-book", "myst-nb", "nbformat", "numpydoc", "sphinx", "sphinx-book-theme"),
    "sphinx-mathjax-offline",
)


def modules(*, results: bool) -> list[Path]:
    """The package's modules and the files of data beside them; of those that make results, or all."""
    package = Path(twostage.__file__).parent
    found = [
        m for m in sorted(package.rglob("*.py")) if not results or _makes_results(m.relative_to(package))
    ]
    return [path for module in found for path in (module, *files_beside(module))]


def _makes_results(module: Path) -> bool:
    place = module.as_posix()
    return place in EXECUTION or not any(f"{place}/".startswith(f"{name}/") for name in NOT_RESULTS)


def code(*, results: bool) -> dict[str, str]:
    """What tells one state of the code from another: a checksum of the modules, and versions of what they compute with.

    Parameters
    ----------
    results : bool
        Only of the modules that make the results of notebooks, not of all.
    """
    package = Path(twostage.__file__).parent
    names = {path.relative_to(package).as_posix(): digest(path) for path in modules(results=results)}
    versions = {name: installed(name) for name in ("twostage", *RESULT_LIBRARIES)}
    return {"sha256": digest_of(as_json(names).encode()), "python": platform.python_version(), **versions}


def book_libraries() -> dict[str, str]:
    """Versions of what turns pages into a book."""
    return {name: installed(name) for name in BOOK_LIBRARIES}


def installed(library: str) -> str:
    """Version of a library; ``none`` where it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"
