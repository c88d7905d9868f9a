"""What arrays must be like before anything is computed with them, and what is said of those that are not."""

import numpy as np

from twostage.stats.base.arrays import faults, real_array


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


_SHOWN = 10  # problems listed in one message


def check_estimates(y, v, labels):
    """Estimates, variances and labels as arrays; one error names every study that cannot be used."""
    y, v = real_array(y, "y"), real_array(v, "v")
    if y.ndim != 1 or y.shape != v.shape or y.size == 0:
        raise ValueError(
            f"y and v must be one-dimensional, equally long, not empty; got {y.shape} and {v.shape}"
        )
    if labels is not None and len(labels) != len(y):
        raise ValueError(f"{len(labels)} labels for {len(y)} studies")
    raise_problems(faults(y, v, lambda index: at(index[0], labels)))
    return y, v, tuple(str(x) for x in (range(len(y)) if labels is None else labels))


def at(study, labels):
    """How a message names a study (index from 0)."""
    return f"study {study}" + ("" if labels is None else f" ({labels[study]})")


def raise_problems(problems):
    """Raise one ValueError listing all problems, if there are any."""
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise ValueError("; ".join(problems[:_SHOWN]) + more)


def frozen(*arrays):
    """The arrays as read-only copies."""
    copies = [np.array(a) for a in arrays]
    for copy in copies:
        copy.flags.writeable = False
    return copies
