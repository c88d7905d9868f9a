"""The calls `r_call` writes for a sample of results, as input for metareg.R.

``python metareg_calls.py`` (from this folder) writes metareg_calls.json; ``Rscript tests/reference/metareg.R calls``
runs them and writes what they gave to metareg_calls_out.json. The tests compare both with what the code says now.
"""

import json
from pathlib import Path

from metareg_tables import DATA, arguments, ours

from twostage.stats.pool.locationscale import locationscale
from twostage.stats.pool.metareg import metareg
from twostage.stats.pool.permutation import permutation_test
from twostage.stats.pool.pool import pool
from twostage.stats.pool.subgroups import subgroups

HERE = Path(__file__).parent


def results():
    """A sample of results by name: every kind, estimators of every algorithm, names that R must quote."""
    bcg, maxima, hart = DATA["bcg_all"], DATA["two_maxima"], DATA["hart"]
    found = {
        "pool": pool(bcg["y"], bcg["v"]),
        "pool_wald_k1": pool(bcg["y"], bcg["v"], method="PM", ci="wald", prediction="k-1", level=0.9),
        "pool_fixed": pool(bcg["y"], bcg["v"], method="FE", ci="wald"),
        "pool_two_maxima": pool(maxima["y"], maxima["v"], method="ML"),
        "pool_named": pool(bcg["y"][:4], bcg["v"][:4], labels=["Aronson 1948", 'a "b"', "Müller", "\\d"]),
        "pool_normal": pool(bcg["y"], bcg["v"], method="DL", ci="wald", prediction="normal"),
        "pool_own_rule": pool(bcg["y"], bcg["v"], method="EB", ci="hartung-knapp-adhoc", prediction="k-1"),
        "pool_knha_normal": pool(bcg["y"], bcg["v"], method="SJ", prediction="normal"),
    }
    for name in (
        "bcg_all",
        "raudenbush",
        "curtis",
        "cell_means",
        "konstantopoulos",
        "two_maxima",
        "bcg_none",
    ):
        found[f"metareg_{name}"] = ours(name, "REML", "hartung-knapp")
    for method in ("FE", "DL", "PM", "ML", "EB", "SJ", "HS", "HE"):
        found[f"metareg_{method}"] = ours("molloy", method, "wald")
    found["metareg_adhoc"] = ours("lau", "REML", "hartung-knapp-adhoc")
    (y, v, X), keywords = arguments(DATA["bcg_origin"])
    found["metareg_origin"] = metareg(y, v, X, names=["yi"], **keywords)
    for rule in ("separate", "common"):
        found[f"subgroups_{rule}"] = subgroups(bcg["y"], bcg["v"], bcg["group"], tau2=rule)
    single = DATA["cell_means"]
    found["subgroups_single"] = subgroups(single["y"], single["v"], single["group"], method="DL", ci="wald")
    (y, v, X), _ = arguments(hart)
    found["permutation"] = permutation_test(metareg(y, v, X, method="DL", names=["publication year"]))
    found["permutation_signs"] = permutation_test(metareg(y, v, method="DL"))
    (y, v, X), _ = arguments(bcg)
    options = {"names": ["ablat"], "scale_names": ["year"]}
    found["locationscale"] = locationscale(y, v, X[:, :1], X[:, 1:2], **options)
    found["locationscale_ml"] = locationscale(
        y, v, None, X[:, :1], scale_names=["ablat"], method="ML", ci="wald"
    )
    return found


def calls():
    """The calls, in order."""
    return [{"name": name, "call": result.r_call()} for name, result in results().items()]


def write():
    """Write metareg_calls.json."""
    text = json.dumps(calls(), indent=1, ensure_ascii=False)
    (HERE / "metareg_calls.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
