"""The result of an analysis, or in words why the data at hand are too few or too alike for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twostage.stats.base.checks import NotEstimable


@dataclass(frozen=True)
class Attempt:
    """What came of an analysis.

    Attributes
    ----------
    result : object or None
    reason : str
        Why there is no result; empty if there is one.
    """

    result: Any
    reason: str = ""

    def __bool__(self) -> bool:
        return not self.reason

    @property
    def words(self) -> str:
        """The reason as a sentence; empty if there is a result."""
        return f"Not computed: {self.reason}." if self.reason else ""


def attempt(analysis: Callable, *values: Any, **options: Any) -> Attempt:
    """Call an analysis; what the data do not determine becomes a reason, any other error stays one.

    Parameters
    ----------
    analysis : callable
        Raises :class:`~twostage.stats.base.checks.NotEstimable` where the data do not answer.
    *values
        Its arguments; an :class:`Attempt` stands for its result, and hands on its reason.
    **options
        Further arguments.

    Returns
    -------
    Attempt
    """
    for value in values:
        if isinstance(value, Attempt) and not value:
            return value
    try:
        return Attempt(analysis(*(v.result if isinstance(v, Attempt) else v for v in values), **options))
    except NotEstimable as error:
        return Attempt(None, str(error))
