"""A collection of studies: its registry, and the only reader of participants' data.

A collection is a folder with `collection.yml` (what the pair is), `studies.csv` (one row per study),
`dictionary.csv` (every variable) and, for each study, a file of sessions and, where there is one, a
file of patients. Reading validates; nothing is guessed and nothing is repaired.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import introduction
from twostage.collection import part as collection_part
from twostage.collection import settings as collection_file
from twostage.collection.large_study import LargeStudy, open_large
from twostage.collection.registry import TABLES, Registry, read_registry
from twostage.collection.review import Review
from twostage.collection.same_data import Examined, duplicates, overlaps, patient_series, scores_digest
from twostage.collection.settings import Variable
from twostage.collection.shared_studies import FOLDER, PULLED_MARK, with_shared
from twostage.collection.study_files import StudyFiles
from twostage.collection.window import outside_window
from twostage.params import make_parameters
from twostage.problems import CollectionError, Problem, distinct, nearest
from twostage.words import Words

#: File of a collection that lists the releases of its results (:mod:`twostage.interchange.releases`).
VERSIONS = "versions.csv"


@dataclass(frozen=True)
class Study:
    """One study's data, validated.

    Attributes
    ----------
    id : str
    info : dict
        Its row of the registry.
    x, y : Variable
    sessions : pandas.DataFrame
        patient (str), session (int), x, y (float, NaN where missing), sorted; scores as in the file. Where the collection
        has it, day (float, NaN where not known): days from any day that is the same for all of a patient's sessions.
    patients : pandas.DataFrame or None
        patient and, as far as the study has them, therapist, age, gender, pre, post.
    checksum : str
        SHA-256 over the study's own rows, whatever their order and whatever else a shared file holds.
    x_direction, y_direction : int
        1, or -1 for a measure scored the other way (flipped by :mod:`twostage.stage1.panel`).
    """

    id: str
    info: dict[str, Any]
    x: Variable
    y: Variable
    sessions: pd.DataFrame
    patients: pd.DataFrame | None
    checksum: str
    x_direction: int
    y_direction: int

    @property
    def has_outcome(self) -> bool:
        """Whether any patient has both an intake and a posttreatment score."""
        if self.patients is None or not {"pre", "post"} <= set(self.patients):
            return False
        return bool(self.patients[["pre", "post"]].notna().all(axis=1).any())


@dataclass(frozen=True)
class Collection:
    """A collection's registry; the data of a study are read by :meth:`study`.

    Attributes
    ----------
    path : Path
    name, title, note : str
        Folder's name, title of the book, and the sentence on what the data are that each page shows.
    authors, address : str
        Who signs the book; empty if nobody does.
    synthetic : bool
    x, y : Variable
    words : Words
        What persons and occasions are called.
    condition : str
        What the data are like, of the kinds of data of :mod:`twostage.recovery.conditions`.
    introduction : str
        The book's introduction, from ``introduction.md``; empty if the collection has none.
    review : Review
        What the authors say of how the review was done.
    risk_of_bias : pandas.DataFrame or None
        Judgements of the studies' risk of bias: study, domain, judgement, reason.
    pre, post : str or None
        The patient-level columns of intake and outcome.
    day : str or None
        The sessions' column with the day of each.
    defaults : dict
        Parameters that differ from the package's defaults.
    studies : pandas.DataFrame
        One row per study, in the order of the registry; then those that shared results instead of data.
    dictionary : pandas.DataFrame
    truth : pandas.DataFrame or None
        Generating values of simulated data.
    """

    path: Path
    name: str
    title: str
    note: str
    authors: str
    address: str
    synthetic: bool
    x: Variable
    y: Variable
    words: Words
    condition: str
    introduction: str
    review: Review
    risk_of_bias: pd.DataFrame | None
    pre: str | None
    post: str | None
    day: str | None
    defaults: dict[str, Any]
    studies: pd.DataFrame
    dictionary: pd.DataFrame
    truth: pd.DataFrame | None
    _files: StudyFiles = field(repr=False, compare=False)
    _rows: tuple[int, ...] = field(repr=False, compare=False)
    _shared: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    @property
    def shared(self) -> tuple[str, ...]:
        """Ids of the studies that shared results instead of data (:mod:`twostage.sharing`)."""
        return tuple(id for id in self.studies["study"] if id in self._shared)

    @property
    def origins(self) -> dict[str, str]:
        """Study -> where its estimates come from: ``participants`` (its data), a ``bundle``, or ``pulled`` results."""
        rows = self.studies[["study", "label"]].itertuples(index=False, name=None)
        marked = {
            s: "pulled" if label.endswith(PULLED_MARK) else "bundle" for s, label in rows if s in self._shared
        }
        return dict.fromkeys(self.studies["study"], "participants") | marked

    def _repr_html_(self) -> str:
        # It imports IPython, which takes longer than all a command needs of a collection.
        from twostage.display import html_table

        return html_table(self.studies[["study", "label", "country", "year", "n"]])

    def study(self, id: str) -> Study | LargeStudy:
        """Read and validate one study; one too large for memory is checked now and read in pieces later.

        Raises
        ------
        CollectionError
            If the collection has no such study, or with every problem of the study's files.
        """
        study, problems = self._read(id)
        if study is None:
            raise CollectionError(problems)
        return study

    def _row(self, id: str) -> dict[str, Any]:
        """A study's row of the registry."""
        position = list(self.studies["study"]).index(id)
        return {str(column): value for column, value in self.studies.iloc[position].to_dict().items()}

    def files(self, id: str | None = None) -> list[Path]:
        """What reading opens: the files of one study, or those of the registry, whether they are there or not."""
        if id is None:
            return [
                self.path.resolve() / name
                for name in (collection_file.FILE, introduction.FILE, *TABLES, FOLDER)
            ]
        return self._files.paths(self._row(id))

    def only(self, studies: Sequence[str]) -> "Collection":
        """Some of the studies, in the order of the registry; the note says that they are not all.

        Raises
        ------
        CollectionError
            Naming each study that the collection does not have.
        """
        ids = list(self.studies["study"])
        problems = [self._unknown(id) for id in dict.fromkeys(studies) if id not in ids]
        if problems or not studies:
            raise CollectionError(problems or [self._unknown("")])
        keep = self.studies["study"].isin(list(studies)).to_numpy()
        if keep.all():
            return self
        chosen = self.studies[keep].reset_index(drop=True)
        note = f"{self.note} Only {len(chosen)} of {len(ids)} studies: {', '.join(chosen['study'])}."
        rows = tuple(row for row, kept in zip(self._rows, keep, strict=True) if kept)
        return replace(self, studies=chosen, note=note, _rows=rows)

    def _unknown(self, id: str) -> Problem:
        ids = list(self.studies["study"])
        expected = f"one of {', '.join(ids) or 'no study: the collection is empty'}{nearest(id, ids)}"
        return Problem(str(self.path / "studies.csv"), None, "study", id, expected)

    def _read(self, id: str) -> tuple[Study | LargeStudy | None, list[Problem]]:
        ids = list(self.studies["study"])
        if id not in ids:
            return None, [self._unknown(id)]
        if id in self._shared:
            expected = "a study with data: this one shared its results only"
            return None, [Problem(f"{FOLDER}/{id}", None, "study", id, expected)]
        info = self._row(id)
        if (large := self._files.in_pieces(info)) is not None:
            return open_large(info, self._rows[ids.index(id)], (self.x, self.y), large)
        sessions, patients, problems = self._files.read(info, self._rows[ids.index(id)])
        if problems:
            return None, problems
        directions = {f"{v}_direction": int(info[f"{v}_direction"]) for v in ("x", "y")}
        checksum = _checksum(sessions, patients)
        return Study(id, info, self.x, self.y, sessions, patients, checksum, **directions), []


def _checksum(sessions: pd.DataFrame, patients: pd.DataFrame | None) -> str:
    """SHA-256 over the values of the columns, whatever file they came from."""
    digest = hashlib.sha256()
    ordered = () if patients is None else (patients.sort_values("patient", kind="stable"),)
    for table in (sessions, *ordered):
        for name, column in table.items():
            digest.update(f"{name} {len(column)}\n".encode())
            digest.update(_binary(column))
    return digest.hexdigest()


def _binary(column: pd.Series) -> bytes:
    """A column's values: numbers in 64 bits; texts once each with their length, and for each row which it is."""
    if pd.api.types.is_integer_dtype(column):
        return column.to_numpy(dtype="<i8").tobytes()
    if pd.api.types.is_float_dtype(column):
        # There are many ways in which a number may be none.
        return np.where(column.isna(), np.nan, column).astype("<f8").tobytes()
    codes, texts = pd.factorize(column)
    # A list first: going through a column of texts one by one takes twenty times as long.
    encoded = [str(text).encode() for text in texts.tolist()]
    lengths = np.array([len(text) for text in encoded], dtype="<i8")
    return b"".join([codes.astype("<i8").tobytes(), lengths.tobytes(), *encoded])


def locate_collection(path: str | Path) -> Path:
    """Find a collection: as given, or below the nearest parent folder that has it."""
    path = Path(path)
    if path.is_absolute() or path.exists():
        return path
    for parent in Path.cwd().resolve().parents:
        if any((parent / path / name).is_file() for name in (collection_file.FILE, collection_part.FILE)):
            return parent / path
    return path


def read_collection(path: str | Path) -> Collection:
    """Read and validate a collection's registry.

    Parameters
    ----------
    path : path
        Its folder, or one whose ``part.yml`` names some studies of a collection.

    Returns
    -------
    Collection

    Raises
    ------
    CollectionError
        With every problem of `collection.yml`, `dictionary.csv` and `studies.csv`.

    Examples
    --------
    In the project's folder, where `data` is its collection:

    >>> import twostage as ts
    >>> collection = ts.read_collection("data")
    >>> len(collection.studies), collection.x.label, collection.y.label
    (17, 'alliance', 'symptom severity')
    >>> study = collection.study("S01")
    >>> list(study.sessions)
    ['patient', 'session', 'x', 'y', 'day']
    """
    path = locate_collection(path)
    if (part := collection_part.read_part(path)) is not None:
        return read_collection(part.collection).only(part.studies)
    registry, problems = read_registry(path)
    if problems or registry is None:
        raise CollectionError(problems)
    return _collection(path, registry)


def _collection(path: Path, registry: Registry) -> Collection:
    settings = registry.settings
    return Collection(
        path=path,
        name=path.resolve().name,
        title=settings.title,
        note=settings.note,
        authors=settings.authors,
        address=settings.address,
        synthetic=settings.synthetic,
        x=settings.x,
        y=settings.y,
        words=settings.words,
        condition=settings.condition,
        introduction=registry.introduction,
        review=settings.review,
        risk_of_bias=registry.risk_of_bias,
        pre=settings.patient_column("pre"),
        post=settings.patient_column("post"),
        day=settings.day,
        defaults=dict(settings.parameters),
        studies=with_shared(registry.studies, registry.shared),
        dictionary=registry.dictionary.reset_index(drop=True),
        truth=registry.truth,
        _files=StudyFiles(path, settings, registry.dictionary),
        # A shared study has no line in studies.csv.
        _rows=(*map(int, registry.studies.index), *[0] * len(registry.shared)),
        _shared=frozenset(registry.shared["study"]),
    )


def examine_collection(path: str | Path) -> Examined:
    """Read all of a collection: its registry and all its studies' files.

    What hides something is no reason to stop: the other studies are read where one study's row or file
    is beyond use, and the rest of a file where one row is. Only where `collection.yml` or a table of the
    registry is itself unusable are studies' files not opened.
    """
    path = locate_collection(path)
    registry, problems = read_registry(path)
    digests, series, lines, outside, saved = {}, {}, {}, {}, {}
    if registry is not None:
        collection = _collection(path, registry)
        lines = dict(zip(collection.studies["study"], collection._rows, strict=True))
        chosen = make_parameters(collection.defaults)
        window = chosen.first_session, chosen.last_session
        for id in (id for id in collection.studies["study"] if id not in collection.shared):
            study, more = collection._read(id)
            problems += more
            # Studies read in pieces are not compared with others: their patients are never together.
            if isinstance(study, Study):
                digests[id], series[id] = scores_digest(study.sessions), patient_series(study.sessions)
                if said := outside_window(study.sessions, window):
                    outside[id] = said
        saved = registry.said | collection._files.said
    # A file that studies share has the same problems for each of them.
    pairs = tuple(duplicates(digests)), lines, tuple(overlaps(series))
    return Examined(distinct(problems), *pairs, outside, saved)


def validate_collection(path: str | Path, *, same_data: bool = False) -> tuple[Problem, ...]:
    """Every problem of a collection, as :func:`examine_collection` finds them.

    Parameters
    ----------
    path : path
    same_data : bool
        Whether studies may have the same scores.

    Returns
    -------
    tuple of Problem
        Empty if the collection can be used.
    """
    found = examine_collection(path)
    return found.problems if same_data else (*found.problems, *found.same_data())
