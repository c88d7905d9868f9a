"""The stored results of a recovery study: beside the collection whose designs it used."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from twostage.collection import Collection
from twostage.files import write_files
from twostage.params import make_parameters
from twostage.problems import Problem, ProblemError
from twostage.recovery.code import code_checksum
from twostage.recovery.conditions import ALL
from twostage.recovery.design import design_checksum
from twostage.recovery.studies import study_designs

FOLDER = "recovery"


@dataclass(frozen=True)
class Part:
    """A recovery study that is stored by itself: making one again leaves the others as they are.

    Attributes
    ----------
    table, about : str
        Its files.
    """

    table: str
    about: str


#: The study of the estimators at lag 1, and that of longer lags.
MAIN, LONGER_LAGS = Part("summary.csv", "about.json"), Part("lags.csv", "lags.json")


#: The module whose code makes the results.
MAKER = "twostage.recovery.replicate"


#: What `about.json` must say.
FIELDS = (
    "replicates",
    "fewest_replicates",
    "seed",
    "commit",
    "code",
    "design",
    "seconds",
    "processes",
    "package_version",
    "date",
)


class RecoveryError(ProblemError):
    """Stored results of a recovery study cannot be read."""

    subject = "recovery study"


@dataclass(frozen=True)
class Recovery:
    """A stored recovery study.

    Attributes
    ----------
    summary : DataFrame
        As :func:`twostage.recovery.measures.summarise` makes it.
    about : dict
        replicates, fewest_replicates (of the condition with most, and with fewest), seed, commit, code and design
        (checksums), seconds, processes, package_version, date.
    older_code, other_design : bool
        Whether the code has changed since, or the collection's studies have.
    """

    summary: pd.DataFrame
    about: dict[str, Any]
    older_code: bool
    other_design: bool

    def tidy(self) -> pd.DataFrame:
        """One row per condition, pool, estimator and coefficient."""
        return self.summary.copy()

    def of(self, pool: str = ALL) -> pd.DataFrame:
        """The rows of pools of all studies, or of so many; studies stored earlier have no pools of few."""
        s = self.summary
        return s[s["pool"] == pool] if "pool" in s else s if pool == ALL else s.iloc[:0]

    def row(
        self, condition: str, estimator: str, direction: str, term: str, pool: str = ALL
    ) -> pd.Series | None:
        """One row, or None where the study has none."""
        s = self.of(pool)
        found = s[(s["condition"] == condition) & (s["estimator"] == estimator)]
        found = found[(found["direction"] == direction) & (found["term"] == term)]
        return found.iloc[0] if len(found) else None

    def caution(self) -> str:
        """What a reader must know before using the numbers; empty if nothing."""
        reasons = ["the code that makes them has changed"] if self.older_code else []
        reasons += ["the studies of the collection have changed"] if self.other_design else []
        return f"This simulation is out of date: {' and '.join(reasons)} since." if reasons else ""


def write_recovery(collection: Path, summary: pd.DataFrame, about: dict[str, Any], part: Part = MAIN) -> Path:
    """Store a recovery study in the collection's folder; each file whole or not at all.

    Returns
    -------
    Path
        The folder.
    """
    folder = Path(collection) / FOLDER
    table = summary.to_csv(index=False, lineterminator="\n", float_format="%.8g")
    texts = {part.table: table, part.about: json.dumps(about, indent=1, sort_keys=True) + "\n"}
    write_files({folder / name: text.encode() for name, text in texts.items()})
    return folder


def recovery_files(collection: Path) -> list[Path]:
    """The files of a collection's recovery study, whether they are there or not; those on longer lags if they are."""
    main, longer = (
        [Path(collection) / FOLDER / name for name in (p.table, p.about)] for p in (MAIN, LONGER_LAGS)
    )
    return [*main, *(longer if all(path.is_file() for path in longer) else [])]


def read_recovery(collection: Collection, part: Part = MAIN) -> Recovery | None:
    """Read the recovery study of a collection, or that of longer lags.

    Returns
    -------
    Recovery or None
        None where none was stored.

    Raises
    ------
    RecoveryError
        The files are there and cannot be read.
    """
    folder = collection.path / FOLDER
    if not (folder / part.about).is_file():
        return None
    try:
        about = json.loads((folder / part.about).read_text(encoding="utf-8"))
        summary = pd.read_csv(folder / part.table)
    except (OSError, ValueError) as error:
        raise RecoveryError(
            [Problem(str(folder), None, None, str(error), "what twostage recovery writes")]
        ) from None
    missing = [name for name in FIELDS if name not in about]
    if missing:
        raise RecoveryError(
            [Problem(str(folder / part.about), None, name, None, "a value") for name in missing]
        )
    designs = study_designs(collection, make_parameters(collection.defaults))
    return Recovery(
        summary=summary,
        about=about,
        older_code=about["code"] != code_checksum(MAKER),
        other_design=about["design"] != design_checksum(designs),
    )


def read_longer_lags(collection: Collection) -> Recovery | None:
    """:func:`read_recovery` of the part on longer lags."""
    return read_recovery(collection, LONGER_LAGS)
