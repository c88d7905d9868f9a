"""The columns of ``effects.csv``, on which the file, its description for Frictionless, its page and its reader agree."""

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from twostage.beside import table_beside
from twostage.stage2 import codebook


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes
    ----------
    name : str
    kind : str
        Its type in Frictionless's table schema.
    meaning : str
    always : bool
        Whether every row has a value.
    """

    name: str
    kind: Literal["string", "number", "integer", "boolean"]
    meaning: str
    always: bool = True


#: What an estimate is and says. ``yi``, ``vi`` and ``sei`` are called as metafor calls them.
OF_EFFECT, OF_STUDY = (
    tuple(Column(**row) for row in table_beside(__file__)[of]) for of in ("effect", "study")
)


#: What studies differ in, one column of the registry each: moderators for who pools the effects.


COLUMNS = (*OF_EFFECT, *OF_STUDY)


NAMES = [column.name for column in COLUMNS]


def codebook_of(effects: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """The codebook of ``effects.csv``: column, value, meaning.

    Parameters
    ----------
    effects : DataFrame
        The table.
    x, y : str
        The pair, in words.

    Returns
    -------
    DataFrame
        One row per column (value is empty), then one per direction, term and estimator that occurs.
    """
    rows = pd.DataFrame([(c.name, "", c.meaning) for c in COLUMNS], columns=["column", "value", "meaning"])
    values = codebook([effects], x, y).query("value != ''")
    return pd.concat([rows, values], ignore_index=True)


def table_schema() -> dict[str, Any]:
    """The columns as Frictionless's table schema."""
    fields: list[dict[str, Any]] = []
    for c in COLUMNS:
        fields.append({"name": c.name, "type": c.kind, "description": c.meaning})
        if c.always:
            fields[-1]["constraints"] = {"required": True}
        if c.kind == "boolean":
            # As pandas writes them.
            fields[-1] |= {"trueValues": ["True"], "falseValues": ["False"]}
    return {"fields": fields, "primaryKey": ["effect"], "missingValues": [""]}
