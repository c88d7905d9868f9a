"""``python -m twostage``."""

from twostage.cli import app

if __name__ == "__main__":
    app(prog_name="twostage")
