"""Nested panel models over all studies: log-likelihoods of independent studies add, and so do AIC and BIC."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from twostage.collection import Collection, LargeStudy
from twostage.display import number, p_value, rows_of
from twostage.pages.study.choice import MODELS, PLAIN, Choice, choose
from twostage.params import Parameters
from twostage.stage1 import make_panel
from twostage.stats.base import NotEstimable, attempt


@dataclass(frozen=True)
class NestedModels:
    """Nested panel models, each against the plain one in the studies in which both were fitted.

    Attributes
    ----------
    table : pandas.DataFrame
        model, k; chi2, df and p_value of the summed likelihood-ratio statistics, where they have chi-square distributions;
        aic and bic, sums of the differences from the plain model; k_aic and k_bic, studies of k that prefer it to that.
    k : int
        Studies in which the plain model was fitted.
    left_out : dict
        Study -> why it is not in.
    """

    table: pd.DataFrame
    k: int
    left_out: dict[str, str]

    def tidy(self) -> pd.DataFrame:
        """One row per model."""
        return self.table.copy()


def nested_models(collection: Collection, parameters: Parameters) -> NestedModels:
    """Choose among :data:`twostage.pages.study.choice.MODELS` over all studies whose data are here.

    Raises
    ------
    NotEstimable
        No study in which the plain model was fitted.
    """
    left_out = dict.fromkeys(collection.shared, "it shared results, not data")
    tables = {}
    for study in collection.studies["study"]:
        if study in left_out:
            continue
        found = attempt(_chosen, collection, study, parameters)
        if not found:
            left_out[study] = found.reason
        elif PLAIN not in set(found.result.table["model"]):
            left_out[study] = f"the model with {PLAIN} did not converge"
        else:
            tables[study] = found.result.table.set_index("model")
    return add_up(tables, left_out)


def _chosen(collection: Collection, study: str, parameters: Parameters) -> Choice:
    read = collection.study(study)
    if isinstance(read, LargeStudy):
        raise NotEstimable("it is read in pieces")
    return choose(make_panel(read, parameters))


def add_up(tables: dict[str, pd.DataFrame], left_out: dict[str, str]) -> NestedModels:
    """Sums over the studies' tables, rows by model, as :attr:`twostage.pages.study.choice.Choice.table` has them.

    Raises
    ------
    NotEstimable
        No study.
    """
    if not tables:
        raise NotEstimable("in no study could the panel models be fitted")
    rows = []
    for model, (_, tested) in MODELS.items():
        both = [(t.loc[model], t.loc[PLAIN]) for t in tables.values() if model != PLAIN and model in t.index]
        if not both:
            continue
        aic, bic = (np.array([one[c] - plain[c] for one, plain in both]) for c in ("aic", "bic"))
        chi2, df = (sum(one[c] for one, _ in both) if tested else np.nan for c in ("chi2", "df"))
        row = {"model": model, "k": len(both), "chi2": chi2, "df": df}
        row |= {"p_value": float(chdtrc(df, chi2)) if tested else np.nan, "aic": aic.sum(), "bic": bic.sum()}
        rows.append(row | {"k_aic": int((aic < 0).sum()), "k_bic": int((bic < 0).sum())})
    columns = ["model", "k", "chi2", "df", "p_value", "aic", "bic", "k_aic", "k_bic"]
    return NestedModels(pd.DataFrame(rows, columns=columns), len(tables), left_out)


def nested_table(result: NestedModels) -> pd.DataFrame:
    """The models as text."""
    return pd.DataFrame(
        {
            "instead of equal lags and residuals": r.model,
            "k": str(r.k),
            "χ² (df)": f"{number(r.chi2, 1)} ({number(r.df, 0)})" if np.isfinite(r.chi2) else number(None),
            "p": p_value(r.p_value),
            "AIC, difference": number(r.aic, 1),
            "BIC, difference": number(r.bic, 1),
            "studies that prefer it by AIC": str(r.k_aic),
            "by BIC": str(r.k_bic),
        }
        for r in rows_of(result.table)
    )


def nested_sentence(result: NestedModels) -> str:
    """Which model is preferred over all studies."""
    table, said = result.table, []
    for name in ("aic", "bic"):
        better = table[table[name] < 0].sort_values(name)
        said.append(str(better["model"].iloc[0]) if len(better) else PLAIN)
    by_aic, by_bic = said
    text = f"AIC prefers the model with {by_aic}, BIC that with {by_bic}"
    if by_aic == by_bic:
        text = f"AIC and BIC prefer the model with {by_bic}"
    text = f"{'In the only study' if result.k == 1 else f'Over the {result.k} studies together'}, {text}."
    few = table[table["k"] < result.k]
    if len(few):
        each = "; ".join(f"{r.model}: {r.k}" for r in rows_of(few))
        text += f" Not every study could be fitted with every model (studies: {each}); sums are over those that could."
    if result.left_out:
        text += f" Not in: {'; '.join(f'{study}: {reason}' for study, reason in result.left_out.items())}."
    return text
