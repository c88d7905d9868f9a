"""The project's folder: where notebooks, book and settings lie, and runs go."""

from pathlib import Path

#: What makes a folder a project.
MARKS = ("_config.yml", "notebooks")


def is_project(folder: Path) -> bool:
    """Whether a folder has a project's settings and notebooks."""
    return (folder / MARKS[0]).is_file() and (folder / MARKS[1]).is_dir()


def project_above(start: Path) -> Path | None:
    """The nearest project upwards from a folder, itself included."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if is_project(folder)), None)


def package_project() -> Path | None:
    """The project whose environment this package is installed in, as its set-up does; None elsewhere."""
    return project_above(Path(__file__).parent)


def project_folder(start: Path) -> Path | None:
    """The project that a command belongs to: upwards from where it is given, else the package's own."""
    return project_above(start) or package_project()


def found_upwards(folder: str | Path) -> Path:
    """A folder as given, or below the nearest parent of the current one that has it: where notebooks are opened."""
    folder = Path(folder)
    if folder.is_absolute() or folder.is_dir():
        return folder
    return next((p / folder for p in Path.cwd().resolve().parents if (p / folder).is_dir()), folder)
