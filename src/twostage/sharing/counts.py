"""Which counts may be shown together: none small, and none that gives away a small one by subtraction."""

from collections.abc import Iterable


class Counts:
    """The counts that a recipient knows or may know.

    Parameters
    ----------
    known : iterable of int
        Counts that are shared whatever they are: the sizes of models, which their degrees of freedom tell anyhow.
    least : int
        nfilter.tab.

    Notes
    -----
    A count may be shown if it is 0, or if it is at least `least` and equals every known count or differs from it by at
    least `least`. The rule does not ask which groups of patients contain which others, so it withholds more than
    it must, never less (complementary suppression; Hundepool et al. 2012, doi:10.1002/9781118348239).

    A total of patients is another matter: models are of patients whom it contains, so one that equals the size of a
    model is of the same patients and says nothing new.
    """

    def __init__(self, known: Iterable[int], least: int):
        self._known, self._least = {n for n in known if n >= least}, least

    def knows(self, n: int | None) -> bool:
        """Whether the count can be concluded from what is shown."""
        return n in self._known or n == 0

    def allows(self, n: int, *, total: bool = False) -> bool:
        """Whether the count may be shown; `total`: of patients, and every model is of some of them."""
        if n == 0 or (total and self.knows(n)):
            return True
        return n >= self._least and all(n == other or abs(n - other) >= self._least for other in self._known)

    def show(self, n: int | None, *, total: bool = False) -> int | None:
        """The count, which is known from now on; None if it may not be shown."""
        if n is None or not self.allows(n, total=total):
            return None
        if n:
            self._known.add(n)
        return n
