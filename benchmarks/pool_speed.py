"""Speed of pool_many: 100,000 meta-analyses in one call against loops over PyMARE and statsmodels, in one run.

    pip install pymare            (a tool of this benchmark only; nothing of the project needs it)
    python benchmarks/pool_speed.py [--n 100000] [--k 17] [--sample 400] [--rounds 5]

The peers pool one meta-analysis per call; a sample of them is timed and the time per meta-analysis compared.
Processor time on one thread, the median over rounds in which all take turns. Each peer is timed twice: the least it
can be asked for (the fit), and what is nearer to ours (fit, interval, test of heterogeneity). Ours is always all that
`pool_many` returns: estimate, inference, prediction interval, tau2 with its standard error, Q, I2, H2, likelihood,
weights. PyMARE's estimators are DerSimonian-Laird and REML; statsmodels' `combine_effects` has DerSimonian-Laird
("dl", not truncated at 0) and Paule-Mandel ("iterated"). Before the clock starts the estimates are compared.
"""

import argparse
import os
import sys
import time
import warnings

for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np
import pymare
from pymare.estimators import DerSimonianLaird, VarianceBasedLikelihoodEstimator
from statsmodels.stats.meta_analysis import combine_effects

from twostage.stats.pool.pool import pool_many

DEMANDED = 50
#: Closed forms agree to rounding; the peers' iterations stop early (PyMARE's REML, Paule-Mandel to 1e-5).
AGREE = {"DL": 1e-12, "PM": 1e-5, "REML": 1e-6}


def draw(n, k, seed=1):
    """Estimates and sampling variances of n meta-analyses, tau2 = 0.04."""
    rng = np.random.default_rng(seed)
    v = rng.uniform(0.01, 0.09, (n, k))
    return 0.3 + rng.normal(size=v.shape) * np.sqrt(v + 0.04), v


def by_pymare(method, full):
    """One meta-analysis by PyMARE: tau2."""
    estimator = DerSimonianLaird() if method == "DL" else VarianceBasedLikelihoodEstimator(method="REML")

    def work(y, v):
        result = estimator.fit_dataset(pymare.Dataset(y=y[:, None], v=v[:, None])).summary()
        if full:
            result.get_fe_stats()
            result.get_heterogeneity_stats()
        return float(np.ravel(result.tau2)[0])

    return work


def by_statsmodels(method, full):
    """One meta-analysis by statsmodels: tau2."""
    how = {"DL": "dl", "PM": "iterated"}[method]

    def work(y, v):
        result = combine_effects(y, v, method_re=how, use_t=True)
        if full:
            result.conf_int()
            result.test_homogeneity()
        return max(float(result.tau2), 0.0)

    return work


PEERS = [(name, method, full) for name, methods in (("PyMARE", ("DL", "REML")), ("statsmodels", ("DL", "PM")))
         for method in methods for full in (False, True)]  # fmt: skip


def seconds(work):
    """Processor seconds of one call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def measure(n, k, sample, rounds):
    """Microseconds per meta-analysis: ours by method, each peer's."""
    y, v = draw(n, k)
    makers = {"PyMARE": by_pymare, "statsmodels": by_statsmodels}
    peers = {peer: makers[peer[0]](*peer[1:]) for peer in PEERS}
    for (name, method, _), work in peers.items():
        ours = pool_many(y[:sample], v[:sample], method=method).tau2
        theirs = np.array([work(a, b) for a, b in zip(y[:sample], v[:sample], strict=True)])
        gap = np.max(np.abs(ours - theirs))
        print(f"{name:12} {method:5} largest difference of tau2 {gap:.1e}")
        if gap > AGREE[method]:
            sys.exit(f"{name} and pool_many estimate something else")
    times = {}
    for _ in range(rounds):
        for method in ("DL", "PM", "REML"):
            taken = seconds(lambda m=method: pool_many(y, v, method=m))
            times.setdefault(("ours", method), []).append(taken / n)
        for peer, work in peers.items():
            loop = seconds(lambda w=work: [w(a, b) for a, b in zip(y[:sample], v[:sample], strict=True)])
            times.setdefault(peer, []).append(loop / sample)
    return {who: 1e6 * float(np.median(t)) for who, t in times.items()}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--k", type=int, default=17)
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # PyMARE's and statsmodels' own
    times = measure(**vars(options))
    print(
        f"\n{options.n} meta-analyses of k = {options.k}; microseconds of processor time each; ratio to ours"
    )
    for method in ("DL", "PM", "REML"):
        print(f"pool_many    {method:5} {times['ours', method]:10.2f}")
    worst = np.inf
    for name, method, full in PEERS:
        ratio = times[name, method, full] / times["ours", method]
        worst = min(worst, ratio)
        what = "fit, interval, test" if full else "fit only"
        print(f"{name:12} {method:5} {times[name, method, full]:10.2f}  {ratio:7.0f} times  ({what})")
    if worst < DEMANDED:
        sys.exit(f"slower than demanded: {worst:.0f} < {DEMANDED}")


if __name__ == "__main__":
    main()
