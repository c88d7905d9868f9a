"""Studies within countries: a three-level model of a pooled coefficient beside the plain pool."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from twostage.display import html_table
from twostage.stage2 import PooledTable
from twostage.stats.base import NotEstimable
from twostage.stats.multilevel import MvFit, ProfileInterval, RobustFit, nested, pool_mv, robust

#: What a registry may say where a study has no one known country: such a study stands for itself.
NO_COUNTRY = frozenset({"not stated", "several"})


#: With fewer groups the variance between countries is a guess and CR2 has hardly a degree of freedom.
LEAST = 4


_COLUMNS = ["estimate", "std_error", "df", "statistic", "p_value", "ci_low", "ci_high"]


@dataclass(frozen=True, eq=False)
class CountryPool:
    """One coefficient pooled plainly, and with studies nested in countries.

    Attributes
    ----------
    direction, term : str
    plain : pandas.Series
        The row of the plain pool.
    fit : MvFit
        Three-level model; t tests with the number of countries less 1 degrees of freedom.
    between, within : ProfileInterval
        Variance between countries, and between studies of a country, with profile-likelihood intervals.
    robust : RobustFit
        The same model with CR2 inference, countries as clusters, Satterthwaite degrees of freedom.
    studies : pandas.Series
        Number of studies by country; a study without one known country by its own id.
    n_unknown : int
        Studies without one known country.
    """

    direction: str
    term: str
    plain: pd.Series
    fit: MvFit
    between: ProfileInterval
    within: ProfileInterval
    robust: RobustFit
    studies: pd.Series
    n_unknown: int

    @property
    def converged(self) -> bool:
        """Whether the model and both profiles converged."""
        return self.fit.converged and self.between.converged and self.within.converged

    @property
    def singular(self) -> bool:
        """Whether a variance is estimated as 0."""
        return self.fit.singular

    def tidy(self) -> pd.DataFrame:
        """Three rows: plain, three-level, and three-level with CR2; pooled, the standard columns, tau."""
        taus = float(np.sqrt(self.plain["tau2"])), float(np.sqrt(self.fit.g.sum()))
        rows = [{"pooled": "plain", **{c: self.plain[c] for c in _COLUMNS}, "tau": taus[0]}]
        for name, fit in (("three-level", self.fit), ("three-level, CR2", self.robust)):
            own = fit.tidy().iloc[0]
            rows.append({"pooled": name, **{c: own[c] for c in _COLUMNS}, "tau": taus[1]})
        return pd.DataFrame(rows)

    def glance(self) -> pd.DataFrame:
        """One row: studies, countries, both variances with their intervals, flags."""
        row: dict[str, Any] = {
            "k": self.fit.n,
            "k_groups": len(self.studies),
            "k_several": int((self.studies > 1).sum()),
        }
        for name, x in (("between", self.between), ("within", self.within)):
            row |= {f"sigma2_{name}": x.estimate, f"sigma2_{name}_low": x.low, f"sigma2_{name}_high": x.high}
        return pd.DataFrame([row | {"converged": self.converged, "singular": self.singular}])

    def _repr_html_(self) -> str:
        return html_table(self.tidy()) + html_table(self.glance())


def pool_in_countries(
    pooled: PooledTable, countries: Mapping[str, str], direction: str, term: str, variant: str = "main"
) -> CountryPool:
    """Pool a coefficient again with studies nested in countries.

    Parameters
    ----------
    pooled : PooledTable
        Whose studies, method (ML, otherwise REML) and level are taken.
    countries : mapping
        Study id -> country.
    direction, term, variant : str

    Returns
    -------
    CountryPool

    Raises
    ------
    NotEstimable
        Fewer than four known countries, or none with two studies: the two variances cannot be told apart.
    KeyError
        A study without an entry in `countries`, or no study with the coefficient.

    Notes
    -----
    ``y_ck = theta + u_c + w_ck + e_ck``, u between countries, w between the studies of a country, e with the known
    sampling variance (Konstantopoulos 2011, doi:10.1002/jrsm.35); CR2 after Pustejovsky & Tipton (2018,
    doi:10.1080/07350015.2016.1247004). The core is checked against metafor and clubSandwich.
    """
    studies, plain = pooled.studies(direction, term, variant), pooled.row(direction, term, variant)
    known = [countries[study] for study in studies["study"]]
    groups = [c if c not in NO_COUNTRY else s for c, s in zip(known, studies["study"], strict=True)]
    sizes, n_known = pd.Series(groups).value_counts(sort=False), len(set(known) - NO_COUNTRY)
    if n_known < LEAST:
        raise NotEstimable(f"the studies come from {n_known} known countries: at least {LEAST} are needed")
    if sizes.max() < 2:
        raise NotEstimable("no country has two studies: countries cannot be told from studies")
    fit = pool_mv(
        studies["estimate"].to_numpy(float),
        studies["std_error"].to_numpy(float) ** 2,
        random=nested(country=groups, study=list(studies["study"])),
        method="ML" if pooled.method == "ML" else "REML",
        test="t",
        dfs="contain",
        level=pooled.level,
        labels=list(studies["label"]),
    )
    between, within = (fit.profile(c.term) for c in fit.components)
    n_unknown = sum(country in NO_COUNTRY for country in known)
    return CountryPool(direction, term, plain, fit, between, within, robust(fit, groups), sizes, n_unknown)
