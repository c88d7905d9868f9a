"""A run's book as a folder to publish: the site, what archives and cites it, checksums, and what to check before."""

import hashlib
import json
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from twostage.beside import text_beside
from twostage.collection import Collection, read_collection
from twostage.export.folder import ExportError, place
from twostage.pipeline.run import Run, load_run
from twostage.problems import Problem
from twostage.stage2 import find_results
from twostage.text import rich_texts

#: Folder of the site within the one to publish.
SITE = "site"


#: Files that hold text, in which no folder of this machine may be named.
_TEXTS = {".html", ".js", ".json", ".txt", ".ipynb", ".md", ".csv", ".svg", ".xml", ".py", ".yml"}


_WORKFLOW = text_beside(__file__, ".yml")


def publish_run(
    run: str,
    folder: Path,
    *,
    today: date,
    force: bool = False,
    say: Callable[[str], None] = lambda words: None,
) -> list[str]:
    """Write a folder that can be a repository of its own: the book, and what publishing it needs.

    Parameters
    ----------
    run : str
        Name of a run with a book, or its folder.
    folder : Path
        New or empty, or that of an earlier publication.
    today : date
    force : bool
        Also replace files that were changed since.
    say : callable
        Told what is being done.

    Returns
    -------
    list of str
        The files within the folder.

    Raises
    ------
    RecordError, CollectionError, ExportError, PipelineError
        There is no such run or it has no book, a page names a folder of this machine, or the folder holds something else.
    """
    source = load_run(find_results(run)[0])
    collection = read_collection(source.collection)
    say("reading the book")
    contents = _site(source)
    texts = {
        ".github/workflows/publish.yml": _WORKFLOW,
        ".zenodo.json": json.dumps(zenodo(collection), indent=2, ensure_ascii=False) + "\n",
        "CITATION.cff": yaml.safe_dump(citation(collection, today), allow_unicode=True, sort_keys=False),
        "README.md": _readme(source, collection),
        "RELEASE.md": checklist(source, collection),
    }
    contents |= {name: text.encode() for name, text in texts.items()}
    sums = (f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in sorted(contents.items()))
    contents["SHA256SUMS"] = ("\n".join(sums) + "\n").encode()
    about = {"run": source.folder.name, "version": version("twostage")}
    return place(contents, folder, about, force=force)


def _site(run: Run) -> dict[str, bytes]:
    """The book's files; GitHub must not put them through Jekyll, which leaves out what begins with ``_``."""
    if not (run.html / "index.html").is_file():
        expected = "a run with a book: give the command 'twostage run' again, without --no-book"
        raise ExportError([Problem(str(run.folder), None, None, "no html/index.html", expected)])
    paths = sorted(path for path in run.html.rglob("*") if path.is_file())
    contents = {path.relative_to(run.html).as_posix(): path.read_bytes() for path in paths}
    named = [
        name for name, content in contents.items() if Path(name).suffix in _TEXTS and _local(content, run)
    ]
    if named:
        expected = "no folder of this machine: make the book anew"
        raise ExportError(
            [Problem(f"html/{name}", None, None, _local(contents[name], run), expected) for name in named]
        )
    return {f"{SITE}/{name}": content for name, content in contents.items()} | {f"{SITE}/.nojekyll": b""}


def _local(content: bytes, run: Run) -> str:
    """The first folder of this machine that a file names; a short path such as the file system's root is none."""
    places = {str(place) for place in (run.folder, run.project, run.collection, Path.home())}
    return next((place for place in sorted(places) if len(place) > 6 and place.encode() in content), "")


def _authors(collection: Collection) -> list[str]:
    return [name.strip() for name in collection.authors.split(",") if name.strip()]


def _words(collection: Collection) -> str:
    """The collection's note without its marks."""
    return "".join(rich_texts(collection.note))


def zenodo(collection: Collection) -> dict[str, Any]:
    """Metadata for Zenodo; the licence is left to whoever publishes."""
    return {
        "title": collection.title,
        "description": _words(collection),
        "upload_type": "publication",
        "publication_type": "other",
        "access_right": "open",
        "creators": [
            {"name": name} for name in _authors(collection) or [f"The authors of {collection.title}"]
        ],
        "keywords": [
            "meta-analysis",
            "individual participant data",
            "within-person processes",
            collection.x.label,
            collection.y.label,
        ],
    }


def citation(collection: Collection, today: date) -> dict[str, Any]:
    """``CITATION.cff`` of the book, which names the software that made it."""
    authors = [{"name": name} for name in _authors(collection) or [f"The authors of {collection.title}"]]
    software = {"type": "software", "title": "twostage", "version": version("twostage")}
    return {
        "cff-version": "1.2.0",
        "message": "If you use these results, please cite them.",
        "title": collection.title,
        "abstract": _words(collection),
        "type": "dataset",
        "authors": authors,
        "date-released": today.isoformat(),
        "references": [software | {"authors": [{"name": "The twostage authors"}]}],
    }


def _readme(run: Run, collection: Collection) -> str:
    return (
        f"# {_line(collection.title)}\n\n{_line(_words(collection))}\n\n"
        f"The book is in [site/](site/index.html), made by twostage {version('twostage')} from the run "
        f"{run.folder.name}. [RELEASE.md](RELEASE.md) says what to do before it is published, and how. SHA256SUMS has the "
        "checksum of every file: `sha256sum --check SHA256SUMS`.\n"
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def checklist(run: Run, collection: Collection) -> str:
    """What to check and to do, with what is known of this collection."""
    licences = sorted({str(value) for value in collection.studies["licence"].dropna()} - {""})
    withheld = f" {len(run.shared)} shared results only." if run.shared else ""
    kind = (
        "The data are synthetic, and every page says so."
        if collection.synthetic
        else "The data are of real persons."
    )
    steps = [
        f"{kind} {len(run.studies)} studies.{withheld} The chapters of studies with data show figures of single persons "
        "and numbers of small groups: may they be public? If not, let the study share results only (twostage share).",
        f"The studies' data are under: {', '.join(licences) or 'no licence is named in studies.csv'}. Do they allow it?",
        f"Authors: {', '.join(_authors(collection)) or 'none is named in collection.yml (authors)'}. Are they all there?",
        "Choose a licence for the book: a file LICENSE here, and `license` in .zenodo.json and CITATION.cff.",
        "Read site/index.html in a browser, without a network.",
        "Check the files: `sha256sum --check SHA256SUMS`.",
        "Make this folder a repository (`git init -b main`, `git add -A`, `git commit`) and push it to GitHub.",
        "Settings, Pages, Source: GitHub Actions. The workflow publishes site/ after each push to main.",
        "In Zenodo, switch the repository on; then make a release on GitHub. Zenodo archives it by .zenodo.json and "
        "gives it a DOI.",
        "Write the DOI into CITATION.cff (`doi:`) and into the paper.",
    ]
    return "# Before publishing\n\n" + "".join(f"- [ ] {_line(step)}\n" for step in steps)
