"""What a command imports: one that only says something need not wait for what others compute with."""

import subprocess
import sys

import pytest

#: Prints, after a command, which modules it has imported.
TELL = """
import sys
sys.argv = ["twostage", *sys.argv[1:]]
from twostage.__main__ import main
try:
    main()
finally:
    print("\\nIMPORTED", *sys.modules)
"""

#: Each of these takes longer to import than a command that prints a few lines may take in all.
HEAVY = {
    *(
        "IPython",
        "distributed",
        "ipykernel",
        "jupyter_client",
        "loky",
        "matplotlib",
        "numpy",
        "pandas",
        "pandera",
    ),
    *("papermill", "pytask", "scipy", "seaborn", "sphinx", "statsmodels"),
}

#: What reading and checking a collection takes of them.
READING = {"numpy", "pandas"}

#: The same, and fitting, pooling and writing tables.
ANALYSING = READING | {"IPython", "scipy", "statsmodels"}


def imported(*arguments: str) -> tuple[int, set[str]]:
    """Exit status of a command, and the modules that it imported."""
    done = subprocess.run([sys.executable, "-c", TELL, *arguments], capture_output=True, text=True)
    assert "IMPORTED" in done.stdout, done.stderr
    return done.returncode, set(done.stdout.rpartition("IMPORTED")[2].split())


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--help",), 0),
        (("run", "--help"), 0),
        (("import", "--help"), 0),
        (("params",), 0),
        (("notebooks",), 0),
        (("params", "--format", "xml"), 2),
        (("run", "--nonsense"), 2),
        (("nonsense",), 2),
    ],
)
def test_a_command_that_only_says_something_imports_nothing_heavy(arguments, status):
    returned, modules = imported(*arguments)
    assert returned == status
    assert modules & HEAVY == set()
    # Of ours, no more than the command line and what it prints.
    ours = {name for name in modules if name.startswith("twostage.")}
    rooms = {name.split(".")[1] for name in ours}
    assert rooms <= {
        "__main__",
        "beside",
        "characters",
        "cli",
        "files",
        "notebooks",
        "params",
        "printing",
        "problems",
        "project",
    }


def test_checking_a_collection_imports_what_reads(written):
    assert imported("validate", str(written))[1] & HEAVY <= READING


def test_tables_need_nothing_that_draws_or_runs_notebooks(written, tmp_path):
    status, modules = imported("run", str(written), "--no-book", "--out", str(tmp_path / "run"))
    assert status == 0
    assert modules & HEAVY <= ANALYSING
