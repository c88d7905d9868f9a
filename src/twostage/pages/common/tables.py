"""Results as formatted tables and sentences, and the files a pooled notebook leaves for the manuscript."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from IPython.display import Markdown

from twostage.collection import Collection, mark_notes
from twostage.display import MISSING, count, inference, interval, number, number_in, p_value, rows_of
from twostage.stage2 import PooledTable, Results, as_correlations
from twostage.terms import DIRECTIONS, arrow, estimator_words, term_label
from twostage.text import myst, rich_myst
from twostage.words import say


def headline_text(results: Results) -> list[str]:
    """The cross-lagged effects and the outcome in sentences, for the end of a run."""
    lines = []
    for row in results.headline().to_dict("records"):
        cross = row["analysis"] == "lagged" and row["term"] == DIRECTIONS[row["direction"]].cross
        if not cross and row["analysis"] != "outcome":
            continue
        e = effect(row, float(row["level"]))
        label = term_label(row["direction"], row["term"], results.x, results.y)
        label = label.replace("Fisher z", "partial r")
        lines.append(f"{label}: {e.text}, k = {e.k}")
    return lines


@dataclass(frozen=True)
class Effect:
    """One pooled coefficient as the manuscript quotes it; every attribute is text or a plain number.

    Attributes
    ----------
    value, low, high : float
        Estimate and confidence interval; NaN where no study has the coefficient.
    studies : int
        How many have it; what says how far studies differ (`pi`, `tau`, `i2`) is a dash where it is one.
    estimate, ci, pi, p, tau, i2, k, n_patients, n_transitions : str
        Formatted; `pi` is a dash where there is none.
    level : str
        Of the intervals, in percent.
    """

    value: float
    low: float
    high: float
    studies: int
    estimate: str
    ci: str
    pi: str
    p: str
    tau: str
    i2: str
    k: str
    n_patients: str
    n_transitions: str
    level: str

    @property
    def excludes_zero(self) -> bool:
        """Whether the confidence interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    @property
    def spread(self) -> str:
        """What is said of the heterogeneity behind an effect, as far as there is something to say."""
        if self.studies < 2:
            return ""
        parts = [] if self.pi == MISSING else [f"prediction interval {self.pi}"]
        parts += [] if self.tau == MISSING else [f"τ = {self.tau}", f"I² = {self.i2}\u00a0%"]
        return ", ".join(parts)

    def found(self, what: str) -> str:
        """A sentence on what was found of something: ``the lagged effect a → b``."""
        if not self.studies:
            return f"No study gives an estimate of {what}."
        begun = f"{what[:1].upper()}{what[1:]}"
        if self.studies == 1:
            return f"{begun} was {self.text} in one study."
        spread = "" if self.pi == MISSING else f", prediction interval {self.pi}"
        return f"{begun}, pooled over {self.k} studies, was {self.text}{spread}."

    @property
    def over(self) -> str:
        """What an effect rests on: ``pooled over 3 studies, 150 participants and 700 transitions``."""
        counts = [f"{self.n_patients} participants"]
        counts += [f"{self.n_transitions} transitions"] * (self.n_transitions != "0")
        if self.studies == 1:
            return f"in one study with {' and '.join(counts)}"
        return f"pooled over {', '.join([f'{self.k} studies', *counts[:-1]])} and {counts[-1]}"

    @property
    def text(self) -> str:
        """``−0.05 (95 % CI [−0.07, −0.03])``; where there is none, that no study has it."""
        if not self.studies:
            return "not estimated in any study"
        return f"{self.estimate} ({self.level} % CI {self.ci})"

    @property
    def verdict(self) -> str:
        """What the interval says about zero, in words."""
        if not self.studies:
            return "no study has it"
        return "the interval excludes zero" if self.excludes_zero else "the interval includes zero"


NO_EFFECT = Effect(
    *(float("nan"), float("nan"), float("nan"), 0),
    *(MISSING, MISSING, MISSING, MISSING, MISSING, MISSING, "0", "0", "0", MISSING),
)


def effect(row: Mapping | pd.Series, level: float) -> Effect:
    """Format one row of a pooled table (a Fisher-z row as correlations, its tau staying in z)."""
    back = np.tanh if row["term"] == "partial_r_z" else float
    low, high = (float(back(row[c])) for c in ("ci_low", "ci_high"))
    k = int(row["k"])
    return Effect(
        value=float(back(row["estimate"])),
        low=low,
        high=high,
        studies=k,
        estimate=number_in(float(back(row["estimate"])), low, high),
        ci=interval(low, high),
        pi=interval(float(back(row["pi_low"])), float(back(row["pi_high"]))),
        p=p_value(row["p_value"]),
        tau=number(float(np.sqrt(row["tau2"])), 3) if k > 1 else MISSING,
        i2=number(row["i2"], 0) if k > 1 else MISSING,
        k=str(k),
        n_patients=count(row["n_patients"]),
        n_transitions=count(row["n_transitions"]),
        level=f"{100 * level:g}",
    )


def pooled_table(pooled: PooledTable, collection: Collection, terms: list[str] | None = None) -> pd.DataFrame:
    """Pooled coefficients in words, for a page.

    Parameters
    ----------
    pooled : PooledTable
    collection : Collection
    terms : list of str, optional
        Terms to show; all but the intercept otherwise.

    Returns
    -------
    pandas.DataFrame
        effect, k, patients, estimate, interval, prediction interval, p, tau, I2; all text.
    """
    rows = pooled.table[pooled.table["term"].isin(terms) if terms else pooled.table["term"] != "intercept"]
    return pd.DataFrame([_words(row, pooled, collection) for row in rows.to_dict("records")])


def _words(row: dict, pooled: PooledTable, collection: Collection) -> dict[str, str]:
    e = effect(row, pooled.level)
    label = term_label(row["direction"], row["term"], collection.x.label, collection.y.label)
    if row["term"] == "partial_r_z":
        label = label.replace("Fisher z", "partial r")
    first = {"variant": row["variant"]} if pooled.table["variant"].nunique() > 1 else {}
    toward = arrow(row["direction"], collection.x.name, collection.y.name)
    numbers = {
        "equation": toward,
        "effect": label,
        "k": e.k,
        "patients": e.n_patients,
        "estimate": e.estimate,
        f"{e.level} % CI": e.ci,
        "prediction interval": e.pi,
        "p": e.p,
        "τ": e.tau,
        "I² (%)": e.i2,
    }
    return first | numbers


def collection_heading(collection: Collection) -> Markdown:
    """Which collection and variables this page is about, and what the data are."""
    pair = f"*x* is {myst(collection.x.label)}, *y* is {myst(collection.y.label)}."
    k = len(collection.studies)
    return Markdown(f"**{k} {'study' if k == 1 else 'studies'}.** {pair}\n\n*{rich_myst(collection.note)}*")


def heterogeneity_table(pooled: PooledTable, collection: Collection, terms: list[str]) -> pd.DataFrame:
    """Between-study SD and I2 of some coefficients with their Q-profile intervals; all text.

    Parameters
    ----------
    pooled : PooledTable
        Empty for the method FE and for single studies, which have no heterogeneity to estimate.
    collection : Collection
    terms : list of str
    """
    rows = []
    wanted = pooled.table["term"].isin(terms) & (pooled.method != "FE") & (pooled.table["k"] > 1)
    for row in rows_of(pooled.table[wanted]):
        ends = pooled.fits[row.variant, row.direction, row.term].qprofile()
        rows.append(
            {
                "equation": arrow(row.direction, collection.x.name, collection.y.name),
                "effect": term_label(row.direction, row.term, collection.x.label, collection.y.label),
                "τ": number_in(ends.tau, ends.tau_low, ends.tau_high, 3),
                f"τ, {100 * pooled.level:g} % CI": interval(ends.tau_low, ends.tau_high, 3),
                "I² (%)": number_in(ends.i2, ends.i2_low, ends.i2_high, 0),
                f"I², {100 * pooled.level:g} % CI": interval(ends.i2_low, ends.i2_high, 0),
            }
        )
    return pd.DataFrame(rows)


def pooled_how(pooled: PooledTable) -> str:
    """How it was pooled, in a sentence; and what the fits had to remark."""
    if not (pooled.table["k"] > 1).any():
        return "No two studies have a coefficient in common, so nothing is pooled: estimates are those of single studies."
    rules = " or ".join(dict.fromkeys(pooled.table.loc[pooled.table["pi_low"].notna(), "pi_rule"]))
    text = f"τ² by {pooled.method}, {inference(pooled.ci)} inference, {100 * pooled.level:g} % intervals"
    text += f"; prediction interval: {rules}." if rules else "; no prediction interval with so few studies."
    notes = dict.fromkeys(note for note in pooled.table["note"] if note)
    return " ".join([text, *(f"Note: {note}." for note in notes)])


def r_scripts(pooled: PooledTable, coefficients: Iterable[tuple[str, str]]) -> str:
    """R scripts that pool coefficients (direction, term) again; of those that some study has."""
    there = [key for key in coefficients if pooled.has(*key)]
    return "\n".join(pooled.r_call(*key) for key in there) or "# no study has the effects"


def study_table(pooled: PooledTable, direction: str, term: str, variant: str = "main") -> pd.DataFrame:
    """The studies behind one pooled coefficient, as text."""
    studies = pooled.studies(direction, term, variant)
    if term == "partial_r_z":
        studies = as_correlations(studies)
    with_ends = studies[["estimate", "ci_low", "ci_high"]].to_numpy().tolist()
    return pd.DataFrame(
        {
            "study": studies["label"],
            "patients": [count(n) for n in studies["n_patients"]],
            "transitions": [count(n) for n in studies["n_transitions"]],
            "estimate": [number_in(e, a, b) for e, a, b in with_ends],
            "interval": [interval(a, b) for _, a, b in with_ends],
            "weight (%)": [number(w, 1) for w in studies["weight"]],
            "singular": ["yes" if s else "no" for s in studies["singular"]],
        }
    )


def left_out_sentence(pooled: PooledTable) -> str:
    """Who is not in the pool and why, in words; and what the mark of a study without data means."""
    return " ".join(filter(None, [_left_out(pooled), mark_notes(pooled.estimates["label"])]))


def _left_out(pooled: PooledTable) -> str:
    if pooled.left_out.empty:
        return "Every study has every coefficient of this analysis."
    return "Left out: " + "; ".join(left_out_lines(pooled.left_out)) + "."


def left_out_lines(table: pd.DataFrame) -> list[str]:
    """Studies left out (study, variant, direction, reason), each with what of it and why, in words."""
    named = []
    for key, rows in table.groupby(["study", "variant", "reason"], sort=False):
        study, variant, reason = map(str, key)
        where = [say(estimator_words(variant))] if variant != "main" else []
        directions = rows["direction"].unique()
        where += [str(d).replace("_to_", " → ") for d in directions] if len(directions) == 1 else []
        place = f"{study} ({', '.join(where)})" if where else study
        named.append(f"{place}: {say(reason)}")
    return named


def forest_alt(pooled: PooledTable, direction: str, term: str, collection: Collection) -> str:
    """Text for those who cannot see the forest plot."""
    e = effect(pooled.row(direction, term), pooled.level)
    studies = pooled.studies(direction, term)
    back = np.tanh if term == "partial_r_z" else np.asarray
    low, high = back(studies["estimate"].min()), back(studies["estimate"].max())
    what = term_label(direction, term, collection.x.label, collection.y.label)
    if e.studies == 1:
        return f"Forest plot of one study, {what}: {e.text}."
    prediction = "" if e.pi == MISSING else f", prediction interval {e.pi}"
    return (
        f"Forest plot of {e.k} studies, {what}: study estimates from {number(float(low))} to "
        f"{number(float(high))}, pooled {e.text}{prediction}."
    )
