"""What was wrong with an input, said once and completely.

Every reader collects all problems of its input before it raises, so that a
researcher repairs a file in one go instead of one error at a time.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twostage.characters import terminal

#: Complaints of one kind about one column that a summary shows one by one; more are counted.
FEW = 3


#: Lines of a summary.
LINES = 20


#: By the first word of an error of pydantic: what a value must be; braces stand for the limits that pydantic names.
_KINDS = {
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "keys and their values",
    "model": "keys and their values",
}


#: The same by the whole name, where it says more than that.
_EXPECTED = {
    "missing": "this key and its value",
    "extra_forbidden": "no such key",
    "literal_error": "{expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "finite_number": "a finite number",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "string_pattern_mismatch": "a text of the form {pattern}",
    "json_invalid": "JSON ({error})",
    "value_error": "{error}",
}


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
        return self.text()

    def text(self, word: str = "") -> str:
        """In one line; `word` says what `column` is where it is neither a column, a key nor an option."""
        place = [self.file]
        if self.row is not None:
            place.append(f"row {self.row}")
        if self.column is not None:
            place.append(f"{word or self._word()} {self.column!r}")
        return terminal(f"{', '.join(place)}: found {self.value!r}; expected {self.expected}")

    def _word(self) -> str:
        if (self.column or "").startswith("--"):
            return "option"
        return "key" if self.file.endswith((".yml", ".yaml")) else "column"

    def kind(self) -> tuple:
        """What it shares with others of its kind: file, column, and what was expected but for the values in it."""
        alike = re.sub(r"'[^']*'|\"[^\"]*\"|[-+.\d]+", "#", self.expected)
        return self.file, self.column, alike, self.row is None and (repr(self.value), self.expected)


def expectation(detail: Mapping[str, Any]) -> str:
    """What pydantic expected, in our words: its own are those of a programmer, and change with its version.

    Parameters
    ----------
    detail : mapping
        One of ``pydantic.ValidationError.errors()``.
    """
    kind = detail["type"]
    if words := _EXPECTED.get(kind) or _KINDS.get(kind.partition("_")[0]):
        return words.format_map(detail.get("ctx", {}))
    return str(detail["msg"])


def nearest(found: Any, known: Iterable[str], *, all_of_them: bool = False) -> str:
    """The end of an expectation: which of the known words was probably meant; else empty, or all of them."""
    words = {word.casefold(): word for word in known}
    near = difflib.get_close_matches(str(found).casefold(), list(words), n=1)
    if near and words[near[0]] != str(found):
        return f" (did you mean {words[near[0]]!r}?)"
    return f", one of {', '.join(words.values())}" if all_of_them else ""


def distinct(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Each complaint once, in their order; what was found may be a list or a mapping, which have no hash."""
    return tuple({str(problem): problem for problem in problems}.values())


def summarised(problems: Sequence[Problem], word: str = "", lines: int = LINES) -> list[str]:
    """A line for each complaint, or for all of one kind about a column where they are many.

    Parameters
    ----------
    problems : sequence of Problem
    word : str
        As of :meth:`Problem.text`.
    lines : int
        The most; one more says how much is left out.

    Returns
    -------
    list of str
        Of a kind with more than :data:`FEW`: the first, how many more, up to which row, and their smallest and
        largest value or some of them.
    """
    kinds: dict[tuple, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind(), []).append(problem)
    found: list[tuple[str, int]] = []
    for alike in kinds.values():
        if len(alike) > FEW:
            found.append((alike[0].text(word) + _more(alike), len(alike)))
        else:
            found += [(problem.text(word), 1) for problem in alike]
    left = sum(n for _, n in found[lines:])
    return [text for text, _ in found[:lines]] + ([f"and {left:,} more problems"] if left else [])


def _more(alike: Sequence[Problem]) -> str:
    rows = max(problem.row for problem in alike if problem.row is not None)
    values: list[Any] = list({repr(problem.value): problem.value for problem in alike}.values())
    try:
        numbers = sorted(map(float, values))
        words = f"values from {numbers[0]:.10g} to {numbers[-1]:.10g}"
    except (TypeError, ValueError):
        words = f"values {', '.join(map(repr, values[:FEW]))}{', ...' * (len(values) > FEW)}"
    return f"; and {len(alike) - 1:,} more like it up to row {rows}, {words}"


class ProblemError(ValueError):
    """An input that cannot be used; carries every :class:`Problem` found in it."""

    subject, word = "input", ""

    def __init__(self, problems: Iterable[Problem]):
        self.problems = tuple(problems)
        super().__init__(self._message([problem.text(self.word) for problem in self.problems]))

    def _message(self, lines: list[str]) -> str:
        n = len(self.problems)
        heading = f"{n:,} problem{'' if n == 1 else 's'} in the {self.subject}:"
        return "\n".join([heading, *(f"  - {line}" for line in lines)])

    def summary(self, how: str) -> str:
        """The message with one line for many problems of a kind; `how` says how to see each."""
        lines = summarised(self.problems, self.word)
        text = self._message(lines)
        return text if len(lines) == len(self.problems) else f"{text}\n(each of them: {how})"

    def _render_traceback_(self) -> list[str]:
        # What IPython shows: where in our code an input was refused helps nobody to repair it.
        return [f"{type(self).__name__}: {self}"]

    def __reduce__(self) -> tuple[Any, ...]:
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

    subject, word = "parameters", "parameter"
