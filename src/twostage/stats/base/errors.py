"""What the data cannot answer, told apart from what the caller got wrong."""


class NotEstimable(ValueError):
    """The data do not determine what was asked: too few, constant, collinear, or fitted exactly.

    A study in which this happens is left out of a pool with the message as the reason; any other error
    is a mistake and stops the analysis.
    """
