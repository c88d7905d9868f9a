"""Numbers as arguments: real, without a mask, and within what double precision carries; never read on a guess."""

import numbers

import numpy as np

#: Largest estimate, and the range of a sampling variance. A fit forms products as large as ``y^2 / v^3`` (derivatives
#: of the likelihood in tau2) and ``v^2 / v^4``; within these limits each lies between 1e-300 and 1e300, where doubles
#: have all their digits. In a unit in which estimates are near 1, no data come close to either end.
LARGEST_ESTIMATE, LEAST_VARIANCE, LARGEST_VARIANCE = 1e30, 1e-60, 1e60


#: Most standard errors that an estimate may lie from the mean of all. Differences carry 16 digits, so that rounding
#: adds at most ``(1e15 * 1e-16)^2 = 0.01`` to Q; beyond, Q would be rounding alone.
MOST_APART = 1e15


_SHOWN = 10  # problems listed in one message


def real_array(values, name, *, booleans=False):
    """A new float array of the values, missing ones as NaN.

    Parameters
    ----------
    values : array_like
        Numbers; a data frame or series may have pandas' own missing value.
    name : str
        What the argument is called, for messages.
    booleans : bool
        Whether truth values count as 1 and 0, as the columns of a design may.

    Raises
    ------
    ValueError
        Masked values, texts (also those that look like numbers), truth values, complex numbers, dates or anything
        else that is no number.
    """
    refuse_masked(values, name)
    if hasattr(values, "to_numpy"):
        values = values.to_numpy(na_value=np.nan)
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers in rows of equal length: {error}") from None
    kind = array.dtype.kind
    if kind == "O":
        strange = next((v for v in array.ravel() if not _is_real(v, booleans)), None)
        if strange is not None or any(v is None for v in array.ravel()):
            raise ValueError(f"{name} must hold numbers; found {strange!r}, a {type(strange).__name__}")
    elif kind not in ("iufb" if booleans else "iuf") and array.size:
        found = {"b": "truth values", "c": "complex numbers", "U": "texts", "S": "bytes"}.get(
            kind, array.dtype
        )
        raise ValueError(f"{name} must hold real numbers; found {found}")
    return array.astype(float)


def refuse_masked(values, name):
    """Raise ValueError if something is masked, of numbers or of labels."""
    parts = values if isinstance(values, list | tuple) else (values,)
    masked = sum(int(np.ma.count_masked(part)) for part in parts if isinstance(part, np.ma.MaskedArray))
    if masked:
        raise ValueError(
            f"{name} has {masked} masked value{'s' * (masked > 1)}: leave them out, or write NaN where a value may be "
            "missing"
        )


def _is_real(value, booleans):
    if isinstance(value, bool | np.bool_):
        return booleans
    return isinstance(value, numbers.Real) or value is None


def faults(y, v, name):
    """What is wrong with estimates and their sampling variances, arrays of one shape; `name` of an index, for messages."""
    # A few passes over the data settle it for all that are usual.
    least = v.min(initial=LARGEST_VARIANCE)
    usual = least >= LEAST_VARIANCE and v.max(initial=0.0) <= LARGEST_VARIANCE
    if usual and np.abs(y).max(initial=0.0) <= min(LARGEST_ESTIMATE, 0.5 * MOST_APART * least**0.5):
        return []
    good_y = np.abs(y) <= LARGEST_ESTIMATE
    good_v = (v >= LEAST_VARIANCE) & (v <= LARGEST_VARIANCE)
    found = []
    for at in np.argwhere(~good_y):
        value = y[tuple(at)]
        limit = f"beyond {LARGEST_ESTIMATE:g}, where squares overflow" if np.isfinite(value) else "not finite"
        found.append(f"{name(at)}: estimate {value} is {limit}")
    for at in np.argwhere(~good_v):
        value = v[tuple(at)]
        limits = (
            f"not from {LEAST_VARIANCE:g} to {LARGEST_VARIANCE:g}, where weights and their powers are exact"
        )
        limit = limits if np.isfinite(value) and value > 0 else "not finite and positive"
        found.append(f"{name(at)}: variance {value} is {limit}")
    if found:
        return found
    apart = np.abs(y - y.mean(axis=-1, keepdims=True)) > MOST_APART * np.sqrt(v)
    text = f"is less than {1 / MOST_APART:g} of the estimate's distance from the mean: doubles lose it beside that"
    return [f"{name(at)}: standard error {np.sqrt(v[tuple(at)]):g} {text}" for at in np.argwhere(apart)]


def raise_faults(found):
    """Raise one ValueError listing all faults, if there are any."""
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise ValueError("; ".join(found[:_SHOWN]) + more)
