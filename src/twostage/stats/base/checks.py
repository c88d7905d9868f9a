"""What arrays and options must be like before anything is computed with them, and what is said of those that are not."""

from numbers import Real

import numpy as np


class NotEstimable(ValueError):
    """The data do not determine what was asked: too few, constant, collinear, or fitted exactly.

    A study in which this happens is left out of a pool with the message as the reason; any other error
    is a mistake and stops the analysis.
    """


def check_level(level):
    """A coverage strictly between 0 and 1, as a float."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie strictly between 0 and 1 (0.95 for 95%), got {level!r}")
    return float(level)


def check_choice(name, value, known):
    """One of the known values, as it is."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")
    return value


def numbers(values, name, ndim) -> np.ndarray:
    """Values as a float array of `ndim` dimensions, or ValueError saying what `name` must be."""
    array = real_array(values, name, booleans=name != "y")
    if array.ndim == 1 and ndim == 2 and name == "Z":
        array = array[:, None]
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension{'s' * (ndim > 1)}, got shape {array.shape}")
    return array


def column_names(labels, p) -> tuple[str, ...]:
    """p different names: the labels, or x0, x1, ..."""
    if labels is None:
        return tuple(f"x{j}" for j in range(p))
    names = tuple(str(label) for label in labels)
    if len(names) != p:
        raise ValueError(f"names has {len(names)} entries but X has {p} columns")
    if len(set(names)) != p:
        raise ValueError(f"names must differ: {', '.join(names)}")
    return names


def check_estimates(y, v, labels) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Estimates, variances and labels as arrays; one error names every study that cannot be used."""
    y, v = real_array(y, "y"), real_array(v, "v")
    if y.ndim != 1 or y.shape != v.shape:
        raise ValueError(f"y and v must be one-dimensional and equally long; got {y.shape} and {v.shape}")
    if y.size == 0:
        raise ValueError("y and v must hold at least one study, not empty arrays")
    names = tuple(str(x) for x in (range(len(y)) if labels is None else labels))
    if len(names) != len(y):
        raise ValueError(f"{len(names)} labels for {len(y)} studies")
    raise_problems(faults(y, v, lambda index: at(index[0], None if labels is None else names)))
    return y, v, names


def at(study, labels):
    """How a message names a study (index from 0)."""
    return f"study {study}" + ("" if labels is None else f" ({labels[study]})")


def raise_problems(problems):
    """Raise one ValueError listing all problems, if there are any."""
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ValueError("; ".join(problems[:_SHOWN]) + more)


def frozen(*arrays) -> list[np.ndarray]:
    """The arrays as read-only copies."""
    copies = [np.array(a) for a in arrays]
    for copy in copies:
        copy.flags.writeable = False
    return copies


#: Largest estimate, and the range of a sampling variance. A fit forms products as large as ``y^2 / v^3`` (derivatives
#: of the likelihood in tau2) and ``v^2 / v^4``; within these limits each lies between 1e-300 and 1e300, where doubles
#: have all their digits. In a unit in which estimates are near 1, no data come close to either end.
LARGEST_ESTIMATE, LEAST_VARIANCE, LARGEST_VARIANCE = 1e30, 1e-60, 1e60


#: Most standard errors that an estimate may lie from the mean of all. Differences carry 16 digits, so that rounding
#: adds at most ``(1e15 * 1e-16)^2 = 0.01`` to Q; beyond, Q would be rounding alone.
MOST_APART = 1e15


_SHOWN = 10  # problems listed in one message


def real_array(values, name, *, booleans=False) -> np.ndarray:
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
    return isinstance(value, Real) or value is None


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


VARIABLES = ("x", "y")


DIRECTIONS = ("y_to_x", "x_to_y")


def check_panel(Y) -> np.ndarray:
    """Y as a float array (n, T, 2) with NaN where missing, or ValueError."""
    Y = real_array(Y, "Y")
    if Y.ndim != 3 or Y.shape[2] != 2:
        raise ValueError(f"Y must have shape (patients, sessions, 2), got {Y.shape}")
    if np.isinf(Y).any():
        patient, session, variable = np.argwhere(np.isinf(Y))[0]
        raise ValueError(
            f"Y holds an infinite number: patient {patient}, session {session}, variable {variable}"
        )
    return Y


def observed_span(Y) -> tuple[int, int]:
    """First session with a score of anybody and the one after the last, from 0; all sessions where there is none."""
    at = np.flatnonzero((~np.isnan(Y)).any(axis=(0, 2)))
    return (int(at[0]), int(at[-1]) + 1) if len(at) else (0, Y.shape[1])
