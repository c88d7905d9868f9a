"""The code that makes results and pages: this package's modules and the libraries they compute with."""

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import twostage

#: Modules of what the book and a command say of finished results.
ADDITION = ("addition.py", "addition_page.py", "plots_addition.py", "cli_addition.py")

#: Files and folders of the package that results do not depend on.
NOT_RESULTS = (
    *(
        "cli.py",
        "cli_compare.py",
        "cli_edge.py",
        "cli_import.py",
        "cli_options.py",
        "cli_recovery.py",
        "cli_run.py",
    ),
    "cli_share.py",
    *ADDITION,
    *("examples.py", "importing", "pipeline", "project.py", "sharing", "skeleton.py", "tutorial.py"),
)

#: Those of them that notebooks are executed with.
EXECUTION = ("pipeline/kernel.py", "pipeline/runner.py")

#: Libraries whose versions can change a number, a table or a figure of a notebook.
RESULT_LIBRARIES = (
    *("numpy", "scipy", "pandas", "statsmodels", "formulaic", "matplotlib", "seaborn"),
    *("ipython", "ipykernel", "papermill"),
)

#: Libraries whose versions can change a page.
BOOK_LIBRARIES = (
    *("jinja2", "jupyter-book", "myst-nb", "nbformat", "numpydoc", "sphinx", "sphinx-book-theme"),
    "sphinx-mathjax-offline",
)


def modules(*, results: bool) -> list[Path]:
    """The package's modules; of those that make results, or all."""
    package = Path(twostage.__file__).parent
    found = sorted(package.rglob("*.py"))
    return [path for path in found if not results or _makes_results(path.relative_to(package))]


def _makes_results(module: Path) -> bool:
    return module.as_posix() in EXECUTION or module.parts[0] not in NOT_RESULTS


def code(*, results: bool) -> dict[str, str]:
    """What tells one state of the code from another: a checksum of the modules, and versions.

    Parameters
    ----------
    results : bool
        Of what makes the results of notebooks; otherwise of all that makes the book.
    """
    package = Path(twostage.__file__).parent
    digest = hashlib.sha256()
    for path in modules(results=results):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode() + path.read_bytes())
    libraries = RESULT_LIBRARIES if results else (*RESULT_LIBRARIES, *BOOK_LIBRARIES)
    versions = {name: installed(name) for name in ("twostage", *libraries)}
    return {"sha256": digest.hexdigest(), "python": platform.python_version(), **versions}


def installed(library: str) -> str:
    """Version of a library; ``none`` where it is not installed."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"
