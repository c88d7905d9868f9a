"""How every command ends: an error that no command can do anything about becomes one sentence and an exit status.

A disk that is full or may not be written is status 1; an interruption is 128 and the number of the signal, as shells
have it.
"""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from twostage.characters import terminal
from twostage.files import meant

#: Signals that ask a process to end.
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


INTERRUPTED = 128 + signal.SIGINT


class Edge(TyperGroup):
    """The commands, with one way out for all of them."""

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """Understand what was asked; the libraries that this takes are imported meanwhile."""
        with orderly_end():
            return super().make_context(*arguments, **named)

    def invoke(self, ctx: Any) -> Any:
        """Carry out a command."""
        with orderly_end(), _plain_warnings():
            try:
                return super().invoke(ctx)
            except BrokenPipeError:
                raise
            except OSError as error:
                reason = error.strerror or str(error)
                what = f"{meant(os.fspath(error.filename))}: {reason}" if error.filename else reason
                typer.echo(f"{what}; no file is left half-written", err=True)
                raise typer.Exit(1) from None


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Say a library's warning without the place in its code, which tells nobody what to do."""
    before = warnings.showwarning

    def show(message: Warning | str, *_: object, **__: object) -> None:
        typer.echo(f"note: {terminal(message)}", err=True)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


@contextmanager
def orderly_end() -> Iterator[None]:
    """Let a request to end interrupt what is done, so that it is put in order, and end with the signal's status."""
    came: list[int] = []

    def end(number: int, _) -> NoReturn:
        came.append(number)
        raise KeyboardInterrupt

    # nohup and shells' background jobs have some of them ignored, and mean it.
    main = threading.current_thread() is threading.main_thread()
    heeded = [n for n in ENDING if main and signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heeded}
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(
            "interrupted; no file is left half-written, and the same command can be given again", err=True
        )
        sys.exit(128 + came[0] if came else INTERRUPTED)
    except typer.Exit as ended:
        # A command that goes on where it stopped has said so itself.
        raise typer.Exit(
            128 + came[0] if came and ended.exit_code == INTERRUPTED else ended.exit_code
        ) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
