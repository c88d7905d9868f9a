"""The speed of this package beside its peers at their best, in one run: writes benchmarks/results.md.

    make bench                                    (sets up an environment with the peers in Python, .bench)
    python benchmarks/peers.py [--rounds 5]       (with whatever peers are installed; R's if there is Rscript)

Processor time of one thread each, the median over rounds in which all take turns, so that only ratios mean something. A
peer is called the way its documentation calls fast: PyMARE on all data sets at once (estimates as (k, data sets)), models
prepared before the clock starts where the peer can prepare. What each is asked for stands in the table. Before the clock
starts the estimates are compared, and a peer that estimates something else is not timed but named.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

for threads in (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
):
    os.environ[threads] = "1"

import numpy as np
import pandas as pd

from twostage.stats.mixed import fit_mixed
from twostage.stats.pool import pool_many
from twostage.stats.riclpm import fit_riclpm

HERE = Path(__file__).resolve().parent
#: Largest difference of estimates between peers, in standard errors (of tau2: absolute): their optimisers' tolerances.
AGREE = 1e-2


@dataclass(frozen=True)
class Peer:
    """One way to do a task.

    Attributes
    ----------
    package : str
        On the Python package index; empty for R's.
    what : str
        What is asked of it.
    work : callable
        Returns the estimates to compare.
    times : float
        How much smaller its share of the task is than ours (it is timed on so many fewer data sets).
    """

    package: str
    what: str
    work: Callable[[], np.ndarray]
    times: float = 1.0


def installed(package: str) -> str | None:
    """A package's version, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def seconds(work) -> float:
    """Processor seconds of one call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


# --- meta-analyses


def pooling(method: str, n: int = 20_000, k: int = 17):
    """n meta-analyses of k studies at once: tau2 of the first ones."""
    rng = np.random.default_rng(1)
    v = rng.uniform(0.01, 0.09, (n, k))
    y = 0.3 + rng.normal(size=v.shape) * np.sqrt(v + 0.04)
    few, some = (min(n, 400) if method == "REML" else n), 100

    def pymare(full: bool):
        """PyMARE on many data sets at once."""
        from pymare import Dataset
        from pymare.estimators import DerSimonianLaird, VarianceBasedLikelihoodEstimator

        estimator = DerSimonianLaird() if method == "DL" else VarianceBasedLikelihoodEstimator(method="REML")
        data = Dataset(y=y[:few].T, v=v[:few].T)

        def work():
            """Fit, and what is nearest to our results."""
            fit = estimator.fit_dataset(data)
            if full:
                summary = fit.summary()
                summary.get_fe_stats()
                summary.get_heterogeneity_stats()
            return np.ravel(fit.params_["tau2"])[:some]

        return work

    def statsmodels():
        """One after the other."""
        from statsmodels.stats.meta_analysis import combine_effects

        return np.array(
            [
                max(combine_effects(a, b, method_re="dl").tau2, 0.0)
                for a, b in zip(y[:some], v[:some], strict=True)
            ]
        )

    def pimeta():
        """One after the other."""
        from pimeta import metagen

        fits = (metagen(a, np.sqrt(b), method_tau=method) for a, b in zip(y[:some], v[:some], strict=True))
        return np.array([float(np.ravel(getattr(f, "tau2", np.nan))[0]) for f in fits])

    def ours():
        """All that `pool_many` returns."""
        return pool_many(y, v, method=method).tau2[:some]

    peers = [
        Peer("pymare", "at once: fit", pymare(False), n / few),
        Peer("pymare", "at once: fit, interval, heterogeneity", pymare(True), n / few),
        Peer("pimeta", "one by one", pimeta, n / some),
    ]
    peers += [Peer("statsmodels", "one by one", statsmodels, n / some)] if method == "DL" else []
    return f"{n:,} meta-analyses of {k} studies, {method}", ours, peers


# --- mixed models


def panel(patients: int, slopes: bool):
    """y, X and patients of a lagged panel of seven sessions."""
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(patients), 6)
    n = len(group)
    mean = rng.normal(size=(patients, 2))
    X = np.column_stack([np.ones(n), rng.normal(size=(n, 2)), mean[group]])
    u = rng.normal(size=(patients, 3)) * (0.4, 0.2, 0.2)
    y = X @ [0.1, -0.07, 0.3, 0.2, 0.5] + u[group, 0] + rng.normal(size=n)
    if slopes:
        y += (u[group, 1:] * X[:, 1:3]).sum(axis=1)
    return y, X, group


def mixing(patients: int, slopes: bool):
    """One linear mixed model: coefficients in standard errors."""
    y, X, group = panel(patients, slopes)
    Z = X[:, :3] if slopes else None
    names = ["one", "xw", "yw", "xm", "ym"]
    data = pd.DataFrame(X[:, 1:], columns=names[1:]).assign(y=y, patient=group)
    fixed, random = "y ~ xw + yw + xm + ym", "1 + xw + yw" if slopes else "1"
    error = fit_mixed(y, X, group, Z).std_error

    def ours():
        """Coefficients, errors, Satterthwaite's degrees of freedom."""
        return fit_mixed(y, X, group, Z).coef / error

    def mixedlm_rs():
        """By arrays, without a formula."""
        import mixedlm_rs

        fit = mixedlm_rs.MixedLM(
            endog=y, exog=X, groups=group, exog_re=X[:, :3] if slopes else X[:, :1]
        ).fit()
        return np.asarray(fit.fe_params, dtype=float) / error

    def mixedlm():
        """By formula: it has no other way."""
        import mixedlm

        fit = mixedlm.lmer(f"{fixed} + ({random} | patient)", data)
        coefficients = fit.fixef() if callable(fit.fixef) else fit.fixef
        return np.array(list(dict(coefficients).values()), dtype=float) / error

    def lme_python():
        """Prepared before the clock starts."""
        import lme_python as lme

        if "prepared" not in made:
            import polars as pl

            frame = pl.DataFrame(data.assign(patient=data["patient"].astype(str)).to_dict("list"))
            made["prepared"] = lme.prepare_lmer(f"{fixed} + ({random} | patient)", frame)
        fit = made["prepared"].fit(y=data["y"].tolist(), reml=True)
        return np.asarray(fit.coefficients, dtype=float) / error

    made: dict = {}
    peers = [
        Peer("mixedlm-rs", "by arrays", mixedlm_rs),
        Peer("mixedlm", "by formula", mixedlm),
        Peer("lme-python", "prepared before", lme_python),
    ]
    kind = "three random effects" if slopes else "a random intercept"
    return f"One mixed model with {kind}, {patients:,} patients", ours, peers


# --- panel models


def crosslagging(patients: int):
    """One random-intercept cross-lagged panel model of seven sessions: its lag coefficients."""
    rng = np.random.default_rng(3)
    phi = np.array([[0.3, -0.05], [-0.07, 0.3]])
    Y, w = np.empty((patients, 7, 2)), rng.normal(size=(patients, 2))
    level = rng.normal(size=(patients, 2))
    for t in range(7):
        Y[:, t] = level + w
        w = w @ phi.T + rng.normal(size=w.shape)

    def ours():
        """Estimates and errors."""
        return fit_riclpm(Y).phi.ravel()

    def semopy():
        """With free means, complete data."""
        from riclpm_speed_semopy import syntax
        from semopy import ModelMeans

        model = ModelMeans(syntax(7, True))
        model.fit(wide(Y), obj="ML")
        table = model.inspect().set_index(["lval", "rval"])["Estimate"]
        return np.array([float(table[f"w{a}2", f"w{b}1"]) for a in "xy" for b in "xy"])

    return f"One RI-CLPM, {patients:,} patients", ours, [Peer("semopy", "ML, complete data", semopy)], Y


def wide(Y: np.ndarray) -> pd.DataFrame:
    """A panel as a table with columns x1, y1, x2, ..."""
    return pd.DataFrame(Y.reshape(len(Y), -1), columns=[f"{v}{t}" for t in range(1, 8) for v in "xy"])


R_MIXED = """
library(lme4)
d <- read.csv(commandArgs(TRUE)[1]); rounds <- as.integer(commandArgs(TRUE)[2])
f <- as.formula(commandArgs(TRUE)[3])
d$patient <- factor(d$patient); t <- numeric(rounds)
for (i in seq_len(rounds)) { b <- proc.time(); m <- lmer(f, d); t[i] <- sum((proc.time() - b)[1:2]) }
found <- list(seconds = t, estimates = unname(fixef(m)), version = as.character(packageVersion("lme4")))
cat(jsonlite::toJSON(found, digits = 15))
"""

R_RICLPM = """
suppressMessages(library(lavaan))
d <- read.csv(commandArgs(TRUE)[1]); rounds <- as.integer(commandArgs(TRUE)[2]); T <- 7; t <- numeric(rounds)
x <- paste0("x", 1:T); y <- paste0("y", 1:T); m <- c(
  paste("rx =~", paste0("1*", x, collapse = " + ")), paste("ry =~", paste0("1*", y, collapse = " + ")),
  sprintf("wx%d =~ 1*x%d", 1:T, 1:T), sprintf("wy%d =~ 1*y%d", 1:T, 1:T), sprintf("x%d ~~ 0*x%d", 1:T, 1:T),
  sprintf("y%d ~~ 0*y%d", 1:T, 1:T), sprintf("wx%d ~ a*wx%d + b*wy%d", 2:T, 1:(T-1), 1:(T-1)),
  sprintf("wy%d ~ c*wx%d + d*wy%d", 2:T, 1:(T-1), 1:(T-1)), "wx1 ~~ wy1", sprintf("wx%d ~~ e*wx%d", 2:T, 2:T),
  sprintf("wy%d ~~ f*wy%d", 2:T, 2:T), sprintf("wx%d ~~ g*wy%d", 2:T, 2:T), "rx ~~ ry",
  sprintf("rx ~~ 0*%s", c("wx1", "wy1")), sprintf("ry ~~ 0*%s", c("wx1", "wy1")))
for (i in seq_len(rounds)) { b <- proc.time()
  fit <- lavaan(m, d, int.ov.free = TRUE, auto.var = TRUE, missing = "fiml"); t[i] <- sum((proc.time() - b)[1:2]) }
p <- coef(fit)[c("a", "b", "c", "d")]
found <- list(seconds = t, estimates = unname(p), version = as.character(packageVersion("lavaan")))
cat(jsonlite::toJSON(found, digits = 15))
"""


def by_r(script: str, table: pd.DataFrame, rounds: int, *more: str) -> dict | str:
    """What an R script measures; or why it does not."""
    if not shutil.which("Rscript"):
        return "there is no R"
    with tempfile.TemporaryDirectory() as folder:
        path, program = Path(folder) / "data.csv", Path(folder) / "script.R"
        table.to_csv(path, index=False)
        program.write_text(script)
        done = subprocess.run(["Rscript", program, path, str(rounds), *more], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def compare(task: str, ours, peers: list[Peer], rounds: int) -> list[dict]:
    """Time a task by everybody who is there."""
    reference, rows, ready = ours(), [], []
    for peer in peers:
        row = {"task": task, "peer": peer.package, "version": installed(peer.package), "asked": peer.what}
        rows.append(row)
        if row["version"] is None:
            row["note"] = "not installed"
            continue
        try:
            gap = float(np.max(np.abs(peer.work() - reference)))
        except Exception as error:
            row["note"] = f"{type(error).__name__}: {error}"[:90]
            continue
        if not gap < AGREE:
            row["note"] = f"other estimates ({gap:.1e})"
            continue
        ready.append((row, peer))
    times: dict = {"ours": []}
    for _ in range(rounds):
        times["ours"].append(seconds(ours))
        for at, (_, peer) in enumerate(ready):
            times.setdefault(at, []).append(seconds(peer.work) * peer.times)
    mine = float(np.median(times["ours"]))
    for at, (row, _) in enumerate(ready):
        row |= {
            "theirs": float(np.median(times[at])),
            "ours": mine,
            "ratio": float(np.median(times[at])) / mine,
        }
    return rows


def r_row(task: str, package: str, ours, found: dict | str, rounds: int, scale=1.0) -> dict:
    """The row of a peer in R."""
    row = {"task": task, "peer": f"{package} (R)", "version": None, "asked": "as documented"}
    if isinstance(found, str):
        return row | {"note": found[:90]}
    gap = float(np.max(np.abs(np.array(found["estimates"]) / scale - ours())))
    mine = float(np.median([seconds(ours) for _ in range(rounds)]))
    theirs = float(np.median(found["seconds"]))
    row |= {"version": found["version"][0] if isinstance(found["version"], list) else found["version"]}
    if not gap < AGREE:
        return row | {"note": f"other estimates ({gap:.1e})"}
    return row | {"theirs": theirs, "ours": mine, "ratio": theirs / mine}


def measure(rounds: int) -> list[dict]:
    """All tasks by all peers."""
    rows = []
    for method in ("DL", "REML"):
        rows += compare(*pooling(method), rounds)
    for patients, slopes in ((1_500, False), (5_350, False), (1_500, True), (5_350, True)):
        task, ours, peers = mixing(patients, slopes)
        rows += compare(task, ours, peers, rounds)
        y, X, group = panel(patients, slopes)
        table = pd.DataFrame(X[:, 1:], columns=["xw", "yw", "xm", "ym"]).assign(y=y, patient=group)
        formula = f"y ~ xw + yw + xm + ym + ({'1 + xw + yw' if slopes else '1'} | patient)"
        error = fit_mixed(y, X, group, X[:, :3] if slopes else None).std_error
        rows.append(r_row(task, "lme4", ours, by_r(R_MIXED, table, rounds, formula), rounds, error))
    for patients in (300, 1_500):
        task, ours, peers, Y = crosslagging(patients)
        rows += compare(task, ours, peers, rounds)
        rows.append(r_row(task, "lavaan", ours, by_r(R_RICLPM, wide(Y), rounds), rounds))
    return rows


def machine() -> str:
    """The kind of machine: processor, cores, Python and NumPy."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        models = [
            l.split(":")[1].strip()
            for l in Path("/proc/cpuinfo").read_text().splitlines()
            if l.startswith("model name")
        ]
        cpu = models[0] if models else cpu
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}"


def page(rows: list[dict], rounds: int) -> str:
    """results.md."""
    lines = [
        "# Speed beside peers",
        "",
        "Written by `make bench` (`benchmarks/peers.py`); what README and book say about speed comes from here.",
        f"Processor time of one thread, median of {rounds} rounds in which all took turns; more than 1 in the last",
        "column means that twostage was faster.",
        "",
        f"{date.today().isoformat()}, {machine()}. Load while it ran: {os.getloadavg()[0]:.1f}.",
        "",
        "| task | peer | version | asked for | theirs (ms) | ours (ms) | times as fast |",
        "|---|---|---|---|---:|---:|---:|",
    ]
    for row in rows:
        head = f"| {row['task']} | {row['peer']} | {row['version'] or '–'} | {row['asked']} |"
        if "note" in row:
            lines.append(f"{head} {row['note'].replace('|', '/')} | | |")
        else:
            lines.append(f"{head} {1e3 * row['theirs']:.3g} | {1e3 * row['ours']:.3g} | {row['ratio']:.3g} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results.md")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the peers' own
    rows = measure(options.rounds)
    options.out.write_text(page(rows, options.rounds))
    print(options.out.read_text())


if __name__ == "__main__":
    sys.exit(main())
