"""Sessions that an analysis leaves out because of their numbers: a part of the data that goes without a word otherwise."""

import pandas as pd

#: Share of the rows with a score that may be outside of the window before it is said.
MANY = 0.1


def outside_window(sessions: pd.DataFrame, window: tuple[int, int]) -> str:
    """What to say where many of a study's rows are outside of the window, or some are numbered 0.

    Parameters
    ----------
    sessions : pandas.DataFrame
        session, x, y.
    window : (int, int)
        First and last session.

    Returns
    -------
    str
        Empty if there is nothing to say.
    """
    numbers = sessions.loc[sessions[["x", "y"]].notna().any(axis=1), "session"]
    first, last = window
    n = int((~numbers.between(first, last)).sum())
    if n <= MANY * len(numbers) and not (first > 0 and (numbers == 0).any()):
        return ""
    return (
        f"sessions are numbered {numbers.min():g} to {numbers.max():g}; {n} of {len(numbers)} rows are outside of the "
        f"window of sessions {first} to {last} that is analysed"
    )
