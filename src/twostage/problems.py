"""What was wrong with an input, said once and completely.

Every reader collects all problems of its input before it raises, so that a
researcher repairs a file in one go instead of one error at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an input.

    Attributes
    ----------
    file : str
        File (or notebook, or parameter set) in which it was found.
    row : int or None
        Line of the file as an editor counts it (the header is line 1); None when no single line is to blame.
    column : str or None
        Column or parameter.
    value : object
        What was found.
    expected : str
        What should have been there, in words.
    """

    file: str
    row: int | None
    column: str | None
    value: object
    expected: str

    def __str__(self) -> str:
        place = [self.file]
        if self.row is not None:
            place.append(f"row {self.row}")
        if self.column is not None:
            place.append(f"column {self.column!r}")
        return f"{', '.join(place)}: found {self.value!r}; expected {self.expected}"


class ProblemError(ValueError):
    """An input that cannot be used; carries every :class:`Problem` found in it."""

    subject = "input"

    def __init__(self, problems: Iterable[Problem]):
        self.problems = tuple(problems)
        super().__init__(self._message())

    def _message(self) -> str:
        n = len(self.problems)
        lines = [f"{n} problem{'' if n == 1 else 's'} in the {self.subject}:"]
        return "\n".join(lines + [f"  - {problem}" for problem in self.problems])

    def __reduce__(self):
        # Workers send errors between processes; the default would rebuild one from its message.
        return type(self), (self.problems,)


class CollectionError(ProblemError):
    """A collection's files do not say what they must."""

    subject = "collection"


class RecordError(ProblemError):
    """A record of stage-1 results is missing, malformed or from another analysis."""

    subject = "records"


class ParameterError(ProblemError):
    """An analysis parameter is unknown, of the wrong type or impossible."""

    subject = "parameters"
