"""The same in R: what the scripts for the package metafor that results write of themselves (`r_call`) have in common."""

import json
from dataclasses import dataclass

import numpy as np

TESTS = {"wald": "z", "hartung-knapp": "knha", "hartung-knapp-adhoc": "adhoc"}


_LIKELIHOOD, _ROOT = ("REML", "ML", "EB"), ("PM",)


_RESERVED = ("yi", "vi", "group")


@dataclass(frozen=True)
class Script:
    """An R script that reproduces a result with metafor.

    Attributes
    ----------
    columns : dict
        Columns of the data frame `dat`: R expressions by name.
    calls : list of str
        The result is in the R variable `fit`; also `predicted` (the prediction interval of a pooled effect),
        `fits` and `between` (subgroups), `permutation`.

    Notes
    -----
    metafor's own thresholds (1e-5 in tau2) are tightened, so that the numbers agree to about 1e-6 or better. A Monte
    Carlo permutation test uses other random numbers in R. Where the moderators do not add up to a constant and there
    is no intercept, metafor 3.8-1 does not find tau2 (it centres the estimates first): the script passes it.
    """

    columns: dict
    calls: list

    def text(self, *, data=True):
        """The script.

        Parameters
        ----------
        data : bool
            Start with the data, as a data frame `dat` (numbers in full precision). False: the calls only; `dat` then
            needs the columns yi, vi, the moderators', and group for subgroups.

        Returns
        -------
        str
        """
        inside = ",\n".join(f"  {_symbol(name)} = {value}" for name, value in self.columns.items())
        head = [f"dat <- data.frame(\n{inside},\n  check.names = FALSE)"] if data else []
        return "\n".join(["library(metafor)", *head, *self.calls]) + "\n"


def estimates(fit):
    """The columns yi and vi."""
    return {"yi": vector(fit.y), "vi": vector(fit.v)}


def moderators(design, columns):
    """Columns for the moderators, and the formula; a column that is there already is used again."""
    columns, terms = dict(columns), [] if design.intercept else ["0"]
    first = int(design.intercept)
    for name, x in zip(design.names[first:], design.X.T[first:], strict=True):
        value, unique = vector(x), name
        while unique in _RESERVED or columns.get(unique, value) != value:
            unique += "_"
        columns[unique] = value
        terms.append(_symbol(unique))
    return columns, "~ " + (" + ".join(terms) or "1")


def options(fit, test=None):
    """The arguments of `rma` that say how to estimate: as the fit did."""
    test = f'"{TESTS[fit.ci]}"' if test is None else test
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


def vector(values):
    """An R vector, numbers in full precision."""
    return f"c({', '.join(string(x) if isinstance(x, str) else repr(float(x)) for x in values)})"


def string(text):
    """An R string."""
    return json.dumps(text, ensure_ascii=False)


def _symbol(name):
    plain = name.replace(".", "").replace("_", "").isalnum() and name.isascii() and name[0].isalpha()
    return name if plain else f"`{name.replace('`', chr(39))}`"
