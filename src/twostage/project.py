"""The project's folder: where notebooks, book and settings lie, and runs go."""

from pathlib import Path

#: What makes a folder a project.
MARKS = ("_config.yml", "notebooks")


#: The project's files as a wheel brings them (setup.py puts them there); a checkout has no such folder.
SHIPPED = Path(__file__).parent / "project_files"


#: The collection of a project, and of a folder in which runs are made without one.
COLLECTION = "data"


#: Seed with which the project's own collection is drawn (:mod:`twostage.simulation`).
SEED = 20200901


def is_project(folder: Path) -> bool:
    """Whether a folder has a project's settings and notebooks."""
    return (folder / MARKS[0]).is_file() and (folder / MARKS[1]).is_dir()


def project_above(start: Path) -> Path | None:
    """The nearest project upwards from a folder, itself included."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if is_project(folder)), None)


def package_project() -> Path | None:
    """The checkout that this package is imported from, as set-up installs it; None where it came as a wheel."""
    return None if is_project(SHIPPED) else project_above(Path(__file__).parent)


def project_folder(start: Path) -> Path | None:
    """The folder in whose ``runs/`` a command's runs go.

    The project upwards from where the command is given; else, of a checkout, that checkout; of a wheel, whose
    files are not for writing, the folder where the command is given.
    """
    return project_above(start) or (start.resolve() if is_project(SHIPPED) else package_project())


def project_files(folder: Path) -> Path:
    """Where notebooks, book and settings are for runs in a project's folder, or in one without them."""
    return SHIPPED if is_project(SHIPPED) and not is_project(folder) else folder


def default_collection(folder: Path) -> Path:
    """The collection of runs for which none is named: the folder's own, else the one that a wheel brings."""
    own = folder / COLLECTION
    return own if own.exists() else project_files(folder) / COLLECTION


def found_upwards(folder: str | Path) -> Path:
    """A folder as given, or below the nearest parent of the current one that has it: where notebooks are opened."""
    folder = Path(folder)
    if folder.is_absolute() or folder.is_dir():
        return folder
    return next((p / folder for p in Path.cwd().resolve().parents if (p / folder).is_dir()), folder)
