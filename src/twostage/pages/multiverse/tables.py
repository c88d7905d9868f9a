"""Tables and sentences on a multiverse: how far the answer depends on choices, which ones, and whether any turns it."""

import numpy as np
import pandas as pd

from twostage.collection import Collection
from twostage.display import count, inference, number, p_value, percent, rows_of, with_interval
from twostage.multiverse.grid import CHOICES, WORDS
from twostage.multiverse.store import Multiverse
from twostage.pages.bayes.tables import probability
from twostage.pages.multiverse.analysis import BIAS_AWARE, CONCLUSIONS, View, thin
from twostage.stats.multiverse import Branch, Decomposition
from twostage.terms import DIRECTIONS, ESTIMATORS, arrow, estimator_words
from twostage.words import say

_VALUES = {
    ("standardize", "total"): "SD of all scores",
    ("standardize", "within"): "SD within patients",
    ("standardize", "none"): "scale points",
    ("detrend", "none"): "none",
    ("detrend", "session"): "one line for all",
    ("detrend", "patient"): "each patient's line",
    ("stage1_errors", "patients"): "patients as clusters",
    ("stage1_errors", "model"): "of the model",
    ("stage1_errors", "robust"): "patients as clusters, robust in panel models",
}


#: What the joint statistics are called.
_STATISTICS = {
    "median": "median estimate",
    "same_signed": "share of estimates on the side of zero with more of them",
    "significant": "share of intervals that exclude zero on one side",
}


def choice_words(name: str) -> str:
    """What a choice is called."""
    return say(WORDS[name])


def value_words(name: str, value: object) -> str:
    """A value of a choice in words."""
    if name == "estimator":
        return say(estimator_words(str(value)))
    if name == "ci_method":
        return inference(str(value))
    if name == "window":
        return f"{say('sessions')} {value}"
    return say(_VALUES.get((name, str(value)), str(value)))


def names_of(collection: Collection) -> dict[str, str]:
    """Both directions in the collection's words."""
    return {d: arrow(d, collection.x.label, collection.y.label) for d in DIRECTIONS}


def how_made(m: Multiverse) -> str:
    """What is computed, when and how, with a caution where it is out of date."""
    a = m.about
    source = {"given": "a file given on the command line", "default": "the built-in grid"}.get(
        a["grid_from"], a["grid_from"]
    )
    studies = max(len(ids) for ids in a["sets"].values())
    text = (
        f"{count(len(m))} specifications of {studies} studies, from {source}, made on {a['date']} by version "
        f"{a['package_version']} of the package (commit {str(a['commit'])[:12]}) in {number(a['seconds'], 0)} seconds on "
        f"{a['processes']} {'process' if a['processes'] == 1 else 'processes'}."
    )
    if a["left_out"]:
        text += f" Not among them: {'; '.join(f'{study} ({why})' for study, why in a['left_out'].items())}."
    text += (
        " The main analysis is the one with the collection's own parameters. Specifications are not replications: they "
        "analyse the same scores again, so that their number says nothing of how certain the answer is."
    )
    return f"{text} {m.caution()}".rstrip()


def overview_table(m: Multiverse, view: View) -> pd.DataFrame:
    """One row per estimator, and all: how many specifications, where they lie, what they conclude; all text."""
    names = [(estimator_words(e), [e]) for e in view.by_estimator]
    names += [("all specifications", list(ESTIMATORS))]
    rows = []
    for words, members in names:
        inside = view.where(*members)
        y, c = view.table.loc[inside, "estimate"], view.conclusion[inside]
        row = {
            "estimator": say(words),
            "specifications": count(inside.sum()),
            "median": number(y.median(), 3),
        }
        row |= {"from": number(y.min(), 3), "to": number(y.max(), 3), "below zero": percent((y < 0).mean())}
        row |= {f"interval {CONCLUSIONS[code]}": percent((c == code).mean()) for code in CONCLUSIONS}
        if m.about["least"]:
            least = m.about["least"]
            row[f"beyond {number(-least)}"] = percent((y < -least).mean())
            row[f"beyond {number(least)}"] = percent((y > least).mean())
        rows.append(row)
    return pd.DataFrame(rows)


def shares_table(view: View) -> pd.DataFrame:
    """Each choice's share of the variance, of all specifications and of each estimator's; all text.

    Of an estimator the cells are the share alone and, after a slash, that with its interactions.
    """
    rows = []
    for name in view.varied:
        row = {"choice": choice_words(name), "all": _share(view.shares, name)}
        for estimator, own in view.by_estimator.items():
            row[say(estimator_words(estimator))] = _share(own, name)
        rows.append(row)
    sd = {"choice": "standard deviation of the estimates", "all": number(np.sqrt(view.shares.variance), 3)}
    for estimator, own in view.by_estimator.items():
        sd[say(estimator_words(estimator))] = number(np.sqrt(own.variance), 3)
    return pd.DataFrame([*rows, sd])


def _share(shares: Decomposition, name: str) -> str:
    if name not in shares.names:
        return "–"
    at = shares.names.index(name)
    return f"{percent(shares.first[at])} / {percent(shares.total[at])}"


def shares_rule(view: View) -> str:
    """How the table of shares is to be read, in sentences."""
    text = (
        "Share of the estimates' variance that goes with a choice alone / with it and everything that it acts together "
        "with. The columns of single estimators are exact where their specifications are all combinations of their "
        "choices: then what choices do alone adds up to at most 100 %."
    )
    if not view.shares.balanced:
        text += (
            f" All specifications together lack {count(view.shares.n_missing)} combinations, since not every choice means "
            "something to every estimator. Their choices depend on each other, no decomposition is the only one, and the "
            "shares in that column do not add up; the second number is what changes when only that choice does."
        )
    lacking = [say(estimator_words(e)) for e, own in view.by_estimator.items() if not own.balanced]
    if lacking:
        text += f" The same holds of the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}."
    return text


def dropped_table(m: Multiverse) -> pd.DataFrame:
    """Combinations that are no specifications, with the reason; all text."""
    rows = [{"specifications": count(n), "left out because": say(reason)} for reason, n in m.about["dropped"]]
    return pd.DataFrame(rows)


def grid_table(m: Multiverse) -> pd.DataFrame:
    """The choices and their values, the main analysis's first; all text."""
    values = m.about["values"]
    rows = [
        {"choice": choice_words(name), "values": "; ".join(value_words(name, v) for v in values[name])}
        for name in CHOICES
    ]
    return pd.DataFrame(rows)


def failed_table(m: Multiverse) -> pd.DataFrame:
    """Studies without an estimate under some combinations; all text."""
    rows = [
        {
            "study": study,
            "estimator": say(estimator_words(e)),
            "combinations of stage 1": count(n),
            "first reason": say(why),
        }
        for study, e, why, n in m.about["failed"]
    ]
    return pd.DataFrame(rows)


def flips_table(m: Multiverse, view: View) -> pd.DataFrame:
    """Where conclusions differ from that of the main analysis, as a tree read from the top; all text."""
    rows = []
    for branch in view.flips.tree:
        depth = len(branch.path)
        rows.append(
            {
                "specifications with": f"{'— ' * depth}{_branch_words(m, branch)}",
                "how many": count(branch.n),
                "other conclusion": percent(branch.share, 1),
            }
        )
    return pd.DataFrame(rows)


def _branch_words(m: Multiverse, branch: Branch) -> str:
    if not branch.path:
        return "all"
    f, values = branch.path[-1]
    name = CHOICES[f]
    every = m.about["values"][name]
    return f"{choice_words(name)}: {', '.join(value_words(name, every[v]) for v in values)}"


def joint_table(view: View) -> pd.DataFrame:
    """All specifications against the draws without an effect; all text."""
    rows = [
        {
            "statistic": _STATISTICS[r.statistic],
            "observed": _shown(r.statistic, r.observed),
            "without an effect (middle 95 %)": f"{_shown(r.statistic, r.null_low)} to "
            f"{_shown(r.statistic, r.null_high)}",
            "p": p_value(r.p_value),
            "Monte Carlo error of p": number(r.mcse, 3),
        }
        for r in rows_of(view.joint.result.tidy())
    ]
    return pd.DataFrame(rows)


def _shown(statistic: str, value: float) -> str:
    return number(value, 3) if statistic == "median" else percent(value)


def priors_table(m: Multiverse, direction: str) -> pd.DataFrame:
    """What is concluded under each prior, over the combinations of stage 1, split by kind of estimator; all text."""
    rows = m.priors[m.priors["direction"] == direction]
    of = m.of(direction).set_index("specification")["estimator"]
    aware = rows["specification"].map(of).isin(BIAS_AWARE)
    found = []
    for prior in dict.fromkeys(rows["prior"]):
        row = {"prior": say(prior)}
        for words, own in (("centred estimators", rows[~aware]), ("bias-aware estimators", rows[aware])):
            p = own.loc[own["prior"] == prior, "below_zero"]
            row[f"{words}: probability of a negative effect"] = (
                f"{probability(p.min())} to {probability(p.max())}" if len(p) else "–"
            )
        found.append(row)
    return pd.DataFrame(found)


def sentences(m: Multiverse, view: View) -> dict[str, str]:
    """What came out of one direction, in words: the curve, what moves it, what turns it, where estimators lie, chance."""
    return {
        "curve": _curve(m, view),
        "moves": _moves(view),
        "flips": _flips(m, view),
        "positions": _positions(view),
        "joint": _joint(m, view),
    }


def _curve(m: Multiverse, view: View) -> str:
    y, c = view.table["estimate"], view.conclusion
    side = "negative" if (y < 0).mean() >= 0.5 else "positive"
    sign = -1 if side == "negative" else 1
    text = (
        f"Of {count(len(y))} specifications {_many(sign * y > 0)} have a {side} estimate (median {number(y.median(), 3)}, "
        f"from {number(y.min(), 3)} to {number(y.max(), 3)}). The {percent(m.about['level'])} interval lies below zero in "
        f"{_many(c == -1)}, includes zero in {_many(c == 0)}, and lies above it in {_many(c == 1)}."
    )
    if least := m.about["least"]:
        text += (
            f" Beyond {number(sign * least)}, the smallest effect of interest, lie {_many(sign * y > least)}."
        )
    if missing := len(m) - len(y):
        text += f" {count(missing)} more have no estimate: fewer than two studies have one there, or the pool has none."
    return text


def _many(which: pd.Series | np.ndarray) -> str:
    """How many of all: a percentage, unless rounding would make it all or none."""
    n, every = int(np.sum(which)), len(which)
    if n in (0, every):
        return "all" if n else "none"
    return f"{percent(n / every, 1)}" if 0.0005 < n / every < 0.9995 else f"{count(n)}"


def _moves(view: View) -> str:
    s = view.shares
    if not np.isfinite(s.total).all():
        return "All specifications have the same estimate."
    order = np.argsort(-s.total)
    first, rest = order[0], order[1:3]
    text = (
        f"The choice that moves the answer most is the {choice_words(s.names[first])}: {percent(s.total[first])} of the "
        "variance of the estimates goes with it when all else stays as it is"
    )
    if len(rest) and s.total[rest[0]] >= 0.01:
        text += f"; next comes {choice_words(s.names[rest[0]])} ({percent(s.total[rest[0]])})"
    text += "."
    name = s.names[first]
    medians = view.table.groupby(name)["estimate"].median()
    low, high = medians.idxmin(), medians.idxmax()
    text += (
        f" Its values lie apart by {number(medians.max() - medians.min(), 3)}: the median estimate goes from "
        f"{number(medians.min(), 3)} ({value_words(name, low)}) to {number(medians.max(), 3)} ({value_words(name, high)})."
    )
    negligible = [choice_words(n) for n, t in zip(s.names, s.total, strict=True) if t < 0.005]
    if negligible:
        text += f" Less than 0.5 % goes with: {', '.join(negligible)}."
    return text


def _flips(m: Multiverse, view: View) -> str:
    f = view.flips
    main = CONCLUSIONS[int(view.conclusion[0])]
    verb = main if main.startswith("includes") else f"lies {main}"
    if not f.fewest:
        return (
            f"No reasonable choice turns the conclusion: in every specification the interval {verb}, as in the main "
            "analysis."
        )
    opposite = -view.conclusion[0]
    text = f"In the main analysis the interval {verb}; in {percent(f.share, 1)} of the specifications it does not."
    if view.conclusion[0]:
        n = int((view.conclusion == opposite).sum())
        text += " None of them has an interval on the other side of zero." if not n else (
            f" {count(n)} have an interval on the other side of zero."
        )  # fmt: skip
    values = m.about["values"]
    if f.alone:
        steps = [
            f"{choice_words(CHOICES[c])}: {value_words(CHOICES[c], values[CHOICES[c]][v])}"
            for c, v, _ in f.alone
        ]
        text += f" A single choice is enough ({'; '.join(steps)})."
    else:
        text += f" No single choice does it: at least {f.fewest} must change together."
    leaves = [b for b in f.tree if b.leaf and b.path and b.share > 0.5]
    if leaves:
        worst = max(leaves, key=lambda b: b.n * b.share)
        where = "; ".join(_branch_words(m, Branch((step,), 0, 0.0, True)) for step in worst.path)
        turned = f.share * len(view.table)
        text += (
            f" {percent(worst.n * worst.share / turned)} of them have {where}; of the {count(worst.n)} specifications with "
            f"that, {percent(worst.share)} turn."
        )
    return text


def _positions(view: View) -> str:
    y = view.table["estimate"]
    below = percent((y < y.iloc[0]).mean())
    text = f"The main analysis ({number(y.iloc[0], 3)}) has {below} of the specifications below it."
    parts = []
    for e in (e for e in view.by_estimator if e in BIAS_AWARE):
        own = y[view.where(e)]
        parts.append(f"{say(estimator_words(e))} {with_interval(own.median(), own.min(), own.max(), 3)}")
    if parts:
        text += (
            " Estimators that allow for the bias of few sessions lie at (median, and from where to where): "
            f"{'; '.join(parts)}. That most specifications agree is no argument where most of them are centred ones, which "
            "share a bias: read each estimator by itself."
        )
    return text


def _joint(m: Multiverse, view: View) -> str:
    if not view.joint:
        return view.joint.words
    test = view.joint.result
    rows = {r.statistic: r for r in rows_of(test.tidy())}
    tau = m.about["null"]["tau"][view.direction] if m.about["null"] else float("nan")
    said = [
        f"{_STATISTICS[name]} {_shown(name, r.observed)} (without an effect {_shown(name, r.null_low)} to "
        f"{_shown(name, r.null_high)}; p {p_value(r.p_value)}, Monte Carlo error {number(r.mcse, 3)})"
        for name, r in rows.items()
    ]
    spread = (
        f", where studies' effects have a standard deviation of {number(tau, 3)}" if np.isfinite(tau) else ""
    )
    return (
        f"Held against {count(test.draws)} draws of the collection without a lagged effect on average{spread}: "
        f"{'; '.join(said)}. {_drawn(m, view)}"
    )


def _drawn(m: Multiverse, view: View) -> str:
    """How many specifications the test is of."""
    n = len(thin(m, view.table))
    if n == len(view.table):
        return "The test is of all specifications."
    return (
        f"The test is of {count(n)} of the specifications, without those that take long; so what is observed differs from "
        "the numbers of all."
    )


def figure_alt(m: Multiverse, view: View, name: str) -> str:
    """What the specification curve shows, for those who cannot see it."""
    y = view.table["estimate"]
    return (
        f"Specification curve of {name}: {len(y):,} estimates in rising order from {number(y.min(), 3)} to "
        f"{number(y.max(), 3)} with their intervals, coloured by estimator; below, which value of each choice they have. "
        "The numbers are in the tables."
    )
