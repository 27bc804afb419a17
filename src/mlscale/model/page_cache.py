"""How often a page cache has what an epoch in a new order asks for. Pure; docs/model-storage.md."""

from __future__ import annotations

import math
from functools import lru_cache

from mlscale.model.estimate import Z_90, Estimate

_MANY_NODES = 256  # from here on a node meets a sample so seldom that only the cache's share of the data counts


def lru_hits(share: float, nodes: int = 1) -> float:
    """Hit ratio of a least-recently-used cache that holds `share` of the data, each epoch in a new order and each sample
    on one of `nodes` by chance.

    Between two readings of a sample lie the rest of its epoch, whole epochs, and the beginning of the last one. It is
    still there when the different samples read in between are fewer than the cache holds:
    (1 - a/k)(1 - b/k)(1 - 1/k)^(g-1) >= 1 - share, with a, b uniform and g geometric. One node: c + (1-c) ln(1-c).
    """
    if share >= 1:
        return 1.0
    if share <= 0:
        return 0.0
    if nodes > _MANY_NODES:
        return share
    if nodes == 1:
        return share + (1 - share) * math.log1p(-share)
    stay = 1 - 1 / nodes
    total, epochs_weight, need = 0.0, 1 / nodes, 1 - share
    while need <= 1:
        total += epochs_weight * _product_above(need, nodes)
        need /= stay
        epochs_weight *= stay
    return total


def _product_above(threshold: float, nodes: int) -> float:
    """P(xy >= threshold) for x and y uniform between 1 - 1/nodes and 1."""
    low = 1 - 1 / nodes
    if threshold >= 1:
        return 0.0
    if threshold <= low * low:
        return 1.0
    if threshold >= low:
        return nodes**2 * (1 - threshold + threshold * math.log(threshold))
    return 1 - nodes**2 * (threshold * math.log(threshold / low**2) - threshold + low**2)


def random_hits(share: float, nodes: int = 1) -> float:
    """The same for a cache that drops a page at random: every miss in between drops a given one with 1/size. A fixed
    point, for the misses depend on the hits."""
    if share >= 1:
        return 1.0
    if share <= 0:
        return 0.0
    low, high = 0.0, 1.0 - 1e-9
    for _ in range(30):
        hits = (low + high) / 2
        pace = (1 - hits) / (share * nodes)  # misses of an epoch on one node, over the cache's places
        partly = ((1 - math.exp(-pace)) / pace) ** 2 if pace > 1e-9 else 1.0
        seen = partly / (nodes - (nodes - 1) * math.exp(-pace))  # geometric number of whole epochs between
        low, high = (hits, high) if seen > hits else (low, hits)
    return (low + high) / 2


@lru_cache(maxsize=4096)  # pure, and a plan asks for the same few again and again
def page_cache_misses(share: float, nodes: int = 1) -> Estimate:
    """The miss ratio, with an error that spans LRU and random replacement: Linux keeps two lists and lies between.
    `value` is the geometric middle; 0 when all fits."""
    if share >= 1:
        return Estimate(0.0)
    one, other = 1 - lru_hits(share, nodes), 1 - random_hits(share, nodes)
    return Estimate(math.sqrt(one * other), abs(math.log(one / other)) / 2 / Z_90)
