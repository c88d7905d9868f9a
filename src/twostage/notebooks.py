"""The table of notebooks: what each takes, reads and leaves, and which chapter quotes it.

A run, its book, the parameter cells and the table of parameters all follow from ``notebooks.yml``. It stands in the
package and not beside the notebooks because what a record may be called must be known where there are none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twostage.beside import table_beside
from twostage.params import PLACES, Parameters, allowed_values, check_early, make_parameters
from twostage.problems import ParameterError, Problem, nearest

if TYPE_CHECKING:
    import pandas as pd

#: What a notebook may read besides records; what a collection may lack; what notebooks are about.
USES, NEEDS, KINDS = (
    {"data", "truth", "recovery", "multiverse"},
    {"", "outcome", "recovery", "multiverse", "history", "days"},
    ("stage1", "stage2", "tutorial"),
)


_TABLE = table_beside(__file__)


@dataclass(frozen=True)
class Notebook:
    """What the machinery knows of one notebook.

    Attributes
    ----------
    name : str
        Of its file, without suffix; begins with one of :data:`KINDS`.
    takes : tuple of str
        Parameters, in the order of its cell.
    leaves : tuple of str
        Of stage 1: the records (a JSON file each). Of stage 2: the analyses whose tables and figures it leaves, by the
        names under which the manuscript quotes them.
    reads : tuple of str
        Records that a stage-2 notebook pools.
    facts : tuple of str
        Columns of the registry that a stage-2 notebook reads; labels reach it with the records.
    uses : tuple of str
        What a stage-2 notebook reads besides: the studies' `data`, generating values (`truth`), a stored `recovery`
        study or `multiverse`.
    needs : str
        What the collection must have for it to be run: `outcome` scores, a stored `recovery` study or `multiverse`, the
        `days` of the sessions.
    fewest : int
        Studies that it needs: with fewer it has nothing to say, and is not run.
    chapter : str
        Page of the manuscript that quotes it, a file of ``book/`` without suffix; empty if none does.
    """

    name: str
    takes: tuple[str, ...]
    leaves: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    needs: str = ""
    fewest: int = 1
    chapter: str = ""

    def __post_init__(self):
        known = {*Parameters.model_fields, *PLACES}
        wrong = [name for name in self.takes if name not in known]
        wrong += [use for use in self.uses if use not in USES]
        wrong += [self.needs] if self.needs not in NEEDS else []
        wrong += [self.name] if self.kind not in KINDS else []
        if wrong:
            raise ValueError(f"notebook {self.name!r}: {', '.join(map(repr, wrong))} is not known here")

    @property
    def kind(self) -> str:
        """Stage 1, stage 2 or tutorial: the first word of its name."""
        return self.name.split("_")[0]


def _notebook(name: str, row: dict[str, Any]) -> Notebook:
    lists = {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
    takes = tuple(own for given in row["takes"] for own in _TABLE["stages"].get(given, [given]))
    return Notebook(**{"name": name} | row | lists | {"takes": takes})


NOTEBOOKS = {name: _notebook(name, row) for name, row in _TABLE["notebooks"].items()}


STAGE1, STAGE2, TUTORIALS = (tuple(n for n in NOTEBOOKS.values() if n.kind == kind) for kind in KINDS)


#: Record -> the stage-1 notebook that leaves it; analysis -> the stage-2 notebook that leaves its tables and figures.
RECORD_HOME, HOME = ({name: n.name for n in stage for name in n.leaves} for stage in (STAGE1, STAGE2))


#: What :func:`parameter_rows` says of each parameter.
PARAMETER_COLUMNS = ("parameter", "meaning", "unit", "allowed", "default", "notebooks")


def parameter_table() -> "pd.DataFrame":
    """One row per parameter: meaning, unit, allowed values, default, notebooks that take it."""
    # The command line and the notebooks' cells need the rows only.
    import pandas as pd

    table = pd.DataFrame(parameter_rows(), columns=list(PARAMETER_COLUMNS))
    return table.astype({"default": object})


def parameter_rows() -> list[tuple[Any, ...]]:
    """The same, row by row."""
    rows: list[tuple[Any, ...]] = []
    for name, (default, meaning, _) in PLACES.items():
        rows.append((name, meaning, "", allowed_values(name), default, _takers(name)))
    for name, field in Parameters.model_fields.items():
        more = field.json_schema_extra
        unit = more.get("unit", "") if isinstance(more, dict) else ""
        rows.append((name, field.description, unit, allowed_values(name), field.default, _takers(name)))
    return rows


def _takers(name: str) -> str:
    return ", ".join(notebook.name for notebook in NOTEBOOKS.values() if name in notebook.takes)


def parameter_cell(notebook: str) -> str:
    """Source of a notebook's parameter cell: one commented line per parameter."""
    rows = {name: rest for name, *rest in parameter_rows()}
    lines = []
    for name in NOTEBOOKS[notebook].takes:
        meaning, unit, allowed, default, _ = rows[name]
        lines.append(f"{name} = {default!r}  # {meaning}{f' [{unit}]' if unit else ''}; {allowed}")
    return "\n".join(lines)


def check_parameters(namespace: Mapping[str, Any], notebook: str) -> Parameters:
    """Check what a notebook was given, called right after its parameter cell.

    Papermill injects a misspelt parameter as one more variable and goes on with the default; here
    every plain value in the notebook's namespace that is no parameter of it is an error.

    Parameters
    ----------
    namespace : mapping
        The notebook's ``globals()``.
    notebook : str
        Its name, a key of :data:`NOTEBOOKS`.

    Raises
    ------
    ParameterError
        Naming each unknown, mistyped or impossible parameter.
    """
    known = NOTEBOOKS[notebook].takes
    plain = (str, int, float, bool, list, dict, tuple, type(None))
    ours = {
        k: v for k, v in namespace.items() if isinstance(v, plain) and k[0] != "_" and k not in {"In", "Out"}
    }
    problems = [
        Problem(
            notebook,
            None,
            name,
            value,
            f"a parameter of this notebook{nearest(name, known, all_of_them=True)}",
        )
        for name, value in ours.items()
        if name not in known
    ]
    problems += [
        Problem(notebook, None, name, ours[name], f"a text: {allowed_values(name)}{_raw(name, ours[name])}")
        for name in known
        if name in PLACES and name in ours and not isinstance(ours[name], str)
    ]
    analysis = {name: value for name, value in ours.items() if name in known and name not in PLACES}
    try:
        parameters = make_parameters(analysis, notebook)
        if "early_last_session" in known:
            check_early(parameters, notebook)
    except ParameterError as error:
        problems += error.problems
    if problems:
        raise ParameterError(problems)
    return parameters


def _raw(name: str, value: Any) -> str:
    """What to do where plain papermill took a text for a number."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f" (plain papermill reads -p {name} 001 as a number: give -r {name} 001)" if number else ""
