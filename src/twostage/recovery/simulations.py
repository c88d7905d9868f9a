"""Stored results of simulations: a table, what made it, and whether the same code would still make it.

``book/simulations/<name>.csv`` is the table, ``<name>.json`` says with which seed, version, commit and modules of
`twostage.stats` it was made. Benchmarks write them, the manuscript's pages read them.
"""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from twostage.display import html_table, number
from twostage.files import write_files
from twostage.text import Markup, code, myst

_PACKAGE = Path(__file__).parent.parent
_CORE = "twostage.stats."


@dataclass(frozen=True)
class Simulation:
    """A stored simulation.

    Attributes
    ----------
    name : str
    table : pandas.DataFrame
        One row per cell and quantity, Monte Carlo errors included.
    facts : dict
        seed, version, commit, modules, checksum and what else the simulation told of itself.
    current : bool
        The modules of `twostage.stats` that it used are byte by byte those of today.
    """

    name: str
    table: pd.DataFrame = field(repr=False)
    facts: dict[str, Any]
    current: bool

    def rows(self, **conditions: Any) -> pd.DataFrame:
        """The rows in which columns have the given values.

        Raises
        ------
        KeyError
            If there is none.
        """
        kept = self.table
        for column, value in conditions.items():
            kept = kept[kept[column].isin(value if isinstance(value, list | tuple) else [value])]
        if kept.empty:
            raise KeyError(f"{self.name}: no row with {conditions}")
        return kept

    def lowest(self, column: str, digits: int = 3, **conditions: Any) -> str:
        """The smallest value of a column among some rows, as text."""
        return number(float(self.rows(**conditions)[column].min()), digits)

    def highest(self, column: str, digits: int = 3, **conditions: Any) -> str:
        """The largest value of a column among some rows, as text."""
        return number(float(self.rows(**conditions)[column].max()), digits)

    def pivot(
        self,
        index: list[str],
        columns: str,
        value: str,
        error: str | None = None,
        digits: int = 3,
        **conditions: Any,
    ) -> str:
        """A table with one column per value of `columns`, as HTML.

        Parameters
        ----------
        index : list of str
            Columns that name a row.
        columns, value : str
        error : str, optional
            Column with the Monte Carlo error, shown in parentheses.
        digits : int
        conditions
            As of :meth:`rows`.
        """
        rows = self.rows(**conditions)
        cells = [number(x, digits) for x in rows[value]]
        if error is not None:
            cells = [f"{c} ({number(e, digits + 1)})" for c, e in zip(cells, rows[error], strict=True)]
        names = {c: [f"{x:g}" if isinstance(x, int | float) else x for x in rows[c].tolist()] for c in index}
        shown = rows.assign(_cell=cells, **names)
        order = list(dict.fromkeys(shown[columns]))
        wide = shown.pivot_table(index=index, columns=columns, values="_cell", aggfunc="first", sort=False)
        return html_table(wide[order].reset_index().rename_axis(columns=None))

    @property
    def how(self) -> Markup:
        """Seed, version and commit in a sentence, and a warning where the code has changed since."""
        seed, version, commit = (self.facts[name] for name in ("seed", "version", "commit"))
        made = f"Simulated with seed {seed} by version {version}, commit {commit}."
        if self.current:
            return myst(made)
        changed = "The numerical core has changed since: the stored numbers are those of that version."
        return Markup(f"{myst(made)} **{changed}** To make them anew: {code(self.facts['command'])}.")


def used_modules() -> list[str]:
    """Modules of `twostage.stats` imported so far, sorted."""
    return sorted(name.removeprefix(_CORE) for name in sys.modules if name.startswith(_CORE))


def core_checksum(modules: list[str]) -> str:
    """SHA-256 over modules of `twostage.stats`; a module that is gone counts as empty."""
    digest = hashlib.sha256()
    for name in modules:
        place = _PACKAGE / "stats" / name.replace(".", "/")
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        digest.update(f"{name}\0".encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def write_simulation(
    folder: str | Path, name: str, table: pd.DataFrame, *, seed: int, command: str, **facts: Any
) -> None:
    """Store a simulation that has just been run in this process.

    Parameters
    ----------
    folder : path
        ``book/simulations``.
    name : str
    table : pandas.DataFrame
    seed : int
    command : str
        What to type to make it anew.
    facts
        More that can be written as JSON.
    """
    target = Path(folder)
    modules = used_modules()
    told = {
        "seed": seed,
        "version": version("twostage"),
        "commit": source_commit(),
        "command": command,
    } | facts
    told |= {"modules": modules, "checksum": core_checksum(modules)}
    texts = {
        f"{name}.csv": table.to_csv(index=False, float_format="%.6g", lineterminator="\n"),
        f"{name}.json": json.dumps(told, indent=1, ensure_ascii=False) + "\n",
    }
    write_files({target / file: text.encode() for file, text in texts.items()})


def read_simulation(folder: str | Path, name: str) -> Simulation:
    """Read a stored simulation.

    Raises
    ------
    FileNotFoundError
        If there is none of this name.
    """
    facts = json.loads((Path(folder) / f"{name}.json").read_text(encoding="utf-8"))
    table = pd.read_csv(Path(folder) / f"{name}.csv")
    return Simulation(name, table, facts, facts["checksum"] == core_checksum(facts["modules"]))


def source_commit() -> str:
    """Commit of the source tree, marked where files differ from it; a dash outside git."""
    told = [
        subprocess.run(["git", *words], cwd=_PACKAGE, capture_output=True, text=True, check=False).stdout
        for words in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "--", str(_PACKAGE)))
    ]
    commit = told[0].strip() or "-"
    return f"{commit} with changes" if told[1].strip() else commit
