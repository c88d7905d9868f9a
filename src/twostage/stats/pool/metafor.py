"""The same in R: a script for the package metafor that reproduces a result."""

import json
from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import NO_PREDICTION, PREDICTIONS
from twostage.stats.pool.locationscale import LocationScale
from twostage.stats.pool.metareg_results import MetaRegression
from twostage.stats.pool.permutation import PermutationTest
from twostage.stats.pool.results import PooledFit
from twostage.stats.pool.subgroups import SubgroupFit

_TESTS = {"wald": "z", "hartung-knapp": "knha", "hartung-knapp-adhoc": "adhoc"}


_RILEY, _T, _NORMAL = (PREDICTIONS[rule] for rule in ("k-2", "k-1", "normal"))


_OWN_RULE = {"wald": _NORMAL, "hartung-knapp": _T, "hartung-knapp-adhoc": _T}


_LIKELIHOOD, _ROOT = ("REML", "ML", "EB"), ("PM",)


_RESERVED = ("yi", "vi", "group")


def r_call(result, *, data=True):
    """An R script that reproduces a result with metafor.

    Parameters
    ----------
    result : PooledFit, MetaRegression, SubgroupFit, PermutationTest or LocationScale
    data : bool
        Start with the data, as a data frame `dat` (numbers in full precision). False: the calls only; `dat` then needs
        the columns yi, vi, the moderators', and group for subgroups.

    Returns
    -------
    str
        The result is in the R variable `fit`; also `predicted` (the prediction interval of a pooled effect),
        `fits` and `between` (subgroups), `permutation`.

    Raises
    ------
    TypeError
        For anything else.

    Notes
    -----
    metafor's own thresholds (1e-5 in tau2) are tightened, so that the numbers agree to about 1e-6 or better. A Monte
    Carlo permutation test uses other random numbers in R. Where the moderators do not add up to a constant and there
    is no intercept, metafor 3.8-1 does not find tau2 (it centres the estimates first): the script passes it.
    """
    if type(result) not in _WRITERS:
        raise TypeError(f"no R call for {type(result).__name__}")
    lines = _WRITERS[type(result)](result)
    head = [lines.frame()] if data else []
    return "\n".join(["library(metafor)", *head, *lines.calls]) + "\n"


@dataclass
class _Script:
    """Columns of `dat` (R expressions by name) and the calls that use it."""

    columns: dict
    calls: list = field(default_factory=list)

    def frame(self):
        """The R code that makes the data frame `dat`."""
        inside = ",\n".join(f"  {_symbol(name)} = {value}" for name, value in self.columns.items())
        return f"dat <- data.frame(\n{inside},\n  check.names = FALSE)"


def _pooled(fit):
    named = fit.labels != tuple(str(i) for i in range(fit.k))
    script = _Script(({"study": _vector(fit.labels)} if named else {}) | _estimates(fit))
    script.calls.append(f"fit <- rma(yi, vi, {'slab = study, ' if named else ''}{_options(fit)})")
    script.calls += _prediction(fit)
    return script


def _prediction(fit):
    """The prediction interval: metafor's own rule, its Riley rule under the name of either version, or by hand."""
    if fit.pi_rule == NO_PREDICTION:
        return []
    if fit.pi_rule == _RILEY:
        newer = 'if ("predtype" %in% names(formals(getS3method("predict", "rma"))))'
        rule = f'riley <- {newer} list(predtype = "Riley") else list(pi.type = "riley")'
        return [rule, "predicted <- do.call(predict, c(list(fit), riley))"]
    if fit.pi_rule == _OWN_RULE[fit.ci]:
        return ["predicted <- predict(fit)"]
    p = 0.5 + fit.level / 2.0
    quantile = f"qt({p!r}, {fit.k - 1})" if fit.pi_rule == _T else f"qnorm({p!r})"
    return [
        f"reach <- {quantile} * sqrt(fit$tau2 + fit$se^2)",
        "predicted <- list(pi.lb = c(coef(fit)) - reach, pi.ub = c(coef(fit)) + reach)",
    ]


def _metareg(fit):
    columns, mods = _moderators(fit.design, _estimates(fit))
    fixed = _needs_tau2(fit)
    note = ["# Without an intercept metafor 3.8-1 does not find tau2: it centres the estimates first."]
    call = f"fit <- rma(yi, vi, mods = {mods}, {_options(fit)}{f', tau2 = {fit.tau2!r}' if fixed else ''})"
    return _Script(columns, [*(note if fixed else []), call])


def _subgroups(fit):
    names = ", ".join(_string(g) for g in fit.groups)
    columns = _estimates(fit.overall) | {"group": _vector(fit.membership)}
    levels = f"dat$group <- factor(dat$group, levels = c({names}))"
    if fit.tau2_rule == "common":
        options = _options(fit.overall)
        calls = [
            f"fit <- rma(yi, vi, mods = ~ 0 + group, {options})",
            f"between <- rma(yi, vi, mods = ~ group, {options})",
        ]
        return _Script(columns, [levels, *calls])
    test = f'if (sum(dat$group == g) > 1) "{_TESTS[fit.ci]}" else "z"'
    options = _options(fit.overall, test=test)
    calls = [
        f"fits <- lapply(levels(dat$group), function(g) rma(yi, vi, subset = group == g, {options}))",
        "estimate <- sapply(fits, function(f) c(coef(f)))",
        "variance <- sapply(fits, function(f) f$se^2)",
        'between <- rma(estimate, variance, mods = ~ factor(levels(dat$group)), method = "FE")',
    ]
    return _Script(columns, [levels, *calls])


def _permutation(result):
    script = _metareg(result.fit)
    how = "exact = TRUE" if result.exact else f"iter = {result.n}"
    script.calls.append(f"permutation <- permutest(fit, {how}, progbar = FALSE)")
    return script


def _location_scale(fit):
    columns, mods = _moderators(fit.design, _estimates(fit))
    columns, scale = _moderators(fit.scale, columns)
    options = f'data = dat, method = "{fit.method}", test = "{_TESTS[fit.ci]}", level = {100 * fit.level:g}'
    # Found from metafor's own start, then refined from there: its default stops at about 1e-4.
    refine = 'list(alpha.init = c(fit$alpha), optimizer = "optim", optmethod = "BFGS", reltol = 1e-16, maxit = 1000)'
    call = f"fit <- rma(yi, vi, mods = {mods}, scale = {scale}, {options}"
    return _Script(columns, [f"{call})", f"{call},\n  control = {refine})"])


_WRITERS = {
    PooledFit: _pooled,
    MetaRegression: _metareg,
    SubgroupFit: _subgroups,
    PermutationTest: _permutation,
    LocationScale: _location_scale,
}


def _estimates(fit):
    return {"yi": _vector(fit.y), "vi": _vector(fit.v)}


def _moderators(design, columns):
    """Columns for the moderators, and the formula; a column that is there already is used again."""
    columns, terms = dict(columns), [] if design.intercept else ["0"]
    first = int(design.intercept)
    for name, x in zip(design.names[first:], design.X.T[first:], strict=True):
        value, unique = _vector(x), name
        while unique in _RESERVED or columns.get(unique, value) != value:
            unique += "_"
        columns[unique] = value
        terms.append(_symbol(unique))
    return columns, "~ " + (" + ".join(terms) or "1")


def _options(fit, test=None):
    test = f'"{_TESTS[fit.ci]}"' if test is None else test
    control = _control(fit)
    return f'data = dat, method = "{fit.method}", test = {test}, level = {100 * fit.level:g}{control}'


def _control(fit):
    """Thresholds relative to the estimates' spread; the start, where the likelihood has several maxima."""
    spread = max(float(np.var(fit.y)), 1e-3)
    parts = []
    if fit.method in _LIKELIHOOD:
        parts = [f"threshold = {1e-13 * spread:.1e}", "maxiter = 100000"]
    if fit.method in _ROOT:
        upper = 1e6 * (len(fit.y) * spread + float(fit.v.max()))
        parts = [f"tol = {1e-14 * spread:.1e}", "maxiter = 100000", f"tau2.max = {upper:.1e}"]
    if fit.search.n_maxima > 1:
        parts.append(f"tau2.init = {fit.tau2!r}")
    return f",\n  control = list({', '.join(parts)})" if parts else ""


def _needs_tau2(fit):
    ones = np.ones(fit.k)
    left = ones - fit.design.U @ (fit.design.U.T @ ones)
    return fit.method != "FE" and bool(np.linalg.norm(left) > 1e-8)


def _vector(values):
    return f"c({', '.join(_string(x) if isinstance(x, str) else repr(float(x)) for x in values)})"


def _string(text):
    return json.dumps(text, ensure_ascii=False)


def _symbol(name):
    plain = name.replace(".", "").replace("_", "").isalnum() and name.isascii() and name[0].isalpha()
    return name if plain else f"`{name.replace('`', chr(39))}`"
