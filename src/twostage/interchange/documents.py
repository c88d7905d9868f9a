"""What ``pooled.json`` holds: the model that writes it, reads it, and is its JSON Schema."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import ConfigDict, Field

#: Raised when the meaning of a field changes; a reader refuses other versions.
POOLED_VERSION = 1


#: What the schema calls itself. It is a name, not an address: nothing is fetched.
SCHEMA_ID: Literal["urn:twostage:schema:pooled:1"] = "urn:twostage:schema:pooled:1"


Direction = Literal["x_to_y", "y_to_x"]


Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


Day = Annotated[str, Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


class _Model(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PairMember(_Model):
    """One of the two variables."""

    name: str
    label: str
    better: Literal["higher", "lower"]


class About(_Model):
    """The collection whose studies were pooled."""

    name: str
    title: str
    note: str = Field(description="what the data are, as each page says it")
    synthetic: bool
    authors: str
    x: PairMember
    y: PairMember
    words: dict[str, str] = Field(description="what persons and occasions are called")


class PooledStudy(_Model):
    """One study of the collection."""

    study: str
    label: str
    source_of_effect: Literal["participants", "bundle", "pulled"]
    checksum: Sha256 = Field(description="SHA-256 of its data; of what was shared, where no data were")
    licence: str


class PooledEffect(_Model):
    """One pooled coefficient."""

    analysis: str
    variant: str
    direction: Direction
    term: str
    estimator: str
    k: int = Field(ge=1, description="studies")
    n_patients: int = Field(ge=0)
    n_transitions: int = Field(ge=0)
    estimate: float
    std_error: float | None
    df: float | None = Field(description="null: infinite, a normal statistic")
    statistic: float | None
    p_value: float | None
    ci_low: float | None
    ci_high: float | None
    pi_low: float | None = Field(description="prediction interval of a new study's true effect")
    pi_high: float | None
    pi_rule: str | None
    tau2: float | None
    i2: float | None = Field(description="percent")
    h2: float | None
    q: float | None
    q_p_value: float | None
    converged: bool
    note: str | None


class LeftOut(_Model):
    """A study that is missing from a pool."""

    study: str
    analysis: str
    variant: str
    direction: Direction
    reason: str


class Moderator(_Model):
    """A meta-regression of a cross-lagged effect on one property of the studies."""

    direction: Direction
    moderator: str
    label: str
    k: int
    slope: float | None = Field(description="change per unit; null for a category")
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    permutation_p_value: float | None
    holm_p_value: float | None
    r2: float | None = Field(description="percent")
    tau: float | None


class Pooled(_Model):
    """All that a run pooled."""

    schema_name: Literal["urn:twostage:schema:pooled:1"] = Field(
        SCHEMA_ID, alias="$schema", description="name of the schema, which is the file beside it"
    )
    schema_version: Literal[1] = Field(description="raised when the meaning of a field changes")
    package_version: str = Field(description="of twostage")
    made: Day = Field(description="day on which the results were made")
    run: str = Field(description="name of the run")
    collection: About = Field(
        description="title, what the data are, who signs, the pair, the words for persons and occasions"
    )
    parameters: dict[str, bool | int | float | str] = Field(description="every parameter of the analysis")
    studies: tuple[PooledStudy, ...] = Field(
        description="each study with the checksum and the licence of its data"
    )
    effects: tuple[PooledEffect, ...] = Field(
        description="each pooled coefficient: studies, estimate, confidence and prediction interval, heterogeneity"
    )
    left_out: tuple[LeftOut, ...] = Field(description="which study is missing from which pool, and why")
    moderators: tuple[Moderator, ...] = Field(
        description="regressions of the cross-lagged effects on one property of the studies each; empty where none was "
        "tested, as with --no-book or of fewer than five studies"
    )

    @property
    def people(self) -> list[str]:
        """Who signs the collection."""
        return [name.strip() for name in self.collection.authors.split(",") if name.strip()]


def schema() -> dict[str, Any]:
    """The JSON Schema of ``pooled.json``."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID}
    return head | Pooled.model_json_schema()


def plain(value: Any) -> Any:
    """A cell of a table as JSON has it: no infinity and no NaN, both null; an empty text null."""
    value = value.item() if hasattr(value, "item") else value
    missing = value is None or value == "" or (isinstance(value, float) and not math.isfinite(value))
    return None if missing else value


def row(model: type[pydantic.BaseModel], cells: Mapping) -> dict[str, Any]:
    """Those cells of a row that a model has."""
    return {name: plain(cells.get(name)) for name in model.model_fields}
