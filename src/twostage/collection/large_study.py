"""A study too large for memory: its Parquet files are read some patients at a time, each patient whole.

An embedded engine (DuckDB, an optional dependency: ``pip install twostage[large]``) gathers a patient's rows and lays
their scores out by session, in the order of the patients, whatever the order of the rows. Measured on 10^6 patients
(6.3 million rows), processor time: DuckDB 2.3 s in pieces, 3.5 s in one query, 4.4 s where it sorts the rows and we lay
them out; merely reading the same columns takes 2.5 s in pyarrow, which cannot sort beyond memory; and it is one library
of 67 MB, pyarrow and Polars are 170 MB each.

A piece is a range of patients where the file's statistics say that it is in their order (the engine then opens only that
part of it), and otherwise those whose name has a certain hash, for which the whole file is read again.
"""

import hashlib
import tempfile
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from twostage.collection.schema import SESSION_LIMITS
from twostage.collection.settings import Variable
from twostage.problems import CollectionError, Problem

#: Rows of sessions from which on a Parquet file is read in pieces, unless collection.yml says otherwise (`in_pieces`): a
#: table of so many rows, its checks and its panels take about 2 GB.
LARGE_ROWS = 2_000_000


#: Rows of a piece, about: 10^5 patients, whose arrays take some ten megabytes.
PIECE_ROWS = 800_000


#: Patients whose arrays are worked on at a time: they stay in the processor's cache.
CACHED = 4_096


#: Studies whose checks and pieces are remembered.
OPEN_AT_ONCE = 8


#: What the engine may hold at a time; beyond, it uses the disk.
ENGINE_MEMORY = "1GB"


#: Sessions that are all kept at the first reading, so that other windows need no second one.
KEPT_SESSIONS = 32


#: Sessions numbered below this can be counted as the bits of one number.
BITS = 62


#: Problems of one kind that are named.
NAMED = 3


_WHOLE, _REAL, _LABEL = ("INT", "DECIMAL(18,0)"), ("INT", "FLOAT", "DOUBLE", "DECIMAL"), ("VARCHAR", "INT")


@dataclass(frozen=True)
class Piece:
    """Some patients of a study, each whole, in the order of their names.

    Attributes
    ----------
    scores : (n, T, 2) array
        x and y as in the file by session of a window; NaN where missing.
    outcome : (n, 2) array
        Intake and posttreatment scores; NaN where missing or where the study has none.
    """

    scores: np.ndarray
    outcome: np.ndarray


@dataclass(frozen=True)
class PieceFile:
    """A Parquet file of patients' rows.

    Attributes
    ----------
    path : Path
    name : str
        What to call it in messages.
    columns : dict
        Our name -> the file's.
    missing : dict
        Our name -> number that stands for a missing value, where one does.
    limits : tuple of float
        Lowest and highest session.
    """

    path: Path
    name: str
    columns: dict[str, str]
    missing: dict[str, float]
    limits: tuple[float, float] = SESSION_LIMITS

    def score(self, name: str) -> str:
        """SQL for a number that is NULL where it is missing."""
        value = f"CAST({quoted(self.columns[name])} AS DOUBLE)"
        value = f"CASE WHEN isnan({value}) THEN NULL ELSE {value} END"
        return f"nullif({value}, {self.missing[name]!r})" if name in self.missing else value

    @property
    def patient(self) -> str:
        """SQL for the patient's name."""
        return f"CAST({quoted(self.columns['patient'])} AS VARCHAR)"


@dataclass(frozen=True)
class LargeStudy:
    """One study's data, validated, that are read in pieces; what `Study` is to a study in memory.

    Attributes
    ----------
    id, info, x, y, x_direction, y_direction
        As there.
    checksum : str
        SHA-256 over the files' bytes.
    n_enrolled, n_pieces : int
        Patients; pieces in which they come.
    has_outcome : bool
        Whether any patient has both an intake and a posttreatment score.
    has_patients : tuple of str
        Which of pre and post its file of patients has.
    over : callable
        ``over(work, first, last)``: :func:`summed` here, or on the workers of a cluster
        (:mod:`twostage.pipeline.cluster`).
    """

    id: str
    info: dict[str, Any]
    x: Variable
    y: Variable
    x_direction: int
    y_direction: int
    checksum: str
    n_enrolled: int
    n_pieces: int
    has_outcome: bool
    has_patients: tuple[str, ...]
    pieces: "Pieces" = field(repr=False)
    over_pieces: Callable[..., Any] | None = field(default=None, repr=False, compare=False)

    @property
    def sessions(self) -> Any:
        """None: what needs all sessions of a study at once is refused by name."""
        expected = (
            "a study that fits into memory: this one is read in pieces, and this needs all of it at once"
        )
        found = f"{self.n_enrolled} patients"
        raise CollectionError([Problem(self.pieces.sessions.name, None, None, found, expected)])

    patients = sessions

    def over(self, work: Callable[[Piece], Any], first: int, last: int) -> Any:
        """``work(piece)`` of every piece, merged (:func:`merged`); sessions `first` to `last`."""
        if self.over_pieces is not None:
            return self.over_pieces(self.pieces, work, first, last)
        total = None
        for number in range(self.n_pieces):
            total = merged(total, self.pieces.over(work, number, first, last))
        return total


def merged(a: Any, b: Any) -> Any:
    """Two sums: what has several parts is merged part by part, anything else by ``+``; None is nothing."""
    if a is None or b is None:
        return b if a is None else a
    if isinstance(a, Mapping):
        return {key: merged(a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b])}
    if isinstance(a, tuple):
        return tuple(merged(one, other) for one, other in zip(a, b, strict=True))
    return a + b


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def is_large(path: Path, in_pieces: bool | None) -> bool:
    """Whether a study's file of sessions is to be read in pieces: as said, or if it has :data:`LARGE_ROWS` rows."""
    if path.suffix != ".parquet" or in_pieces is False or not path.is_file():
        return False
    if in_pieces:
        return True
    # A row takes at least some bits; small collections do without the engine.
    if path.stat().st_size < LARGE_ROWS // 8:
        return False
    rows = _rows(path)
    return rows is not None and rows >= LARGE_ROWS  # a damaged file is read as a small one, which says so


def _rows(path: Path) -> int | None:
    """How many rows a file says it has; None of one that is no Parquet file."""
    connection = engine(path.name)
    # There, as an engine was made.
    import duckdb

    try:
        query = "SELECT sum(num_rows) FROM parquet_file_metadata(?)"
        return int(connection.execute(query, [str(path)]).fetchone()[0])
    except duckdb.Error:
        return None


def engine(name: str):
    """A new engine without memory of anything and without a network."""
    try:
        # Small studies do without it, and it takes a tenth of a second.
        import duckdb
    except ImportError:
        expected = "the package duckdb, which reads files in Parquet: pip install 'twostage[large]'"
        raise CollectionError([Problem(name, None, None, "no engine", expected)]) from None
    config = {"memory_limit": ENGINE_MEMORY, "autoinstall_known_extensions": False}
    return duckdb.connect(config={**config, "autoload_known_extensions": False})


def open_large(
    info: dict[str, Any], row: int, variables: tuple[Variable, Variable], files: "list[PieceFile | None]"
) -> tuple[LargeStudy | None, list[Problem]]:
    """Open a study and check all of it.

    Parameters
    ----------
    info : dict
        Its row of the registry.
    row : int
        The line of that row in studies.csv.
    variables : tuple of Variable
        x and y.
    files : list of PieceFile
        Sessions, patients (or None).
    """
    sessions, patients = files[0], files[1]
    absent = [
        Problem(f.name, None, None, "no such file", "this file") for f in files if f and not f.path.is_file()
    ]
    if absent:
        return None, absent
    key = _state([f for f in files if f], info)
    if key not in _OPENED:
        study, problems = _opened(info, row, variables, sessions, patients)
        if study is None:
            return None, problems
        while len(_OPENED) >= OPEN_AT_ONCE:
            _OPENED.pop(next(iter(_OPENED)))
        _OPENED[key] = study
    return replace(_OPENED[key], x=variables[0], y=variables[1], info=info), []


#: Studies opened before in this process: a command that plans a run and then carries it out reads each once.
_OPENED: dict[tuple, LargeStudy] = {}


def _state(files: "list[PieceFile]", info: Mapping[str, Any]) -> tuple:
    """What changes where a study's files or the registry's row do."""
    stats = [(f, f.path.stat()) for f in files]
    return (repr([(f, s.st_mtime_ns, s.st_size, s.st_ino) for f, s in stats]), repr(sorted(info.items())))


def _opened(
    info: dict[str, Any],
    row: int,
    variables: tuple[Variable, Variable],
    sessions: PieceFile,
    patients: PieceFile | None,
) -> tuple[LargeStudy | None, list[Problem]]:
    """A study whose files can be read to their ends, or what is wrong."""
    damaged = [f for f in (sessions, patients) if f and _rows(f.path) is None]
    import duckdb

    try:
        if not damaged:
            return _open(info, row, variables, sessions, patients)
        said = "no Parquet file"
    except duckdb.Error as error:
        # All rows are read here, so that none can end an analysis later.
        said, damaged = type(error).__name__, [f for f in (sessions, patients) if f]
    return None, [Problem(f.name, None, None, said, "a Parquet file that can be read") for f in damaged]


def _open(
    info: dict[str, Any],
    row: int,
    variables: tuple[Variable, Variable],
    sessions: PieceFile,
    patients: PieceFile | None,
) -> tuple[LargeStudy | None, list[Problem]]:
    files = [sessions, patients]
    connection = engine(sessions.name)
    problems = _column_problems(
        connection, sessions, {"patient": _LABEL, "session": _WHOLE, "x": _REAL, "y": _REAL}
    )
    scores = tuple(c for c in ("pre", "post") if patients and c in patients.columns)
    if patients:
        problems += _column_problems(connection, patients, {"patient": _LABEL} | dict.fromkeys(scores, _REAL))
    if problems:
        return None, problems
    ends = {v: (float(info[f"{v}_min"]), float(info[f"{v}_max"])) for v in ("x", "y")}
    ends |= {"session": sessions.limits} | dict.fromkeys(scores, (float(info["y_min"]), float(info["y_max"])))
    problems = [p for f in files if f for p in _range_problems(connection, f, ends)]
    if problems:
        return None, problems
    pieces = Pieces(sessions, patients, scores)
    found: dict[str, int] = {}
    for number in range(pieces.count):
        found = merged(found, pieces.counts(number))
    problems = _count_problems(connection, found, sessions, patients, info, row)
    if problems:
        return None, problems
    study = LargeStudy(
        id=info["study"],
        info=info,
        x=variables[0],
        y=variables[1],
        x_direction=int(info["x_direction"]),
        y_direction=int(info["y_direction"]),
        checksum=_checksum([f.path for f in files if f]),
        n_enrolled=found["patients"],
        n_pieces=pieces.count,
        has_outcome=found["outcomes"] > 0,
        has_patients=scores,
        pieces=pieces,
    )
    return study, []


def _checksum(paths: list[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _column_problems(connection, file: PieceFile, kinds: Mapping[str, tuple[str, ...]]) -> list[Problem]:
    rows = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(file.path)]).fetchall()
    types = {name: kind for name, kind, *_ in rows}
    there = ", ".join(types) or "no column"
    problems = []
    words = {_LABEL: "text or whole numbers", _WHOLE: "whole numbers", _REAL: "numbers"}
    for ours, allowed in kinds.items():
        name = file.columns[ours]
        if name not in types:
            problems.append(Problem(file.name, None, name, there, f"a column {name!r}"))
        elif not any(kind in types[name].removeprefix("U") for kind in allowed):
            problems.append(Problem(file.name, None, name, types[name], f"a column of {words[allowed]}"))
    return problems


def _range_problems(connection, file: PieceFile, ends: Mapping[str, tuple[float, float]]) -> list[Problem]:
    """Numbers out of their ranges; only where there are any, a second look says in which rows."""
    names = [c for c in file.columns if c in ends]
    if not names:
        return []
    whole = {c: quoted(file.columns[c]) if c == "session" else file.score(c) for c in names}
    ask = ", ".join(f"min({sql}), max({sql}), count(*) - count({sql})" for sql in whole.values())
    found = connection.execute(f"SELECT {ask} FROM read_parquet(?)", [str(file.path)]).fetchone()
    problems = []
    for at, column in enumerate(names):
        (low, high, absent), (least, most) = found[3 * at : 3 * at + 3], ends[column]
        if (low is not None and (low < least or high > most)) or (column == "session" and absent):
            outside = f"{whole[column]} NOT BETWEEN {least!r} AND {most!r}"
            outside += f" OR {whole[column]} IS NULL" if column == "session" else ""
            problems += _named(connection, file, column, outside, f"{least:g} to {most:g}")
    return problems


def _named(connection, file: PieceFile, column: str, condition: str, expected: str) -> list[Problem]:
    """The first rows that fulfil a condition, and how many there are."""
    rows = "FROM read_parquet(?, file_row_number=true)"
    where = [str(file.path)]
    many = connection.execute(f"SELECT count(*) {rows} WHERE {condition}", where).fetchone()[0]
    name = file.columns[column]
    query = f"SELECT file_row_number, {quoted(name)} {rows} WHERE {condition} ORDER BY 1 LIMIT {NAMED}"
    more = f" (in {many} rows)" if many > 1 else ""
    # Rows are counted as an editor would count those of the same table as text, below a header.
    return [
        Problem(file.name, int(at) + 2, name, value, expected + more)
        for at, value in connection.execute(query, where).fetchall()
    ]


def _count_problems(
    connection, found: Mapping[str, int], sessions: PieceFile, patients: PieceFile | None, info, row: int
) -> list[Problem]:
    problems = []
    if found["odd"]:
        for file in (f for f in (sessions, patients) if f):
            condition = f"coalesce({file.patient}, '') = '' OR trim({file.patient}) <> {file.patient}"
            expected = "a patient, without blanks around the name"
            problems += _named(connection, file, "patient", condition, expected)
    if found["repeated"]:
        what = f"{found['repeated']} patients with a session that comes again"
        problems.append(
            Problem(sessions.name, None, sessions.columns["session"], what, "each patient and session once")
        )
    if found["twice"]:
        problems.append(
            Problem(
                patients.name,
                None,
                patients.columns["patient"],
                f"{found['twice']} patients again",
                "each patient once",
            )
        )
    for key, here, there in (("only_sessions", sessions, patients), ("only_patients", patients, sessions)):
        if found[key]:
            what, expected = f"{found[key]} patients", f"patients of {there.name} only"
            problems.append(Problem(here.name, None, here.columns["patient"], what, expected))
    if not problems and found["patients"] != info["n"]:
        expected = f"{found['patients']}, the patients in the study's files"
        problems.append(Problem("studies.csv", row, "n", int(info["n"]), expected))
    return problems


class Pieces:
    """The pieces of a study's files, and what was read of them so far in a nameless temporary file.

    Travels to other processes without either.
    """

    def __init__(self, sessions: PieceFile, patients: PieceFile | None, scores: tuple[str, ...]):
        self.sessions, self.patients, self.scores = sessions, patients, scores
        connection = engine(sessions.name)
        file, session = [str(sessions.path)], quoted(sessions.columns["session"])
        query = f"SELECT min({session}), max({session}), count(*) FROM read_parquet(?)"
        low, high, rows = connection.execute(query, file).fetchone()
        self.sessions_there = (int(low), int(high)) if rows else (0, 0)
        self.rules = _rules(connection, sessions, int(rows))
        self._forget()

    def _forget(self) -> None:
        if getattr(self, "_store", None) is not None:
            self._store.close()
        self._store, self._kept, self._end = None, {}, 0
        self.window = None

    def __getstate__(self) -> dict[str, Any]:
        return {
            k: v
            for k, v in vars(self).items()
            if k in ("sessions", "patients", "scores", "sessions_there", "rules")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.rules)

    def over(self, work: Callable[[Piece], Any], number: int, first: int, last: int) -> Any:
        """``work`` of one of them, a few thousand patients at a time, merged; sessions `first` to `last`."""
        total, whole = None, self.piece(number, first, last)
        for begin in range(0, len(whole.scores), CACHED):
            some = slice(begin, begin + CACHED)
            total = merged(total, work(Piece(whole.scores[some], whole.outcome[some])))
        return total

    def piece(self, number: int, first: int, last: int) -> Piece:
        """One of them; a second time it does not come from the study's file."""
        window = self.window
        if window is None or not (window[0] <= first and last <= window[1]):
            low, high = self.sessions_there
            whole = (min(low, first), max(high, last))
            self._forget()
            self.window = whole if whole[1] - whole[0] < KEPT_SESSIONS else (first, last)
        if number not in self._kept:
            self._keep(number, self._table(number)[0])
        offset, width, n = self._kept[number]
        self._store.seek(offset)
        table = np.frombuffer(self._store.read(8 * n * width)).reshape(width, n)
        begin, T = first - self.window[0], last - first + 1
        scores = table[2:].reshape(-1, 2, n)[begin : begin + T]
        # Patients last in memory: sums over sessions then run along them.
        return Piece(scores.transpose(2, 0, 1), table[:2].T)

    def counts(self, number: int) -> dict[str, int]:
        """How many patients a piece has, and how many with something wrong; what was read is kept."""
        if self.window is None:
            low, high = self.sessions_there
            self.window = (low, min(high, low + KEPT_SESSIONS - 1))
        table, counts = self._table(number)
        self._keep(number, table)
        return counts

    def _keep(self, number: int, table: np.ndarray) -> None:
        if self._store is None:
            # It has no name, so that nothing is left of it however the process ends.
            self._store = tempfile.TemporaryFile()  # noqa: SIM115
            weakref.finalize(self, self._store.close)
        self._store.seek(self._end)
        self._store.write(table.tobytes())
        self._kept[number] = (self._end, *table.shape)
        self._end += table.nbytes

    def _table(self, number: int) -> tuple[np.ndarray, dict[str, int]]:
        """Intake, outcome and the scores of the sessions to keep, by patient; and their counts."""
        columns, tables = _query(self, number)
        found = engine(self.sessions.name).execute(*tables).fetchnumpy()
        n = len(found["n_rows"])
        table = np.empty((2 + len(columns), n))
        for at, name in enumerate(("pre", "post", *columns)):
            table[at] = np.ma.filled(found[name].astype(float), np.nan) if name in found else np.nan
        counts = {"patients": n, "outcomes": int(np.isfinite(table[:2]).all(axis=0).sum())}
        for name in ("odd", "repeated", "twice", "only_sessions", "only_patients"):
            counts[name] = int(np.ma.filled(found[name], 0).sum())
        return table, counts


def _rules(connection, file: PieceFile, rows: int) -> tuple[tuple[str, tuple], ...]:
    """For each piece the SQL condition on the column {patient} that its rows fulfil, and its parameters."""
    number = max(1, -(-rows // PIECE_ROWS))
    if number == 1:
        return (("TRUE", ()),)
    query = (
        "SELECT stats_min_value, stats_max_value, row_group_num_rows FROM parquet_metadata(?) "
        "WHERE path_in_schema = ? ORDER BY row_group_id"
    )
    groups = connection.execute(query, [str(file.path), file.columns["patient"]]).fetchall()
    kind = connection.execute(
        f"SELECT typeof({quoted(file.columns['patient'])}) FROM read_parquet(?) LIMIT 1", [str(file.path)]
    )
    texts = kind.fetchone()[0] == "VARCHAR"
    known = all(low is not None and high is not None for low, high, _ in groups)
    ordered = texts and known and all(a[1] <= b[0] for a, b in zip(groups, groups[1:], strict=False))
    if not ordered or len(groups) < number:
        return tuple(("hash({patient}) % ? = ?", (number, k)) for k in range(number))
    bounds, since = [], 0
    for (_, _, of_group), (low, _, _) in zip(groups, groups[1:], strict=False):
        since += of_group
        if since >= PIECE_ROWS and (not bounds or low > bounds[-1]):
            bounds.append(low)
            since = 0
    ends = zip([None, *bounds], [*bounds, None], strict=True)
    return tuple(_between(low, high) for low, high in ends)


def _between(low: str | None, high: str | None) -> tuple[str, tuple]:
    conditions = [text for text, end in (("{patient} >= ?", low), ("{patient} < ?", high)) if end is not None]
    return " AND ".join(conditions) or "TRUE", tuple(end for end in (low, high) if end is not None)


def _query(pieces: Pieces, number: int) -> tuple[list[str], tuple[str, list]]:
    """The columns of scores that a piece is to have, and the query for them with its parameters."""
    sessions, patients, (rule, values) = pieces.sessions, pieces.patients, pieces.rules[number]
    session, (first, last) = quoted(sessions.columns["session"]), pieces.window
    named = {
        f"{v}{t}": f"max({sessions.score(v)}) FILTER ({session} = {t})"
        for t in range(first, last + 1)
        for v in ("x", "y")
    }
    # A bit per session is a third faster than counting different ones.
    bits = f"bit_count(bit_or(1::BIGINT << {session}::INTEGER))"
    different = bits if pieces.sessions_there[1] < BITS else f"count(DISTINCT {session})"
    columns = ", ".join(f"{sql} AS {score}" for score, sql in named.items())
    name = sessions.patient
    of_sessions = (
        f"SELECT {name} AS patient, count(*) AS n_rows, (count(*) > {different})::INTEGER AS repeated, "
        f"(coalesce({name}, '') = '' OR trim({name}) <> {name})::INTEGER AS odd, "
        f"{columns} FROM read_parquet(?) WHERE {rule.format(patient=name)} GROUP BY 1"
    )
    if patients is None:
        none = "0 AS twice, 0 AS only_sessions, 0 AS only_patients"
        return list(named), (
            f"SELECT *, {none} FROM ({of_sessions}) ORDER BY patient",
            [str(sessions.path), *values],
        )
    scores = "".join(f", max({patients.score(name)}) AS {name}" for name in pieces.scores)
    of_patients = (
        f"SELECT {patients.patient} AS patient, (count(*) > 1)::INTEGER AS twice{scores} FROM read_parquet(?) "
        f"WHERE {rule.format(patient=patients.patient)} GROUP BY 1"
    )
    query = (
        "SELECT s.* EXCLUDE (patient), p.* EXCLUDE (patient), (p.patient IS NULL)::INTEGER AS only_sessions, "
        "(s.patient IS NULL)::INTEGER AS only_patients "
        f"FROM ({of_sessions}) s FULL JOIN ({of_patients}) p ON s.patient = p.patient "
        "ORDER BY coalesce(s.patient, p.patient)"
    )
    return list(named), (query, [str(sessions.path), *values, str(patients.path), *values])


def piece_file(
    folder: Path,
    name: str,
    columns: Mapping[str, str],
    missing: Mapping[str, str],
    limits: tuple[float, float],
) -> PieceFile:
    """A study's file of one kind; `missing` has what stands for a missing value by the file's columns."""
    codes = {ours: missing.get(theirs, "") for ours, theirs in columns.items()}
    numbers = {ours: float(code) for ours, code in codes.items() if code and _is_number(code)}
    return PieceFile(folder / name, name, dict(columns), numbers, limits)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
