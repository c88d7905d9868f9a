"""``python -m twostage``."""

from twostage.cli.app import app

if __name__ == "__main__":
    app(prog_name="twostage")
