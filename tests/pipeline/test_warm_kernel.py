"""Kernels that are forked from a process with the libraries: as fresh ones, sooner, and never left over."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import nbformat
import psutil
import pytest
from standin import write_notebook

from twostage.params import make_parameters
from twostage.pipeline import warm_kernel
from twostage.pipeline.child import child_command
from twostage.pipeline.errors import NotebookError
from twostage.pipeline.run import Run
from twostage.pipeline.runner import run_notebook
from twostage.pipeline.warm_kernel import WARM

pytestmark = pytest.mark.skipif(not warm_kernel.CAN_FORK, reason="this system cannot fork such a process")

#: Seconds in which what was killed must have ended, on a machine with much else to do.
PATIENCE = 60


@pytest.fixture
def run(tmp_path):
    """A run of a few studies."""
    parameters = make_parameters({}).model_dump()
    return Run(tmp_path / "runs" / "r", tmp_path, tmp_path / "data", parameters, ("S01", "S02"), False)


def shown(run, code, study="S01"):
    """What a notebook with this cell says, line by line."""
    write_notebook(run.project / "notebooks", "stage1_data", code=code)
    executed = nbformat.read(run_notebook(run, "stage1_data", study), as_version=4)
    return "".join(output["text"] for output in executed.cells[3].outputs).splitlines()


EVERYTHING = """\
import os, sys
import matplotlib.pyplot as plt, numpy as np, pandas as pd, seaborn as sns
import twostage.pages.study.plots
print(sys.argv[0], __name__, sys.path[1:], sys.flags, sorted(n for n in os.environ if n != "JPY_PARENT_PID"))
print(np.random.default_rng(1).normal(size=3), {"x", "y", "z"}, os.getcwd(), plt.rcParams["figure.dpi"])
print(os.isatty(0), sys.stdin is None, file=sys.stderr)
os.system("echo of a shell")
pd.DataFrame({"a": [1, 2]})"""

FIGURE = """\
import matplotlib.pyplot as plt
import seaborn as sns
sns.scatterplot(x=[1, 2, 3], y=[3, 1, 2])
plt.title("without a word to Jupyter");"""

WRONG = "print('so far')\nimport pandas as pd\npd.DataFrame({'a': [1]})['b']"


@pytest.mark.parametrize(
    "code", [EVERYTHING, FIGURE, "help(len)", "raise SystemExit(3)", "import time; time.tzname"]
)
def test_a_notebook_is_that_of_a_fresh_kernel(run, monkeypatch, code):
    write_notebook(run.project / "notebooks", "stage1_data", code=code)
    made = []
    for can in (True, False):
        monkeypatch.setattr(warm_kernel, "CAN_FORK", can)
        try:
            made.append(run_notebook(run, "stage1_data", "S01").read_bytes())
        except NotebookError as error:
            made.append(str(error))
    assert made[0] == made[1]


def test_an_error_is_that_of_a_fresh_kernel(run, monkeypatch):
    write_notebook(run.project / "notebooks", "stage1_data", code=WRONG)
    said = []
    for can in (True, False):
        monkeypatch.setattr(warm_kernel, "CAN_FORK", can)
        with pytest.raises(NotebookError, match="KeyError: 'b'") as caught:
            run_notebook(run, "stage1_data", "S01")
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_kernels_are_forks_that_have_the_libraries(run):
    """Otherwise all other tests here are of fresh kernels."""
    has = "import sys; had = set(sys.modules)\nimport os\nprint(os.getppid(), *sorted(had))"
    first, *modules = shown(run, has)[0].split()
    second, *_ = shown(run, has)[0].split()
    assert first == second != str(os.getpid())
    needed = {"matplotlib.pyplot", "pandas", "scipy.stats", "seaborn", "twostage.pages.study.plots"}
    assert needed <= set(modules)
    # None of the pages' files is missing, and nothing that they do not need is there.
    assert {"twostage.pages.joint.analysis", "twostage.pages.recovery.tables"} <= set(modules)
    assert not {"distributed", "papermill", "pytask", "sphinx"} & set(modules)


def test_nothing_passes_from_notebook_to_notebook(run):
    leave = "import random, sys, os, numpy as np, pandas as pd\n"
    leave += "print(hasattr(sys, 'left'), os.environ.get('LEFT'), pd.get_option('display.precision'), 'x' in dir())\n"
    leave += "print(random.random(), np.random.rand(), os.getpid())\n"
    leave += (
        "x = sys.left = 1; os.environ['LEFT'] = '1'; pd.set_option('display.precision', 3); os.chdir('/')"
    )
    first, second = shown(run, leave), shown(run, leave)
    assert first[0] == second[0] == "False None 6 False"
    # Random numbers are drawn anew in each, as in fresh kernels.
    assert not set(first[1].split()) & set(second[1].split())


def test_threads_of_a_worker_have_one_process_and_it_can_be_ended_with_its_kernels(tmp_path):
    """As workers of a cluster may have them."""
    with ThreadPoolExecutor(4) as threads:
        # What stands for a kernel only waits.
        command, environment = ["signal:pause"], dict(os.environ)
        started = list(threads.map(lambda _: WARM.kernel(command, environment, str(tmp_path)), range(8)))
    assert len({kernel.pid for kernel in started}) == 8
    assert {psutil.Process(kernel.pid).ppid() for kernel in started} == {WARM._warm.process.pid}
    assert [kernel.poll() for kernel in started] == [None] * 8
    WARM.end()
    assert [kernel.poll() for kernel in started] == [-signal.SIGKILL] * 8


def test_another_environment_has_another_process(run, monkeypatch):
    ask = "import os; print(os.getppid(), os.environ.get('OF_A_TEST'))"
    first, none = shown(run, ask)[0].split()
    monkeypatch.setenv("OF_A_TEST", "set")
    second, value = shown(run, ask)[0].split()
    assert first != second
    assert (none, value) == ("None", "set")


def test_what_was_imported_and_has_changed_is_imported_anew(run, tmp_path, monkeypatch):
    """A worker of a cluster may live longer than the code that it was started with."""
    module = tmp_path / "modules" / "sitecustomize.py"
    module.parent.mkdir()
    module.write_text("import sys; sys.version_of_a_test = 1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(module.parent), *sys.path]))
    ask = "import sys; print(sys.version_of_a_test)"
    assert shown(run, ask) == ["1"]
    module.write_text("import sys; sys.version_of_a_test = 22")
    assert shown(run, ask) == ["22"]


def test_where_no_process_can_be_had_kernels_are_fresh(run, monkeypatch):
    monkeypatch.setattr(warm_kernel, "COMMAND", ("-c", "raise SystemExit(1)"))
    WARM.end()
    for _ in range(2):
        assert shown(run, "import os; print(os.getppid())") == [str(os.getpid())]
    WARM.end()


def test_a_kernel_dies_alone(run):
    ask = "import os; print(os.getppid())"
    parent = shown(run, ask)
    for end in ("os._exit(9)", "os.kill(os.getpid(), 11)"):
        with pytest.raises(NotebookError, match="kernel died"):
            shown(run, f"import os\n{end}")
    assert shown(run, ask) == parent


#: A worker that starts a kernel, or a process that is to have one, and then has something else to do.
WORKER = """
import json, os, sys, time
from twostage.pipeline import warm_kernel
environment = dict(os.environ)
if sys.argv[1] == "kernel":
    kernel = warm_kernel.WARM.kernel(["child_of_a_test:main"], environment, os.getcwd())
    warm = warm_kernel.WARM._warm
else:
    warm = warm_kernel.start_warm(environment)
print(json.dumps([warm.process.pid, *([kernel.pid] if sys.argv[1] == "kernel" else [])]), flush=True)
time.sleep(600)
"""

#: What stands for a kernel has started something too.
CHILD = """
import subprocess, sys, time
def main():
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open("started", "w").write(str(started.pid))
    time.sleep(600)
"""


def gone(number):
    """Whether a process has ended."""
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("what", ["kernel", "imports"])
def test_nothing_is_left_of_a_worker_that_is_killed(tmp_path, how, what):
    (tmp_path / "child_of_a_test.py").write_text(CHILD)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, what],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    numbers = json.loads(worker.stdout.readline())
    deadline = time.monotonic() + PATIENCE
    if what == "kernel":
        while not (tmp_path / "started").is_file() or not (tmp_path / "started").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        numbers.append(int((tmp_path / "started").read_text()))
    assert not any(gone(number) for number in numbers)
    worker.send_signal(how)
    while not all(gone(number) for number in numbers) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [number for number in numbers if not gone(number)]
    worker.communicate()
    assert left == []


def test_a_kernel_ends_with_the_process_that_it_is_a_fork_of(run):
    code = "import os, signal, time; os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)"
    with pytest.raises(NotebookError, match="kernel died"):
        shown(run, code)


def test_the_command_of_a_kernel_is_taken_apart():
    from twostage.pipeline.child import called

    assert called(child_command("module:function", "-f", "file")) == ["module:function", "-f", "file"]
