"""What changed between two releases: studies, pooled effects, heterogeneity, verdicts, moderators, estimators."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from twostage.display import html_table
from twostage.interchange import Release, plain, zero
from twostage.pages.compare.analysis import Comparison, compare
from twostage.stage2 import headline_terms
from twostage.terms import DIRECTIONS, HEADLINE

#: Raised when the meaning of a field of ``changes.json`` changes.
VERSION = 1


_NUMBERS = ("estimate", "ci_low", "ci_high", "pi_low", "pi_high", "tau2", "i2", "k", "n_patients")


@dataclass(frozen=True)
class Changes:
    """What changed from one release to another.

    Attributes
    ----------
    before, after : Release
    comparison : Comparison
        Every pooled coefficient of both.
    effects : pandas.DataFrame
        One row per coefficient that answers the question, by the main analysis and, for the cross-lagged effects, by each
        estimator: analysis, variant, direction, term; for each of estimate, interval, prediction interval, tau2, i2, k and
        n_patients ``<name>_before`` and ``<name>_after``; ``zero_before`` and ``zero_after`` (what the interval says of
        zero, empty where there is no estimate); flipped; sign_changed.
    moderators : pandas.DataFrame
        One row per direction and moderator tested in either: slope, holm_p_value and related (at the level) before and
        after; flipped.
    """

    before: Release
    after: Release
    comparison: Comparison
    effects: pd.DataFrame
    moderators: pd.DataFrame

    @property
    def added(self) -> tuple[str, ...]:
        """Studies that are new."""
        return self.comparison.only_b

    @property
    def withdrawn(self) -> tuple[str, ...]:
        """Studies that are gone."""
        return self.comparison.only_a

    @property
    def replaced(self) -> tuple[str, ...]:
        """Studies with other data, or other shared results, than before."""
        return self.comparison.changed

    def tidy(self) -> pd.DataFrame:
        """One row per coefficient."""
        return self.effects.copy()

    def glance(self) -> pd.DataFrame:
        """One row: how many studies joined, left and changed, and how many verdicts flipped."""
        counts = {"added": len(self.added), "withdrawn": len(self.withdrawn), "replaced": len(self.replaced)}
        flips = {
            "flipped": int(self.effects["flipped"].sum()),
            "sign_changed": int(self.effects["sign_changed"].sum()),
        }
        return pd.DataFrame([counts | flips | {"moderators_flipped": int(self.moderators["flipped"].sum())}])

    def as_json(self) -> dict[str, Any]:
        """``changes.json``: the same for programs."""
        names = {"added": self.added, "withdrawn": self.withdrawn, "replaced": self.replaced}
        return {
            "schema_version": VERSION,
            **{end: _about(release) for end, release in (("before", self.before), ("after", self.after))},
            "studies": {name: list(studies) for name, studies in names.items()},
            "parameters": _cells(self.comparison.parameters.rename(columns={"a": "before", "b": "after"})),
            "effects": _cells(self.effects),
            "moderators": _cells(self.moderators),
        }

    def _repr_html_(self) -> str:
        return html_table(self.effects)


def _about(release: Release) -> dict[str, Any]:
    document = release.document
    about = {"release": release.number, "date": document.made, "package_version": document.package_version}
    return about | {"results_sha256": release.sha256, "studies": len(document.studies)}


def _cells(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def changes(before: Release, after: Release) -> Changes:
    """What changed from one release to another.

    Parameters
    ----------
    before, after : Release

    Raises
    ------
    ProblemError
        If they are about different pairs of variables.
    """
    comparison = compare(before.results, after.results)
    placed = [(_place(row), _effect(row)) for row in comparison.tidy().to_dict("records")]
    rows = [row for place, row in sorted(placed, key=lambda one: one[0]) if place >= 0]
    names = [f"{name}_{end}" for name in _NUMBERS for end in ("before", "after")]
    columns = [
        "analysis",
        "variant",
        "direction",
        "term",
        *names,
        "zero_before",
        "zero_after",
        "flipped",
        "sign_changed",
    ]
    moderators = _moderators(before, after)
    return Changes(before, after, comparison, pd.DataFrame(rows, columns=columns), moderators)


def _place(row: dict[Any, Any]) -> int:
    """Where a coefficient stands: those that answer the question, then the cross-lagged effects by the other estimators."""
    key = (row["analysis"], row["variant"], row["direction"], row["term"].replace("partial_r", "partial_r_z"))
    main = headline_terms()
    if key in main:
        return main.index(key)
    cross = row["analysis"] == "estimators" and row["term"] == DIRECTIONS[row["direction"]].cross
    # By the estimator of the main analysis it is there already.
    return len(main) if cross and row["variant"] != HEADLINE else -1


def _effect(row: dict[Any, Any]) -> dict[str, Any]:
    found = {name: row[name] for name in ("analysis", "variant", "direction", "term")}
    for name in _NUMBERS:
        found |= {f"{name}_before": row[f"{name}_a"], f"{name}_after": row[f"{name}_b"]}
    sides = [zero(row[f"ci_low_{end}"], row[f"ci_high_{end}"]) for end in "ab"]
    signs = [np.sign(row[f"estimate_{end}"]) for end in "ab"]
    there = all(sides)
    return found | {
        "zero_before": sides[0],
        "zero_after": sides[1],
        "flipped": there and sides[0] != sides[1],
        "sign_changed": there and bool(signs[0] * signs[1] < 0),
    }


def _moderators(before: Release, after: Release) -> pd.DataFrame:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for end, release in (("before", before), ("after", after)):
        alpha = 1 - float(release.document.parameters["level"])
        for m in release.document.moderators:
            row = rows.setdefault(
                (m.direction, m.moderator), {"direction": m.direction, "moderator": m.moderator}
            )
            related = None if m.holm_p_value is None else m.holm_p_value <= alpha
            row |= {"label": m.label, f"slope_{end}": m.slope, f"holm_p_value_{end}": m.holm_p_value}
            row[f"related_{end}"] = related
    columns = ["direction", "moderator", "label"]
    columns += [
        f"{name}_{end}" for name in ("slope", "holm_p_value", "related") for end in ("before", "after")
    ]
    table = pd.DataFrame(list(rows.values()), columns=columns).astype(object)
    table = table.where(table.notna(), None)
    ends = zip(table["related_before"], table["related_after"], strict=True)
    return table.assign(flipped=[a is not None and b is not None and a != b for a, b in ends])
