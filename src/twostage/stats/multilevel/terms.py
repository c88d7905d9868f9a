"""Random terms of a multilevel or multivariate meta-analysis: which estimates share which random effects."""

from dataclasses import dataclass, field

import numpy as np

from twostage.stats.base import refuse_masked

STRUCTURES = ("CS", "HCS", "UN", "DIAG")


@dataclass(frozen=True, eq=False)
class Nested:
    """Grouping factors, each nested in the one before it; made by :func:`nested`.

    Attributes
    ----------
    names : tuple of str
        One per factor, outermost first.
    codes : ndarray of int, shape (f, n)
        Group of each estimate; inner groups are counted within their outer groups.
    """

    names: tuple[str, ...]
    codes: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class InnerOuter:
    """Correlated effects of inner levels within outer groups; made by :func:`inner_outer`.

    Attributes
    ----------
    levels : tuple of str
        Inner levels in order.
    inner, outer : ndarray of int, shape (n,)
    """

    levels: tuple[str, ...]
    inner: np.ndarray = field(repr=False)
    outer: np.ndarray = field(repr=False)


def nested(**factors):
    """Nested grouping factors: a random intercept for each, as ``random = ~ 1 | district/school`` in metafor.

    Parameters
    ----------
    **factors : array_like, shape (n,)
        Labels of each estimate's group, outermost factor first: ``nested(district=d, school=s)``. Equal labels
        of an inner factor in different outer groups are different groups.

    Returns
    -------
    Nested

    Raises
    ------
    ValueError
        No factor, factors of different lengths, a missing label.
    """
    if not factors:
        raise ValueError("nested() needs at least one factor, such as nested(study=study)")
    codes, within = [], None
    for name, labels in factors.items():
        own = _codes(name, labels)[1]
        if within is not None and len(own) != len(within):
            raise ValueError(f"factor {name} has {len(own)} labels, the one before it {len(within)}")
        within = own if within is None else _codes(name, within * (own.max() + 1) + own)[1]
        codes.append(within)
    return Nested(tuple(factors), np.stack(codes))


def inner_outer(inner, outer):
    """Correlated effects of inner levels within outer groups, as ``random = ~ outcome | study`` in metafor.

    Parameters
    ----------
    inner : array_like, shape (n,)
        Labels of the levels (outcomes) whose effects are correlated within an outer group.
    outer : array_like, shape (n,)
        Labels of the independent groups (studies).

    Returns
    -------
    InnerOuter

    Raises
    ------
    ValueError
        Different lengths, a missing label.
    """
    levels, inner = _codes("inner", inner)
    outer = _codes("outer", outer)[1]
    if len(inner) != len(outer):
        raise ValueError(f"inner has {len(inner)} labels, outer {len(outer)}")
    return InnerOuter(levels, inner, outer)


def _codes(name, labels):
    refuse_masked(labels, "a grouping")
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(f"factor {name} must be one-dimensional and not empty, got shape {labels.shape}")
    missing = [i for i, x in enumerate(labels.tolist()) if x is None or x != x]
    if missing:
        raise ValueError(f"factor {name} has no label in row {missing[0]} (counted from 0)")
    levels, codes = np.unique(labels, return_inverse=True)
    return tuple(str(x) for x in levels), codes
