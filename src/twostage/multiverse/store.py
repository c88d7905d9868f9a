"""The stored results of a multiverse: beside the collection that it is of."""

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from twostage.collection import Collection, LargeStudy, Study
from twostage.display import html_table
from twostage.files import write_bytes, write_files
from twostage.multiverse.grid import CHOICES, FILE, GridError, make_grid
from twostage.multiverse.pools import NUMBERS, Pools
from twostage.multiverse.specifications import Specifications
from twostage.problems import Problem, ProblemError
from twostage.recovery.code import code_checksum
from twostage.stats.multiverse import STATISTICS
from twostage.terms import DIRECTIONS
from twostage.text import to_csv

FOLDER = "multiverse"


#: Its files: a row per specification and direction; the pools under priors; the draws without an effect; what it is.
TABLE, PRIORS, NULL, ABOUT = "specifications.csv.gz", "priors.csv", "null.csv", "about.json"


#: The modules whose code, with what it imports, makes the results.
MAKERS = ("twostage.multiverse.null", "twostage.multiverse.priors")


#: Columns of the table of specifications after the choices.
RESULTS = ("direction", "k", *NUMBERS)


#: What ``about.json`` must say.
FIELDS = (
    *(
        "values",
        "sets",
        "dropped",
        "failed",
        "left_out",
        "grid_from",
        "level",
        "standardize",
        "least",
        "seed",
        "code",
    ),
    *("data", "seconds", "processes", "date", "commit", "package_version", "null", "thinned"),
)


class MultiverseError(ProblemError):
    """Stored results of a multiverse cannot be read."""

    subject = "multiverse"


@dataclass(frozen=True)
class Multiverse:
    """A stored multiverse.

    Attributes
    ----------
    table : DataFrame
        One row per specification and direction: specification, its choices, direction, k, estimate, std_error, ci_low,
        ci_high, p_value, tau2.
    priors : DataFrame
        As :func:`twostage.multiverse.priors.pool_under_priors` makes it.
    null : DataFrame
        One row per draw without an effect and direction: the joint statistics.
    about : dict
        :data:`FIELDS`.
    older_code, other_data, other_grid : bool
        Whether the code has changed since, the collection's studies or parameters have, or its grid has.
    """

    table: pd.DataFrame
    priors: pd.DataFrame
    null: pd.DataFrame
    about: dict[str, Any]
    older_code: bool
    other_data: bool
    other_grid: bool

    def tidy(self) -> pd.DataFrame:
        """One row per specification and direction."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row: specifications, draws, studies in the largest set."""
        studies = max(len(ids) for ids in self.about["sets"].values())
        return pd.DataFrame([{"specifications": len(self), "draws": self.draws, "studies": studies}])

    def __len__(self) -> int:
        return self.table["specification"].nunique()

    @property
    def draws(self) -> int:
        """Draws without an effect."""
        return len(self.null) // len(DIRECTIONS)

    @property
    def varied(self) -> list[str]:
        """The choices that have more than one value."""
        return [name for name in CHOICES if len(self.about["values"][name]) > 1]

    @cached_property
    def levels(self) -> np.ndarray:
        """Which value of each choice a specification has, (N, 10); in the order of the table."""
        rows = self.of(next(iter(DIRECTIONS)))
        places = {name: {str(v): i for i, v in enumerate(self.about["values"][name])} for name in CHOICES}
        return np.column_stack([rows[name].astype(str).map(places[name]).to_numpy(int) for name in CHOICES])

    def of(self, direction: str) -> pd.DataFrame:
        """The specifications of one direction, in their order; the first is the main analysis."""
        return self.table[self.table["direction"] == direction].reset_index(drop=True)

    def caution(self) -> str:
        """What a reader must know before using the numbers; empty if nothing."""
        reasons = ["the code that makes them has changed"] if self.older_code else []
        reasons += ["the studies or parameters of the collection have changed"] if self.other_data else []
        reasons += ["the grid of choices has changed"] if self.other_grid else []
        return f"These results are out of date: {' and '.join(reasons)} since." if reasons else ""

    def _repr_html_(self) -> str:
        return html_table(self.glance())


def study_key(study: Study) -> str:
    """SHA-256 of all of a study that its estimates depend on."""
    facts = {name: str(study.info.get(name)) for name in sorted(study.info) if name != "label"}
    told = [study.id, study.checksum, facts, study.x_direction, study.y_direction]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def readable_studies(collection: Collection) -> tuple[dict[str, Study], dict[str, str]]:
    """The studies whose scores can be analysed again, and why the others cannot."""
    found: dict[str, Study] = {}
    left_out = dict.fromkeys(collection.shared, "it shared results, not data")
    for id in (id for id in collection.studies["study"] if id not in left_out):
        study = collection.study(id)
        if isinstance(study, LargeStudy):
            left_out[id] = "its sessions are read in pieces"
        else:
            found[id] = study
    return found, left_out


def data_checksum(studies: Mapping[str, Study], parameters: Mapping[str, Any]) -> str:
    """SHA-256 of what a multiverse is made from, besides its grid."""
    told = json.dumps([[study_key(study) for study in studies.values()], parameters], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def makers_checksum() -> str:
    """SHA-256 of the code that makes the numbers."""
    return hashlib.sha256("".join(map(code_checksum, MAKERS)).encode()).hexdigest()


def result_table(specs: Specifications, pools: Pools) -> pd.DataFrame:
    """The table of specifications: one row per specification and direction, the directions one after the other."""
    choices = specs.table().astype(dict.fromkeys(CHOICES, str))
    parts = []
    for d, direction in enumerate(DIRECTIONS):
        numbers = {name: getattr(pools, name)[0, :, d] for name in ("k", *NUMBERS)}
        parts.append(choices.assign(direction=direction, **numbers))
    return pd.concat(parts, ignore_index=True)[["specification", *CHOICES, *RESULTS]]


def write_multiverse(
    collection: Path, table: pd.DataFrame, priors: pd.DataFrame, null: pd.DataFrame, about: dict[str, Any]
) -> Path:
    """Store a multiverse in the collection's folder; each file whole or not at all.

    Returns
    -------
    Path
        The folder.
    """
    folder = Path(collection) / FOLDER
    texts = {name: to_csv(t, float_format="%.8g").encode() for name, t in ((PRIORS, priors), (NULL, null))}
    # Without a time in it, so that the same numbers are the same file.
    packed = gzip.compress(to_csv(table, float_format="%.8g").encode(), mtime=0)
    contents = texts | {TABLE: packed, ABOUT: (json.dumps(about, indent=1, sort_keys=True) + "\n").encode()}
    write_files({folder / name: content for name, content in contents.items()})
    return folder


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Write the specifications with all digits, as CSV or, where the name ends in ``.parquet``, as Parquet."""
    if path.suffix != ".parquet":
        return write_bytes(path, to_csv(table).encode())
    # Most do without it, and it is an optional library.
    from twostage.collection import write_parquet

    return write_parquet(table, path)


def multiverse_files(collection: Path) -> list[Path]:
    """The files of a collection's multiverse, whether they are there or not; its grid if it has one."""
    grid = Path(collection) / FILE
    return [
        *(Path(collection) / FOLDER / name for name in (TABLE, PRIORS, NULL, ABOUT)),
        *[grid] * grid.is_file(),
    ]


#: Bytes of the table, unpacked, at most: a few hundred thousand specifications.
MOST_BYTES = 100_000_000


def read_multiverse(collection: Collection) -> Multiverse | None:
    """Read the multiverse of a collection.

    Returns
    -------
    Multiverse or None
        None where none was stored.

    Raises
    ------
    MultiverseError
        The files are there and cannot be read.
    """
    folder = collection.path / FOLDER
    if not (folder / ABOUT).is_file():
        return None
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        with gzip.open(folder / TABLE) as packed:
            content = packed.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"{TABLE} is larger than {MOST_BYTES:,} bytes")
        texts = {name: str for name in (*CHOICES, "direction")}
        table = pd.read_csv(
            BytesIO(content), dtype=texts, keep_default_na=False, na_values={c: [""] for c in NUMBERS}
        )
        priors, null = (pd.read_csv(folder / name) for name in (PRIORS, NULL))
    except (OSError, EOFError, ValueError) as error:
        raise MultiverseError(
            [Problem(str(folder), None, None, str(error), "what twostage multiverse writes")]
        ) from None
    problems = [Problem(str(folder / ABOUT), None, n, None, "a value") for n in FIELDS if n not in about]
    wanted = {TABLE: (table, ["specification", *CHOICES, *RESULTS]), NULL: (null, ["direction", *STATISTICS])}
    for file, (found, columns) in wanted.items():
        problems += [
            Problem(str(folder / file), None, c, None, "this column") for c in columns if c not in found
        ]
    if problems:
        raise MultiverseError(problems)
    return Multiverse(table, priors, null, about, *_out_of_date(collection, about))


def _out_of_date(collection: Collection, about: Mapping[str, Any]) -> tuple[bool, bool, bool]:
    """Whether code, data and grid are others than those of the stored results."""
    try:
        grid = make_grid(collection)
        told = grid.told()
        same = told.pop("sets") == about["sets"] and told == about["values"]
        parameters = grid.parameters.model_dump()
    except GridError:
        return True, True, True
    data = data_checksum(readable_studies(collection)[0], parameters)
    return (
        about["code"] != makers_checksum(),
        about["data"] != data,
        not same and about["grid_from"] != "given",
    )
