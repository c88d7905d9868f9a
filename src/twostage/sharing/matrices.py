"""Covariance matrices: two of them, of models that differ by few patients, give those patients' scores away."""

from collections.abc import Callable, Mapping

from twostage.records import Record
from twostage.sharing.layout import RECORD_MEMBERS

#: Analyses whose matrices are shared whole. Of the others only variances are pooled, and there are many models each.
WHOLE = ("lagged", "crosslevel")

Matrix = tuple[tuple[float | None, ...], ...]

INTERCEPT = "intercept"

_NAMES = {
    "covariances": "covariances between coefficients",
    "joint_covariances": "common matrix of both directions",
}

RULE = (
    "covariances between coefficients are shared of the lagged and the cross-level models only, and of these only if "
    "the two directions have the same rows or differ by rows of at least so many patients; variances are shared always, "
    "those with an intercept never, the common matrix of both directions only with the others"
)


def protect_matrices(
    records: Mapping[str, Record], one_sided: int, least: int
) -> tuple[dict[str, Record], list[str]]:
    """Withhold covariances of which two, subtracted, could show the scores of a few patients.

    Parameters
    ----------
    records : mapping
        analysis -> record.
    one_sided : int
        Patients with rows in one direction that the other does not have: :func:`twostage.sharing.analyse.one_sided`.
    least : int
        nfilter.tab.

    Returns
    -------
    records : dict
    withheld : list of str

    Notes
    -----
    In least squares, and in a mixed model whose random intercept has no variance, ``sigma2 inv(C) = X'X`` for the
    covariance matrix C. Two models with the same predictors then have ``X'X - X'X`` = the sum of the products z z' of
    the rows that one has and the other has not: with one such row these are the scores themselves, and two can be
    told apart as well. Variances alone leave more unknowns than equations.
    """
    safe = one_sided == 0 or one_sided >= least
    kept, withheld = {}, []
    for analysis, record in without_intercepts(records).items():
        bare = tuple(c.model_copy(update={"matrix": _variances(c.matrix)}) for c in record.covariances)
        # The common matrix of both directions has the same equations; it also counts who is in one of them only.
        common = () if any(0 < c.n_patients - c.n_both < least for c in record.joint_covariances) else None
        change = {} if common is None else {"joint_covariances": common}
        if not (safe and analysis in WHOLE) and bare != record.covariances:
            change = {"covariances": bare, "joint_covariances": ()}
        lost = [_NAMES[name] for name in change if getattr(record, name)]
        withheld += [f"{RECORD_MEMBERS[analysis]}: {name}" for name in lost]
        kept[analysis] = record.model_copy(update=change)
    return kept, withheld


def without_intercepts(records: Mapping[str, Record]) -> dict[str, Record]:
    """Withhold the covariances of intercepts: with them, inverse matrices are sums of scores over all transitions.

    From such sums the scores of one session follow by subtraction of the others' means. Nothing that is pooled needs
    these covariances.
    """
    kept = {}
    for analysis, record in records.items():
        matrices = tuple(
            c.model_copy(
                update={"matrix": _where(c.matrix, lambda i, j, t=c.terms: INTERCEPT not in (t[i], t[j]))}
            )
            for c in record.covariances
        )
        kept[analysis] = record.model_copy(update={"covariances": matrices})
    return kept


def _variances(matrix: Matrix) -> Matrix:
    return _where(matrix, lambda i, j: False)


def _where(matrix: Matrix, keep: Callable[[int, int], bool]) -> Matrix:
    """A matrix with its diagonal and those others that are kept."""
    return tuple(
        tuple(v if i == j or keep(i, j) else None for j, v in enumerate(row)) for i, row in enumerate(matrix)
    )
