"""Pooled intervals that allow for the bias that a recovery study found."""

import pandas as pd

from twostage.pages.estimators.analysis import EstimatorComparison
from twostage.recovery.store import Recovery
from twostage.stats.pool import BiasAware, bias_aware

#: The condition whose bias is allowed for where nobody says otherwise: the one most like data.
CONDITION = "everything"


COLUMNS = [
    "estimator",
    "direction",
    "term",
    "bias",
    "bias_se",
    "plain_estimate",
    "plain_low",
    "plain_high",
    "shifted_estimate",
    "shifted_low",
    "shifted_high",
    "widened_low",
    "widened_high",
]


def bias_aware_of(
    comparison: EstimatorComparison, recovery: Recovery | None, condition: str = CONDITION
) -> pd.DataFrame:
    """:func:`bias_aware_rows`, without a row where there is no recovery study, or one of other studies."""
    if recovery is None or recovery.other_design:
        return pd.DataFrame(columns=COLUMNS)
    return bias_aware_rows(comparison, recovery, condition)


def bias_aware_rows(comparison: EstimatorComparison, recovery: Recovery, condition: str) -> pd.DataFrame:
    """Pooled intervals that allow for the bias found in a recovery study, beside the plain ones.

    Parameters
    ----------
    comparison : EstimatorComparison
    recovery : Recovery
    condition : str
        Under which condition of the recovery study the bias was found.

    Returns
    -------
    pandas.DataFrame
        :data:`COLUMNS`.
    """
    rows = []
    for (variant, direction, term), fit in comparison.pooled.fits.items():
        known = recovery.row(condition, variant, direction, term)
        if known is None:
            continue
        shifted, widened = (
            bias_aware(fit, known["bias"], known["bias_mcse"], rule=r) for r in ("shift", "widen")
        )
        rows.append({"estimator": variant, "direction": direction, "term": term} | _ends(shifted, widened))
    return pd.DataFrame(rows, columns=COLUMNS)


def _ends(shifted: BiasAware, widened: BiasAware) -> dict[str, float]:
    plain = {
        name: getattr(shifted, name)
        for name in ("bias", "bias_se", "plain_estimate", "plain_low", "plain_high")
    }
    moved = {
        "shifted_estimate": shifted.estimate,
        "shifted_low": shifted.ci_low,
        "shifted_high": shifted.ci_high,
    }
    return plain | moved | {"widened_low": widened.ci_low, "widened_high": widened.ci_high}
