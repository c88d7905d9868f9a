"""Subgroups of studies: one pooled effect each, and a test that they are equal."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import chdtrc

from twostage.stats.base import (
    Inference,
    NotEstimable,
    check_choice,
    check_estimates,
    frame,
    html,
    one_row,
    test_text,
)
from twostage.stats.pool.metafor import TESTS, Script, estimates, options, vector
from twostage.stats.pool.metareg import metareg
from twostage.stats.pool.pool import pool
from twostage.stats.pool.results import PooledFit

TAU2_RULES = ("separate", "common")


_MISSING = ("None", "nan", "<NA>", "NaT")


_PREDICTION = {"k-2": "k-p-1", "k-1": "k-p", "normal": "normal"}


_COLUMNS = (
    *("k", "estimate", "std_error", "df", "statistic", "p_value", "ci_low", "ci_high"),
    *("pi_low", "pi_high", "tau2", "i2", "q", "q_df", "q_p_value"),
)


@dataclass(frozen=True, eq=False)
class SubgroupFit(Inference[np.ndarray]):
    """Pooled effects of g subgroups.

    Attributes
    ----------
    groups : tuple of str
        In order of first appearance.
    k : ndarray of int, shape (g,)
        Studies in each.
    estimate, std_error, df, statistic, p_value, ci_low, ci_high, pi_low, pi_high : ndarray, shape (g,)
        Pooled effect of each subgroup, its inference, its prediction interval.
    tau2, i2 : ndarray, shape (g,)
        With a common tau2, the same number for all.
    q, q_df, q_p_value : ndarray, shape (g,)
        Cochran's Q within each subgroup.
    qm, qm_df, qm_df2, qm_p_value : float
        Test that all subgroups have the same effect; `qm_df2` is infinite for chi-square.
    tau2_rule : str
        "separate" or "common".
    converged : bool
    method, ci : str
    level : float
    overall : PooledFit
        All studies in one.
    fits : tuple of PooledFit
        The subgroups by themselves.
    membership : tuple of str, length k
        The subgroup of each study.
    note : str
    """

    groups: tuple[str, ...]
    k: np.ndarray
    estimate: np.ndarray
    df: np.ndarray
    pi_low: np.ndarray
    pi_high: np.ndarray
    tau2: np.ndarray
    i2: np.ndarray
    q: np.ndarray
    q_df: np.ndarray
    q_p_value: np.ndarray
    qm: float
    qm_df: int
    qm_df2: float
    qm_p_value: float
    tau2_rule: str
    converged: bool
    method: str
    ci: str
    level: float
    overall: PooledFit = field(repr=False)
    fits: tuple[PooledFit, ...] = field(repr=False)
    membership: tuple[str, ...] = field(repr=False)
    note: str

    def r_call(self, *, data=True) -> str:
        """The metafor calls; see :class:`twostage.stats.pool.metafor.Script`."""
        columns = estimates(self.overall) | {"group": vector(self.membership)}
        levels = f"dat$group <- factor(dat$group, levels = {vector(self.groups)})"
        return Script(columns, [levels, *_calls(self)]).text(data=data)

    def tidy(self):
        """One row per subgroup."""
        return frame({"group": self.groups} | {c: getattr(self, c) for c in _COLUMNS})

    def glance(self):
        """One row: the test between subgroups and how they were pooled."""
        names = ("qm", "qm_df", "qm_df2", "qm_p_value", "tau2_rule")
        names += ("method", "ci", "level", "converged", "note")
        return one_row(self, names)

    def _repr_html_(self):
        facts = [
            ("between subgroups", test_text("QM", self.qm, self.qm_df, self.qm_df2, self.qm_p_value)),
            ("tau2", f"{self.tau2_rule} ({self.method})"),
            ("interval", f"{self.ci}, {100 * self.level:g}%"),
            ("note", self.note),
        ]
        return html(f"{len(self.groups)} subgroups", self.tidy(), facts)


def subgroups(
    y,
    v,
    groups,
    *,
    tau2="separate",
    method="REML",
    ci="hartung-knapp",
    level=0.95,
    prediction="k-2",
    labels=None,
):
    """Pool subgroups of studies and test whether they differ.

    Parameters
    ----------
    y, v, method, ci, level, labels
        As of :func:`twostage.stats.pool.pool.pool`.
    groups : sequence, shape (k,)
        The subgroup of each study; at least two different ones, none missing.
    tau2 : {"separate", "common"}
        separate: each subgroup is pooled by itself; ``QM = sum (b_g - b)^2 / se_g^2``, b their weighted mean with
        weights ``1 / se_g^2``, against chi-square with g - 1 df. common: one meta-regression on the subgroups; QM is
        its omnibus test (F with Hartung-Knapp). A common tau2 is the better choice where subgroups are small.
    prediction : {"k-2", "k-1", "normal"}
        With a common tau2, g coefficients are estimated: k - g - 1 and k - g df.

    Returns
    -------
    SubgroupFit

    Raises
    ------
    ValueError
        As :func:`twostage.stats.pool.pool.pool`; groups of another length or missing.
    NotEstimable
        A single subgroup, or (common tau2) as many subgroups as studies.

    Notes
    -----
    Borenstein & Higgins 2013, doi:10.1007/s11121-013-0377-7. Checked against metafor 3.8-1: ``rma`` in each
    subgroup, ``rma(estimate, sei = se, mods = ~ group, method = "FE")`` between them; ``rma(mods = ~ group)``.
    """
    y, v, shown = check_estimates(y, v, labels)
    check_choice("tau2", tau2, TAU2_RULES)
    members, names = _groups(groups, len(y))
    how = {"method": method, "ci": ci, "level": level}
    rules = how | {"prediction": prediction}
    which = [np.flatnonzero(members == name) for name in names]
    fits = tuple(pool(y[at], v[at], labels=[shown[i] for i in at], **rules) for at in which)
    numbers, converged = _separate(fits), all(f.converged for f in fits)
    if tau2 == "common":
        numbers, converged = _common(y, v, members, names, prediction, how)
    within = {c: np.array([getattr(f, c) for f in fits]) for c in ("k", "q", "q_df", "q_p_value")}
    return SubgroupFit(
        groups=names,
        **within,
        **numbers,
        tau2_rule=tau2,
        converged=converged,
        **how,
        overall=pool(y, v, labels=shown, **rules),
        fits=fits,
        membership=tuple(members.tolist()),
        note="" if tau2 == "common" else _note(names, fits),
    )


def _groups(groups, k):
    values = list(groups)
    if len(values) != k:
        raise ValueError(f"{len(values)} groups for {k} studies")
    missing = [i for i, g in enumerate(values) if not isinstance(g, str) and str(g) in _MISSING]
    if missing:
        raise ValueError(f"no group for study {', '.join(map(str, missing))}")
    members = np.array([str(g) for g in values])
    names = tuple(dict.fromkeys(members.tolist()))
    if len(names) < 2:
        raise NotEstimable(f"all studies belong to one group, {names[0]}: there is nothing to compare")
    return members, names


def _note(names, fits):
    single = [name for name, f in zip(names, fits, strict=True) if f.k == 1]
    exact = [name for name, f in zip(names, fits, strict=True) if f.std_error == 0.0]
    notes = [f"one study only, its tau2 is 0 by definition: {', '.join(single)}"] * bool(single)
    notes += [f"a standard error of 0, hence no test between subgroups: {', '.join(exact)}"] * bool(exact)
    return "; ".join(notes)


def _separate(fits):
    columns = set(_COLUMNS) - {"k", "q", "q_df", "q_p_value"}
    numbers = {c: np.array([getattr(f, c) for f in fits]) for c in columns}
    estimate, std_error, df = numbers["estimate"], numbers["std_error"], len(fits) - 1
    qm = float("nan")
    if (std_error > 0.0).all():
        weight = 1.0 / std_error**2
        mean = (weight * estimate).sum() / weight.sum()
        qm = float((weight * (estimate - mean) ** 2).sum())
    return numbers | {"qm": qm, "qm_df": df, "qm_df2": np.inf, "qm_p_value": float(chdtrc(df, qm))}


def _common(y, v, members, names, prediction, how):
    dummies = np.column_stack([members == name for name in names]).astype(float)
    cells = metareg(y, v, dummies, names=names, intercept=False, **how)
    between = metareg(y, v, dummies[:, 1:], names=names[1:], **how)
    at = cells.predict(np.eye(len(names)), prediction=_PREDICTION[prediction])
    same = {n: np.full(len(names), getattr(cells, n)) for n in ("df", "tau2", "i2")}
    numbers = {n: getattr(cells, n) for n in ("std_error", "statistic", "p_value", "ci_low", "ci_high")}
    numbers |= {"estimate": cells.coef, "pi_low": at.pi_low, "pi_high": at.pi_high}
    test = {n: getattr(between, n) for n in ("qm", "qm_df", "qm_df2", "qm_p_value")}
    return numbers | same | test, cells.converged and between.converged


def _calls(fit):
    if fit.tau2_rule == "common":
        common = options(fit.overall)
        return [
            f"fit <- rma(yi, vi, mods = ~ 0 + group, {common})",
            f"between <- rma(yi, vi, mods = ~ group, {common})",
        ]
    test = f'if (sum(dat$group == g) > 1) "{TESTS[fit.ci]}" else "z"'
    call = f"rma(yi, vi, subset = group == g, {options(fit.overall, test=test)})"
    return [
        f"fits <- lapply(levels(dat$group), function(g) {call})",
        "estimate <- sapply(fits, function(f) c(coef(f)))",
        "variance <- sapply(fits, function(f) f$se^2)",
        'between <- rma(estimate, variance, mods = ~ factor(levels(dat$group)), method = "FE")',
    ]
