"""Messages as odds, for the kernels of all potentials.

A message is held as odds ``m`` (log-odds clamped to +-88), an atom's belief as odds, and
the cavity an atom sends to a factor is ``belief / m``: no exponential and no logarithm a
ground factor, one of each an atom and sweep. Products of messages are spilled into
float64 log-odds before they could overflow, so hubs are safe. Sums of positive terms
only: hard factors lose no precision. ``maximum`` turns sum-product into max-product.

``state`` (``float64[n, 2]``) holds an atom's odds and the product of its new messages side
by side: one cache line an atom. Helpers take numbers, never arrays, because handing an
array to a helper counts references in every pass of the loop.

Source: the odds form of Kschischang, Frey & Loeliger 2001; damping in log-odds.
"""

from __future__ import annotations

import math

from knowreason.factors.kernel_decorators import compiled

LIMIT = 88.0  # messages are clamped to +-LIMIT in log-odds; hard factors are exact up to it
TOP = math.exp(LIMIT)
BOTTOM = math.exp(-LIMIT)
SPILL_TOP = 1e260
SPILL_BOTTOM = 1e-260
CAVITY_TOP = 1e100  # beyond LIMIT whatever the message; products of two and a potential stay finite
CAVITY_BOTTOM = 1e-100
TINY = 1e-300  # both sides of a ratio may underflow; then the message says nothing


@compiled
def damped(new: float, old: float, damping: float) -> float:
    """Clamped message after damping in log-odds."""
    if not new < TOP:  # also where hard factors give 0 / 0
        new = TOP
    new = max(new, BOTTOM)
    if damping == 0.5:
        return math.sqrt(new * old)
    if damping == 0.0:
        return new
    return float(new ** (1.0 - damping) * old**damping)


@compiled
def literal_weights(
    odds: float, message: float, positive: bool, maximum: bool
) -> tuple[float, float]:
    """Cavity weights that the literal is true, false: they sum to 1 (or their maximum is 1)."""
    share = 1.0 / (max(odds, message) if maximum else odds + message)
    if positive:
        return odds * share, message * share
    return message * share, odds * share
