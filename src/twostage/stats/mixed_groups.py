"""Which rows belong to which group: labels turned into contiguous runs of rows."""

from dataclasses import dataclass

import numpy as np

from twostage.stats.checks import refuse_masked


@dataclass(frozen=True)
class Grouping:
    """Rows brought together by group.

    Attributes
    ----------
    order : (n,) int array or None
        Row numbers sorted by group; None when the rows already lie together.
    starts : (N,) int array
        First position of each group in the sorted rows.
    sizes : (N,) int array
        Rows per group, all at least 1.
    """

    order: np.ndarray | None
    starts: np.ndarray
    sizes: np.ndarray


def group_rows(groups, n: int) -> Grouping:
    """Find the groups of `n` rows.

    Parameters
    ----------
    groups : (n,) sequence of hashable labels
        Numbers, strings or any hashable objects, in any order.

    Returns
    -------
    Grouping

    Raises
    ------
    ValueError
        If the length is not `n` or a label is missing (None, NaN, NA).
    """
    labels = _as_vector(groups)
    if labels.shape != (n,):
        raise ValueError(f"groups must have one label per row: expected {n}, got {labels.shape[0]}")
    _refuse_missing(labels)
    codes = _object_codes(labels) if labels.dtype.kind in "OV" else labels
    edges = run_edges(codes)
    if _runs_are_groups(codes[edges[:-1]]):
        return Grouping(None, edges[:-1], edges[1:] - edges[:-1])
    order = np.argsort(codes, kind="stable")
    edges = run_edges(codes[order])
    return Grouping(order, edges[:-1], edges[1:] - edges[:-1])


def run_edges(values: np.ndarray) -> np.ndarray:
    """Where runs of equal values begin, and the end."""
    return np.concatenate(([0], np.flatnonzero(values[1:] != values[:-1]) + 1, [len(values)]))


def _as_vector(groups) -> np.ndarray:
    """Labels as a one-dimensional array; tuples stay whole instead of becoming a second axis."""
    refuse_masked(groups, "groups")
    if isinstance(groups, np.ndarray) or hasattr(groups, "__array__"):
        labels = np.asarray(groups)
        if labels.ndim != 1:
            raise ValueError(f"groups must be one-dimensional, got shape {labels.shape}")
        return labels
    items = list(groups)
    if any(isinstance(item, tuple) for item in items) or len({type(item) for item in items}) > 1:
        labels = np.empty(len(items), dtype=object)
        labels[:] = items
        return labels
    labels = np.asarray(items)
    if labels.ndim != 1:
        raise ValueError(f"groups must hold one hashable label per row, got shape {labels.shape}")
    return labels


def _refuse_missing(labels: np.ndarray) -> None:
    kind = labels.dtype.kind
    if kind in "fc" and np.isnan(labels).any() or kind in "mM" and np.isnat(labels).any():
        raise ValueError(f"groups has a missing label in row {int(np.argmax(labels != labels))}")


def _object_codes(labels: np.ndarray) -> np.ndarray:
    """Number labels in the order they appear."""
    seen: dict = {}
    try:
        codes = np.fromiter((seen.setdefault(label, len(seen)) for label in labels), np.intp, len(labels))
    except TypeError as error:
        raise ValueError(f"groups must hold hashable labels: {error}") from error
    for label, code in seen.items():
        if _is_missing(label):
            raise ValueError(f"groups has a missing label in row {int(np.argmax(codes == code))}")
    return codes


def _is_missing(label) -> bool:
    """None, NaN, NaT and NA are the labels that do not equal themselves (or are None)."""
    same = label == label
    return label is None or not isinstance(same, bool | np.bool_) or not same


def _runs_are_groups(heads: np.ndarray) -> bool:
    """Whether no label starts a second run; labels in rising order need no closer look."""
    if heads.dtype.kind in "iuf" and (heads[1:] > heads[:-1]).all():
        return True
    return len(set(heads.tolist())) == len(heads)
