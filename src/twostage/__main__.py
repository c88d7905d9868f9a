"""``python -m twostage``."""

from twostage.cli.edge import orderly_end


def main() -> None:
    """The command ``twostage``."""
    # An interruption while the commands are imported, which takes a second, ends like any other.
    with orderly_end():
        from twostage.cli.app import app
    app(prog_name="twostage")


if __name__ == "__main__":
    main()
