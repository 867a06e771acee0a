"""Trees in flat arrays: the sum of their leaves for a row, and what each group of features adds between a reference and a row.

Shapley values of a tree against one reference (interventional: Lundberg et al., From local explanations to global understanding with
explainable AI for trees, Nature Machine Intelligence 2, 2020): a leaf counts for those orders in which the groups that lead to it from the
row came before it, and those that lead to it from the reference did not.
"""

from math import factorial
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

ROWS_AT_ONCE = 32  # of which each tree is asked while they are in the cache
EXPLAINED_AT_ONCE = 512  # longer, since a tree that was just walked is guessed better
OF_ROW, OF_REFERENCE = 1, 2


class Trees(NamedTuple):
    """Nodes of all trees. A row goes to `left` where its `feature` is at most `threshold`, to `right` otherwise; no feature is NaN.

    A leaf leads to itself both ways; its `feature` is 0. Numbers that index have no sign: an index that has is asked each time for it.
    """

    feature: NDArray[np.uint32]
    threshold: NDArray[np.float64]
    left: NDArray[np.uint32]
    right: NDArray[np.uint32]
    value: NDArray[np.float64]
    """of a leaf"""
    root: NDArray[np.uint32]
    """uint32[trees]"""
    depth: NDArray[np.int32]
    """int32[trees], steps from the root to the deepest leaf"""


@njit(cache=True, nogil=True)
def add_leaves(trees: Trees, rows: NDArray[np.float64], total: NDArray[np.float64]) -> None:
    """Add each tree's leaf for each of `rows` (float64[n, features]) to `total` (float64[n]), tree after tree.

    All rows of a block go down together, to the deepest leaf: steps that do not wait for each other, and no branch to guess.
    """
    at = np.zeros(ROWS_AT_ONCE, np.uint32)
    for first in range(0, len(rows), ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, len(rows) - first)
        for tree in range(len(trees.root)):
            at[:count] = trees.root[tree]
            for _ in range(trees.depth[tree]):
                for i in range(count):
                    node = at[i]
                    left, right = trees.left[node], trees.right[node]
                    at[i] = left if rows[first + i, trees.feature[node]] <= trees.threshold[node] else right
            for i in range(count):
                total[first + i] += trees.value[at[i]]


def order_shares(depth: int) -> NDArray[np.float64]:
    """float64[depth + 1, depth + 1]: of the orders of a + b groups, the share in which a given one of the a is their last, before all b."""
    shares = np.zeros((depth + 1, depth + 1))
    for a in range(1, depth + 1):
        for b in range(depth + 1 - a):
            shares[a, b] = factorial(a - 1) * factorial(b) / factorial(a + b)
    return shares


@njit(cache=True, nogil=True)
def add_shapley(  # noqa: C901, PLR0912, PLR0913, PLR0917 - one walk over plain arrays
    trees: Trees,
    rows: NDArray[np.float64],
    reference: NDArray[np.float64],
    group: NDArray[np.uint32],
    shares: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Add to `out` what each group makes of the difference between the trees' sum for a row and for its reference.

    rows, reference : float64[n, features]
    group : uint32[nodes], the group of the feature of each node; features of one group change together
    shares : `order_shares` of the deepest tree
    out : float64[n, groups]; what is added to a row adds up to that difference
    """
    depth = len(shares)
    side = np.zeros(out.shape[1], np.uint8)
    path = np.zeros(depth, np.uint32)
    waiting_node, waiting_length, waiting_group = np.zeros(depth, np.uint32), np.zeros(depth, np.int64), np.zeros(depth, np.uint32)
    for first in range(0, len(rows), EXPLAINED_AT_ONCE):
        last = min(first + EXPLAINED_AT_ONCE, len(rows))
        for root in trees.root:
            for i in range(first, last):
                node, length, ours, waiting = root, 0, 0, 0
                while True:
                    while trees.left[node] != node:
                        feature, threshold = trees.feature[node], trees.threshold[node]
                        here, there = rows[i, feature] <= threshold, reference[i, feature] <= threshold
                        its = group[node]
                        if here != there:
                            if side[its] == 0:
                                waiting_node[waiting] = trees.left[node] if there else trees.right[node]
                                waiting_length[waiting], waiting_group[waiting] = length, its
                                waiting += 1
                                side[its] = OF_ROW
                                path[length] = its
                                length += 1
                                ours += 1
                            elif side[its] == OF_REFERENCE:
                                here = there
                        node = trees.left[node] if here else trees.right[node]
                    if length:
                        value, theirs = trees.value[node], length - ours
                        mine, other = value * shares[ours, theirs], value * shares[theirs, ours]
                        for j in range(length):
                            if side[path[j]] == OF_ROW:
                                out[i, path[j]] += mine
                            else:
                                out[i, path[j]] -= other
                    if waiting == 0:
                        break
                    waiting -= 1
                    for j in range(waiting_length[waiting], length):
                        ours -= side[path[j]] == OF_ROW
                        side[path[j]] = 0
                    length = waiting_length[waiting]
                    node, its = waiting_node[waiting], waiting_group[waiting]
                    side[its] = OF_REFERENCE
                    path[length] = its
                    length += 1
                for j in range(length):
                    side[path[j]] = 0
