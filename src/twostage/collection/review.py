"""What the authors of a collection say of how their review was done, for PRISMA-IPD: ``review`` in ``collection.yml``.

Nothing of it is asked for: what is not said is shown as not stated.
"""

from typing import Annotated

import pydantic
from pydantic import ConfigDict, Field, StringConstraints, model_validator

#: Domains of risk of bias are judged in these words, from best to worst.
JUDGEMENTS = ("low", "some concerns", "high", "no information")


_Statement = Annotated[str, StringConstraints(strip_whitespace=True)]


_Count = Annotated[int, Field(ge=0, le=10**9, strict=True)]


class _Part(pydantic.BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StudiesFound(_Part):
    """How many studies each step of the search left, from the first to the last; those obtained are counted by the run.

    Attributes
    ----------
    identified, screened, eligible, sought : int or None
    """

    identified: _Count | None = None
    screened: _Count | None = None
    eligible: _Count | None = None
    sought: _Count | None = None

    @model_validator(mode="after")
    def _fewer_each_time(self) -> "StudiesFound":
        known = [(name, value) for name, value in self if value is not None]
        for (before, more), (name, value) in zip(known, known[1:], strict=False):
            if value > more:
                raise ValueError(f"{name} at most {before}, {more}")
        return self


class Review(_Part):
    """How a review was done, in the words of its authors; empty where they say nothing.

    Attributes
    ----------
    protocol, registration, eligibility, sources, search, selection : str
    obtaining : str
        How individual participant data were sought and obtained.
    not_obtained : str
        Studies whose data were not obtained, and why.
    checks : str
        Checks of the data beyond those of this software.
    risk_of_bias : str
        The tool with which ``risk_of_bias.csv`` was made.
    funding, conflicts : str
    studies : StudiesFound
    """

    protocol: _Statement = ""
    registration: _Statement = ""
    eligibility: _Statement = ""
    sources: _Statement = ""
    search: _Statement = ""
    selection: _Statement = ""
    obtaining: _Statement = ""
    not_obtained: _Statement = ""
    checks: _Statement = ""
    risk_of_bias: _Statement = ""
    funding: _Statement = ""
    conflicts: _Statement = ""
    studies: StudiesFound = StudiesFound()
