"""An empty collection for a pair of variables, ready for `twostage import`."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from twostage.beside import text_beside
from twostage.collection import schema
from twostage.collection.collection import locate_collection, validate_collection
from twostage.collection.settings import FILE, VariableSettings, read_settings
from twostage.collection.study_ids import is_device
from twostage.files import replace_folder, unfinished_folder, write_files
from twostage.problems import CollectionError, Problem
from twostage.text import yaml_text
from twostage.words import PLAIN, Words

#: The note of a new collection, to be replaced by one of its own.
NOTE = "Say here what these data are, whose they are and under which licence they may be used."


#: What a collection of therapies has and others do not.
THERAPY = ("therapist",)


#: Columns of the patients' files, in words.
PATIENTS = {
    "therapist": ("identifier of the patient's therapist within the study", ""),
    "age": ("age at intake", "years"),
    "gender": ("gender as the patient gave it", ""),
    "pre": ("{y} at intake on the study's instrument; range in studies.csv", "scale points"),
    "post": ("{y} at outcome on the study's instrument; range in studies.csv", "scale points"),
}


_YML = text_beside(__file__, ".yml")


_README = text_beside(__file__, ".md")


@dataclass(frozen=True)
class Pair:
    """The variables of a new collection; each has name, label and better."""

    x: VariableSettings
    y: VariableSettings


def new_collection(folder: str | Path, pair: Pair, title: str = "", words: Words = PLAIN) -> Path:
    """Write an empty collection, whole or not at all.

    Parameters
    ----------
    folder : path
        Must not exist, or be empty.
    pair : Pair
    title : str
        Default: made from the labels.
    words : Words
        What persons and occasions are called.

    Raises
    ------
    CollectionError
        If the folder holds something, or two columns would have one name.
    """
    folder = Path(folder).resolve()
    if is_device(folder.name):
        raise CollectionError(
            [Problem(str(folder), None, None, folder.name, "a name that Windows can have too")]
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CollectionError(
            [Problem(str(folder), None, None, "something there", "no folder, or an empty one")]
        )
    _check(pair)
    with unfinished_folder(folder) as new:
        texts = _files(folder.name, pair, title or f"{pair.x.label} and {pair.y.label}", words)
        write_files({new / name: text.encode() for name, text in texts.items()})
        problems = validate_collection(new)
        if problems:
            raise CollectionError(problems)
        replace_folder(new, folder)
    return folder


def unedited(folder: Path) -> list[Problem]:
    """Whether a collection's note, which every page shows, is still the one that it was made with."""
    settings, _ = read_settings(locate_collection(folder))
    if settings is None or settings.note.strip() != NOTE:
        return []
    expected = "a note of your own: what the data are, whose and under which licence; every page shows it"
    return [Problem(FILE, None, "note", settings.note, expected)]


def _check(pair: Pair) -> None:
    names = ["patient", "session", *PATIENTS]
    for v in (pair.x, pair.y):
        if v.name in names or not schema.matches(r"\S(?:.*\S)?", v.name) or "\n" in v.name or "\r" in v.name:
            expected = f"a column's name, none of {', '.join(names)}"
            raise CollectionError([Problem("command line", None, "name", v.name, expected)])
        names.append(v.name)


def _files(name: str, pair: Pair, title: str, words: Words) -> dict[str, str]:
    def scalar(text: str) -> str:
        return yaml_text(text, width=10_000).removesuffix("\n").removesuffix("\n...")

    quoted = {
        v: VariableSettings.model_construct(
            None, **{k: scalar(t) for k, t in getattr(pair, v).model_dump().items()}
        )
        for v in ("x", "y")
    }
    rows = [
        ("patient", words("identifier of the patient within the study"), "", "", "", ""),
        ("session", words("number of the session"), words("session"), "0", "1000", ""),
    ]
    kept = {c: row for c, row in PATIENTS.items() if words.person == PLAIN.person or c not in THERAPY}
    rows += [
        (v.name, f"{v.label}; range in studies.csv", "scale points", "", "", "") for v in (pair.x, pair.y)
    ]
    rows += [(c, words(text).format(y=pair.y.label), unit, "", "", "") for c, (text, unit) in kept.items()]
    written = Words(**{name: scalar(word) for name, word in vars(words).items()})
    columns = "".join(f"    {column}: {column}\n" for column in kept)
    return {
        "collection.yml": _YML.format(
            title=scalar(title), note=scalar(NOTE), words=written, columns=columns, **quoted
        ),
        "studies.csv": _csv([tuple(schema.REGISTRY)]),
        "dictionary.csv": _csv([tuple(schema.DICTIONARY), *rows]),
        "README.md": _README.format(title=title, name=name),
    }


def _csv(rows: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
