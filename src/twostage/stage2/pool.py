"""Stage 2: the records of many studies -> pooled estimates.

Every coefficient is pooled by itself with a random-effects model; a study that lacks what an analysis
needs is left out of it and named with the reason.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from twostage.display import html_table
from twostage.params import Parameters
from twostage.problems import Problem, RecordError
from twostage.project import found_upwards
from twostage.records import Record, find_record
from twostage.stats.base import EFFECT, NotEstimable
from twostage.stats.influence import leave_one_out as without_each
from twostage.stats.pool import PooledFit, pool
from twostage.terms import DIRECTIONS


@dataclass(frozen=True)
class PooledTable:
    """Every coefficient of an analysis, pooled.

    Attributes
    ----------
    analysis : str
    estimates : pandas.DataFrame
        The studies' rows that went in (standard columns) with `label` and `weight` (percent).
    table : pandas.DataFrame
        One row per coefficient: analysis, variant, direction, term, estimator, k, n_patients, n_transitions,
        estimate, std_error, df, statistic, p_value, ci_low, ci_high, pi_low, pi_high, pi_rule, tau2, i2,
        h2, q, q_p_value, converged, note.
    fits : dict
        (variant, direction, term) -> :class:`twostage.stats.pool.results.PooledFit`.
    left_out : pandas.DataFrame
        study, analysis, variant, direction, reason.
    method, ci, level
        How it was pooled.
    """

    analysis: str
    estimates: pd.DataFrame
    table: pd.DataFrame
    fits: dict[tuple[str, str, str], PooledFit]
    left_out: pd.DataFrame
    method: str
    ci: str
    level: float

    def tidy(self) -> pd.DataFrame:
        """One row per pooled coefficient."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row per pooled coefficient, heterogeneity only."""
        return self.table[
            ["variant", "direction", "term", "k", "tau2", "i2", "h2", "q", "q_p_value", "converged"]
        ].copy()

    def row(self, direction: str, term: str, variant: str = "main") -> pd.Series:
        """One pooled coefficient.

        Raises
        ------
        NotEstimable
            If no study has it.
        """
        found = self._rows(direction, term, variant)
        if found.empty:
            raise NotEstimable(
                f"no study has {term} of {direction} ({variant}) in the analysis {self.analysis}"
            )
        return found.iloc[0]

    def has(self, direction: str, term: str, variant: str = "main") -> bool:
        """Whether any study has a coefficient."""
        return not self._rows(direction, term, variant).empty

    def _rows(self, direction: str, term: str, variant: str) -> pd.DataFrame:
        rows = self.table
        return rows[(rows["direction"] == direction) & (rows["term"] == term) & (rows["variant"] == variant)]

    def studies(self, direction: str, term: str, variant: str = "main") -> pd.DataFrame:
        """The studies' estimates of one coefficient, in the order of the collection."""
        e = self.estimates
        return e[(e["direction"] == direction) & (e["term"] == term) & (e["variant"] == variant)].reset_index(
            drop=True
        )

    def r_call(self, direction: str, term: str, variant: str = "main") -> str:
        """An R script that pools one coefficient again with metafor: data in full precision, fit, prediction interval.

        Raises
        ------
        NotEstimable
            If no study has it.
        """
        row = self.row(direction, term, variant)
        k = f"{row['k']} {'study' if row['k'] == 1 else 'studies'}"
        head = f"# {self.analysis}, {direction}, {term} ({variant}): {k}\n"
        return head + self.fits[variant, direction, term].r_call()

    def _repr_html_(self) -> str:
        shown = self.table.drop(columns=["analysis", "estimator"])
        return html_table(shown) + (html_table(self.left_out) if len(self.left_out) else "")


def named_fit(pooled: PooledTable, direction: str) -> PooledFit:
    """The pooled cross-lagged effect of a direction, its studies named by their labels.

    Raises
    ------
    NotEstimable
        If no study has it.
    """
    key = ("main", direction, DIRECTIONS[direction].cross)
    if key not in pooled.fits:
        raise NotEstimable("no study has this effect")
    labels = pooled.studies(direction, key[2])["label"]
    return replace(pooled.fits[key], labels=tuple(str(label) for label in labels))


#: What identifies a pooled coefficient.
KEY = ["analysis", "variant", "direction", "term", "estimator"]


_POOLED = [*EFFECT, "pi_low", "pi_high", "pi_rule", "tau2", "i2", "h2", "q", "q_p_value", "converged", "note"]


#: What one study has itself, and what is said of it.
_OWN = ["std_error", "df", "statistic", "p_value", "ci_low", "ci_high"]


ONE_STUDY = "one study: its own estimate and interval; nothing is known of how far studies differ"


def read_records(folder: str | Path, studies: Iterable[str], analysis: str) -> list[Record]:
    """Read one analysis of the given studies.

    Parameters
    ----------
    folder : path
        Of a run's records: ``folder/<study>/<analysis>.json``; looked for upwards from where a notebook is opened.
    studies : iterable of str
        Study ids; a folder of another study is not read.
    analysis : str

    Returns
    -------
    list of Record

    Raises
    ------
    RecordError
        With every missing or malformed record, and every parameter that differs between studies.
    """
    folder, records, problems = found_upwards(folder), [], []
    for study in studies:
        try:
            records.append(find_record(folder, study, analysis))
        except RecordError as error:
            problems += error.problems
    if problems:
        raise RecordError(problems)
    return _same_parameters(records, folder)


def _same_parameters(records: list[Record], folder: Path) -> list[Record]:
    problems = []
    for record in records[1:]:
        for name, value in record.parameters:
            expected = getattr(records[0].parameters, name)
            if name in _MATTER and value != expected:
                file = str(folder / record.study / f"{record.analysis}.json")
                where = f"{expected!r}, as in {records[0].study}: only studies that were analysed alike are pooled"
                problems.append(Problem(file, None, f"parameters.{name}", value, where))
    if problems:
        raise RecordError(problems)
    return records


#: Stage-1 parameters that must agree between studies; how they are pooled is decided here.
_MATTER = tuple(n for n in Parameters.model_fields if n not in {"tau2_method", "ci_method", "level"})


def pool_records(
    records: Sequence[Record], *, method: str = "REML", ci: str = "hartung-knapp", level: float = 0.95
) -> PooledTable:
    """Pool every coefficient of one analysis over studies.

    Parameters
    ----------
    records : sequence of Record
        Of the same analysis, one per study.
    method, ci, level
        As of :func:`twostage.stats.pool.pool.pool`.

    Returns
    -------
    PooledTable

    Raises
    ------
    ValueError
        If there is no record, a study has two, or they are of different analyses.
    """
    studies = [record.study for record in records]
    if len({record.analysis for record in records}) != 1 or len(set(studies)) != len(studies):
        found = ", ".join(f"{record.study}/{record.analysis}" for record in records) or "none"
        raise ValueError(f"records: found {found}; expected one analysis, one record per study")
    analysis = records[0].analysis
    usable, left_out = _usable(records)
    usable = _at_level(usable, level)
    fits, rows, parts = {}, [], []
    for key, group in usable.groupby(KEY, sort=False):
        named = dict(zip(KEY, key, strict=True))
        fit = pool(
            group["estimate"].to_numpy(),
            group["std_error"].to_numpy() ** 2,
            method=method,
            ci=ci,
            level=level,
            labels=group["label"],
        )
        fits[named["variant"], named["direction"], named["term"]] = fit
        counts = {c: int(group[c].sum()) for c in ("n_patients", "n_transitions")}
        pooled = {c: getattr(fit, c) for c in _POOLED}
        if fit.k == 1:
            # Nothing is pooled: the study's own interval, which knows its degrees of freedom, stands.
            pooled |= group.iloc[0][_OWN].to_dict() | {"note": ONE_STUDY}
        rows.append(named | {"k": fit.k} | counts | pooled)
        parts.append(group.assign(weight=np.asarray(fit.weights)))
    columns = [*KEY, "k", "n_patients", "n_transitions", *_POOLED]
    return PooledTable(
        analysis=analysis,
        estimates=pd.concat(parts, ignore_index=True) if parts else usable.assign(weight=np.nan),
        table=pd.DataFrame(rows, columns=columns),
        fits=fits,
        left_out=left_out,
        method=method,
        ci=ci,
        level=level,
    )


def _usable(records: Sequence[Record]) -> tuple[pd.DataFrame, pd.DataFrame]:
    tables = [r.tidy().assign(label=r.label) for r in records if r.estimates]
    stacked = pd.concat(tables, ignore_index=True) if tables else records[0].tidy().assign(label="")
    converged = stacked["converged"].astype(bool)
    columns = ["study", "analysis", "variant", "direction", "reason"]
    failures = [(r.study, r.analysis, f.variant, f.direction, f.reason) for r in records for f in r.failures]
    failed = stacked[~converged].drop_duplicates(["study", "variant", "direction"])
    failures += failed.assign(reason="the fit did not converge")[columns].itertuples(index=False)
    return stacked[converged].reset_index(drop=True), pd.DataFrame(failures, columns=columns)


def _at_level(estimates: pd.DataFrame, level: float) -> pd.DataFrame:
    """Give all studies' intervals the level of the pooled ones, whatever level their notebooks showed."""
    p, df = 0.5 + level / 2, estimates["df"].to_numpy(dtype=float)
    half = np.where(np.isinf(df), ndtri(p), stdtrit(df, p)) * estimates["std_error"].astype(float)
    return estimates.assign(ci_low=estimates["estimate"] - half, ci_high=estimates["estimate"] + half)


def leave_one_out(table: PooledTable, direction: str, term: str, variant: str = "main") -> pd.DataFrame:
    """Pool a coefficient again without each study in turn.

    Returns
    -------
    pandas.DataFrame
        study and label of the one left out, estimate, std_error, ci_low, ci_high, tau2, i2; empty if k = 1.
    """
    studies, names = (
        table.studies(direction, term, variant),
        ["estimate", "std_error", "ci_low", "ci_high", "tau2", "i2"],
    )
    if len(studies) < 2:
        return pd.DataFrame(columns=["study", "label", *names])
    found = without_each(table.fits[variant, direction, term])
    return studies[["study", "label"]].assign(**{name: getattr(found, name) for name in names})


def as_correlations(table: pd.DataFrame) -> pd.DataFrame:
    """Turn Fisher-z rows of a pooled or study table into correlations (estimate and interval ends).

    Parameters
    ----------
    table : pandas.DataFrame
        Rows with term `partial_r_z`.

    Returns
    -------
    pandas.DataFrame
        The same rows with term `partial_r`; std_error is left out, since r has no constant one.
    """
    rows = table[table["term"] == "partial_r_z"].assign(term="partial_r")
    ends = [c for c in ("estimate", "ci_low", "ci_high", "pi_low", "pi_high") if c in rows]
    return rows.assign(**{c: np.tanh(rows[c].astype(float)) for c in ends}).drop(columns="std_error")


def patient_flow(records: Sequence[Record]) -> pd.DataFrame:
    """Patients per study from enrolment to the panel, with the reason for every exclusion.

    Parameters
    ----------
    records : sequence of Record
        Of one analysis.

    Returns
    -------
    pandas.DataFrame
        study, label, enrolled, one column per reason, included; missing where a site withheld the number. The
        last row is the sum of what is known.
    """
    rows = []
    for record in records:
        reasons = {e.reason: e.n_patients for e in record.exclusions}
        rows.append(
            {"study": record.study, "label": record.label, "enrolled": record.n_enrolled}
            | reasons
            | {"included": _included(record)}
        )
    names = dict.fromkeys(name for row in rows for name in row if name != "included")
    # A reason that a study does not have excluded nobody there; one that it withholds is not known.
    table = pd.DataFrame([{name: row.get(name, 0) for name in [*names, "included"]} for row in rows])
    numbers = dict.fromkeys(table.columns.drop(["study", "label"]), "Int64")
    table = table.astype(numbers)
    known = table[list(numbers)].notna().all(axis=None)
    label = "all studies" if known else "all studies (sums of the numbers shown)"
    total = {"study": "all", "label": label} | table[list(numbers)].sum().to_dict()
    table = pd.concat([table, pd.DataFrame([total]).astype(numbers)], ignore_index=True)
    complete = [name for name in numbers if table[name].notna().all()]
    return table.astype(dict.fromkeys(complete, int))


def _included(record: Record) -> int | None:
    excluded = [e.n_patients for e in record.exclusions]
    if record.n_enrolled is not None and None not in excluded:
        return record.n_enrolled - sum(excluded)
    known = record.summary.get("n_patients")
    return None if known is None else int(known)
