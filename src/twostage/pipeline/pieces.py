"""A study in pieces on several machines: each piece is summed where there is a worker, the sums are merged in pairs.

The graph is Dask's: a piece whose worker is lost is summed again by another one, from the study's file. Nothing that a
worker holds is needed later, so any number of them may come and go. Sums are merged in the order of the pieces, whoever
made them, so that the numbers do not depend on who was faster.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twostage.collection import Piece, Pieces, merged

if TYPE_CHECKING:
    from distributed import Client


def over_cluster(client: "Client") -> Callable[[Pieces, Callable[[Piece], Any], int, int], Any]:
    """What sums over a study's pieces on the workers of a cluster (:attr:`twostage.collection.LargeStudy.over_pieces`).

    Parameters
    ----------
    client : Client
        Its workers see the study's files under the same paths.
    """

    def over(pieces: Pieces, work: Callable[[Piece], Any], first: int, last: int) -> Any:
        from dask import delayed

        # One graph, handed over whole. Never pure: no task may be taken for one done before, files may have changed since.
        part, both = delayed(pieces.over, pure=False), delayed(merged, pure=False)
        sums = [part(work, number, first, last) for number in range(pieces.count)]
        while len(sums) > 1:
            pairs = [both(*sums[k : k + 2]) for k in range(0, len(sums) - 1, 2)]
            sums = pairs + sums[2 * len(pairs) :]
        return client.compute(sums[0], optimize_graph=False).result()

    return over
