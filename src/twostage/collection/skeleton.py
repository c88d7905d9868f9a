"""An empty collection for a pair of variables, ready for `twostage import`."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

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


_YML = """\
# What this collection is about. `twostage validate` checks it, `twostage import` adds a study.
title: {title}
# Shown on top of every page of the book: what the data are, whose, and under which licence.
note: {note}
# Who signs the book, as in "A. Author, B. Author"; nobody while it is empty.
authors: ""
synthetic: false

# The pair. `name` is the column in sessions/<study>.csv; `better` says which end of the scale is the good one.
x:
  name: {x.name}
  label: {x.label}
  better: {x.better}
y:
  name: {y.name}
  label: {y.label}
  better: {y.better}

# What the pages call who is observed, and when, and the scores before the first and after the last occasion ("at ...").
# Plurals follow the usual rules; where they do not: persons: ..., occasions: ...
words:
  person: {words.person}
  occasion: {words.occasion}
  start: {words.start}
  end: {words.end}

# How the review was done: texts (emphasis and links are possible), each may be left empty. The book shows them, and where
# PRISMA-IPD asks for what is not said it says "not stated". `studies` counts studies at each step of the search; how many
# were obtained is counted from studies.csv. Judgements of the studies' risk of bias: risk_of_bias.csv beside this file,
# with the columns study, domain, judgement (low, some concerns, high, no information), reason.
review:
  protocol: ""        # where it can be read, and what was changed since
  registration: ""    # register and number
  eligibility: ""     # which studies and persons could take part
  sources: ""         # data bases, registers, people asked, with dates
  search: ""          # the terms of one full search
  selection: ""       # who decided on what, and how disagreement was settled
  obtaining: ""       # how individual participant data were sought and obtained
  not_obtained: ""    # which eligible studies gave none, and why
  checks: ""          # what was done with data that looked wrong
  risk_of_bias: ""    # the tool behind risk_of_bias.csv
  funding: ""
  conflicts: ""
  studies: {{}}         # as in {{identified: 812, screened: 640, eligible: 25, sought: 25}}

# What your data are like: the book's first page says how far the main analysis can be trusted where data are so, by a
# recovery study of these studies (`twostage recovery`). realistic has most of the others at once; or one of plain,
# shared_trends, own_trends, unequal_variances, dropout, heterogeneous, moderated, everything, measurement_error,
# error_and_trends, floors, own_autoregressions, unequal_spacing, unseen_dropout, therapists (the book's page on it says
# what they are).
condition: realistic

# Analysis parameters that differ from the package's defaults (`twostage run --help`, the book's page Run it again).
parameters:
  first_session: 1
  last_session: 7

# On which day each was, in days from any day that is the same for all of one person's. With this (and a row `day` in
# dictionary.csv) the import writes it where there are dates, and the book has a page on unequal distances:
# sessions:
#   columns:
#     day: day

# Our name: column of patients/<study>.csv. Every study's file has all of them; cells may be empty. Without scores at
# the start and the end in any study, delete `pre` and `post`: the book then leaves out the outcome analysis.
patients:
  file: patients/{{study}}.csv
  columns:
    patient: patient
{columns}"""


_README = """\
# {title}

A collection for `twostage`. It has no study yet; add one with

    twostage import FILE --to {name} --study ID

- `collection.yml`: the pair, its labels, default parameters. Edit title, note and authors first.
- `studies.csv`: one row per study, written by the import.
- `dictionary.csv`: every variable with meaning, unit, range and missing code.
- `introduction.md`, if you write it: the introduction of the book, in paragraphs, with emphasis, lists and links.
- `sessions/<study>.csv`, `patients/<study>.csv`: the data. An empty cell is a missing value.
"""


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
