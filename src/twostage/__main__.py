"""``python -m twostage``."""

from twostage.cli import app

app(prog_name="twostage")
