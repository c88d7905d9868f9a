"""Why something is not shared or not accepted."""

from twostage.problems import ProblemError


class BundleError(ProblemError):
    """A bundle that is damaged, inconsistent, hostile or does not fit the collection."""

    subject = "bundle"


class DisclosureError(ProblemError):
    """Results that would say too much about single patients and are not shared."""

    subject = "study to share"
