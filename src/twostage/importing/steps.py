"""What an import is doing, for those who wait: each step is told to whoever listens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[str], object]] = ContextVar("listener")


@contextmanager
def listening(to: Callable[[str], object]) -> Iterator[None]:
    """Have each step told to a function."""
    before = _listener.set(to)
    try:
        yield
    finally:
        _listener.reset(before)


def step(words: str) -> None:
    """Tell what comes now."""
    if (listener := _listener.get(None)) is not None:
        listener(words)
