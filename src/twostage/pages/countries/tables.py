"""Studies within countries as tables and sentences for the book."""

import numpy as np
import pandas as pd

from twostage.display import interval, number, number_in, p_value, rows_of, with_interval
from twostage.pages.countries.analysis import CountryPool
from twostage.stage2 import Attempt

#: Satterthwaite degrees of freedom below which CR2 tests are not trusted (Tipton 2015, doi:10.1037/met0000011).
LOW_DF = 4.0


def country_table(result: CountryPool) -> pd.DataFrame:
    """The coefficient pooled plainly, in three levels, and with CR2 intervals; all text."""
    level = f"{100 * result.fit.level:g} % CI"
    return pd.DataFrame(
        [
            {
                "pooled": r.pooled,
                "estimate": number_in(r.estimate, r.ci_low, r.ci_high, 3),
                level: interval(r.ci_low, r.ci_high, 3),
                "df": number(r.df, 1),
                "p": p_value(r.p_value),
                "τ": number(r.tau, 3),
            }
            for r in rows_of(result.tidy())
        ]
    )


def component_table(result: CountryPool) -> pd.DataFrame:
    """Both standard deviations with their profile-likelihood intervals; all text."""
    level = f"{100 * result.fit.level:g} % CI"
    rows = []
    for name, x in (
        ("between countries", result.between),
        ("between studies of a country", result.within),
    ):
        sd = [float(np.sqrt(v)) for v in (x.estimate, x.low, x.high)]
        rows.append(
            {
                "standard deviation": name,
                "estimate": number_in(sd[0], sd[1], sd[2], 3),
                level: interval(sd[1], sd[2], 3),
            }
        )
    return pd.DataFrame(rows)


def country_sentence(found: Attempt) -> str:
    """What the three-level model says, or why there is none."""
    if not found:
        return found.words
    result = found.result
    several, level = int((result.studies > 1).sum()), f"{100 * result.fit.level:g} %"
    plain, model, cr2 = (with_interval(r.estimate, r.ci_low, r.ci_high, 3) for r in rows_of(result.tidy()))
    countries = f"{len(result.studies) - result.n_unknown} countries, {several} of them with more than one"
    if result.n_unknown:
        countries += f"; {result.n_unknown} without one known country count as countries of their own"
    text = (
        f"The {result.fit.n} studies come from {countries}. "
        f"Pooled without regard to countries the effect is {plain}, in three levels {model}, "
        f"with CR2 intervals {cr2} ({level} intervals)."
    )
    if not result.converged:
        text += " The fit did not converge."
    if result.singular:
        text += " A variance is estimated as 0."
    if result.robust.df[0] < LOW_DF:
        text += f" CR2 has only {number(result.robust.df[0], 1)} degrees of freedom, so its interval is unreliable."
    return text
