"""What every part of a record is."""

import pydantic
from pydantic import ConfigDict


class Model(pydantic.BaseModel):
    """Immutable, without unknown fields, finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
