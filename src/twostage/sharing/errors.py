"""Why something is not shared or not accepted."""

from dataclasses import replace

from twostage.problems import ProblemError


class BundleError(ProblemError):
    """A bundle that is damaged, inconsistent, hostile or does not fit the collection."""

    subject = "bundle"

    def within(self, file: str) -> "BundleError":
        """The same with the name of the bundle's file before those of its members."""
        return BundleError([replace(p, file=f"{file}, {p.file}") for p in self.problems])


class DisclosureError(ProblemError):
    """Results that would say too much about single patients and are not shared."""

    subject = "study to share"
