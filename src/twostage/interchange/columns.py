"""The columns of ``effects.csv``, on which the file, its description for Frictionless, its page and its reader agree."""

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

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
OF_EFFECT = (
    Column("effect", "string", "name of the row, unique: study/analysis/variant/direction/term/estimator"),
    Column("study", "string", "id of the study, as in the collection"),
    Column("label", "string", "name of the study"),
    Column(
        "analysis",
        "string",
        "lagged, crosslevel and outcome answer the question; transition, sensitivity and estimators are other choices",
    ),
    Column("variant", "string", "main, or the choice in which it differs"),
    Column(
        "direction", "string", "x_to_y: y at the next session on x at this one; y_to_x: the other way round"
    ),
    Column(
        "term",
        "string",
        "coefficient of the equation: x_within and y_within are deviations from the person's mean, x_mean and y_mean these "
        "means; partial_r_z is Fisher's z of the partial correlation of early x with the outcome",
    ),
    Column("estimator", "string", "how it was estimated"),
    Column("yi", "number", "the estimate"),
    Column("vi", "number", "its sampling variance, sei squared"),
    Column("sei", "number", "its standard error"),
    Column(
        "df",
        "number",
        "degrees of freedom of its t statistic; empty: infinite, a normal statistic",
        always=False,
    ),
    Column("units", "string", "unit of the estimate"),
    Column("n", "integer", "persons in the model"),
    Column(
        "n_transitions",
        "integer",
        "pairs of sessions in the model; 0 in the outcome analysis, which has none",
    ),
    Column("converged", "boolean", "whether the fit converged; a fit that did not is not pooled"),
    Column("singular", "boolean", "whether the variance between persons was estimated at its limit, 0"),
    Column(
        "source_of_effect",
        "string",
        "participants: computed here from the study's data; bundle: shared by the site, which may have rounded it and "
        "withheld counts; pulled: computed by another group, whose results were pulled",
    ),
)


#: What studies differ in, one column of the registry each: moderators for who pools the effects.
OF_STUDY = (
    Column("country", "string", "where"),
    Column("year", "integer", "when"),
    Column("setting", "string", "setting", always=False),
    Column("treatment", "string", "treatment", always=False),
    Column("design", "string", "design", always=False),
    Column("x_instrument", "string", "instrument of x"),
    Column("x_min", "number", "lowest possible score of x"),
    Column("x_max", "number", "highest possible score of x"),
    Column("x_direction", "integer", "1, or -1 where x is scored the other way (it was reflected)"),
    Column("y_instrument", "string", "instrument of y"),
    Column("y_min", "number", "lowest possible score of y"),
    Column("y_max", "number", "highest possible score of y"),
    Column("y_direction", "integer", "1, or -1 where y is scored the other way (it was reflected)"),
    Column("n_enrolled", "integer", "persons in the study's files; empty: withheld", always=False),
    Column("source", "string", "where the data come from"),
    Column("licence", "string", "licence of the study's data"),
)


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
