"""Whether chains are believed: per component, from R-hat, sample size, errors and round trips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from knowreason.inference.gibbs.replicas import SampledBeliefs

MIXED = 1.05  # greatest split R-hat of chains that are believed
USABLE = 1.2  # of chains that are taken where nothing is confirmed
SAMPLES = 400  # least effective sample size of an atom
WRONG = 0.01  # a confirmed marginal is not further from the truth
SURE = 5.0  # Monte-Carlo errors within that: thousands of atoms are looked at
SURE_OF_BOTH = 4.0  # the same where belief propagation says so too
TRIPS = 600  # worlds that came from the hottest replica to the coldest: a mode of .01 is met
TRIPS_OF_BOTH = 100  # the same where belief propagation says so too
SPOKEN = 3.0  # Monte-Carlo errors that a report speaks of
LONG_ENOUGH = 1600  # sweeps before anything is believed


@dataclass(frozen=True)
class Verdicts:
    """What ensembles and, where there is one, another opinion say of every component.

    Attributes:
        r_hat, sample_size: ``float64[c]`` of the worst atom.
        error: ``float64[c]`` greatest Monte-Carlo standard error of a probability.
        difference: ``float64[c]`` greatest difference from the other opinion, NaN without.
        mixed: ``bool[c]``: chains that reached one another and came round from hot replicas.
        confirmed: ``bool[c]``: chains alone tell the marginals within .01.
        seconded: ``bool[c]``: the other opinion is within .01 of chains that mixed.
    """

    r_hat: NDArray[np.float64]
    sample_size: NDArray[np.float64]
    error: NDArray[np.float64]
    difference: NDArray[np.float64]
    mixed: NDArray[np.bool_]
    confirmed: NDArray[np.bool_]
    seconded: NDArray[np.bool_]

    @property
    def settled(self) -> NDArray[np.bool_]:
        """``bool[c]``: components that need no more sweeps."""
        return self.confirmed | self.seconded

    @property
    def usable(self) -> NDArray[np.bool_]:
        """``bool[c]``: chains worth taking though nothing is confirmed."""
        return self.r_hat <= USABLE

    def told(self, chosen: NDArray[np.bool_]) -> str:
        """A sentence about the chains of some components (``bool[c]``)."""
        return (
            f"split R-hat at most {self.r_hat[chosen].max(initial=1.0):.3f}; effective sample "
            f"size at least {self.sample_size[chosen].min(initial=np.inf):.0f}; three "
            f"Monte-Carlo errors at most {SPOKEN * self.error[chosen].max(initial=0.0):.4f}"
        )


def verdicts(
    found: SampledBeliefs,
    label: NDArray[np.int32],
    told: NDArray[np.bool_],
    opinion: NDArray[np.float64] | None = None,
) -> Verdicts:
    """Verdicts on all components.

    Args:
        found: by ensembles.
        label: ``int32[n]`` component of each atom.
        told: ``bool[n]``: atoms that count (open, not defined by others).
        opinion: ``float64[n]`` log-odds by another engine.

    Source: Gelman et al. 2013, Bayesian Data Analysis, sections 11.4 and 11.5.
    """
    count, mine = len(found.trips), label[told]

    def worst(values: NDArray[np.float64], start: float) -> NDArray[np.float64]:
        out = np.full(count, start)
        np.maximum.at(out, mine, values[told])
        return out

    r_hat, error = worst(found.r_hat, 1.0), worst(found.error, 0.0)
    size = -worst(-found.sample_size, -np.inf)
    mixed = (r_hat <= MIXED) & (size >= SAMPLES) & (found.trips >= TRIPS_OF_BOTH)
    mixed &= found.sweeps >= LONG_ENOUGH
    difference, seconded = np.full(count, np.nan), np.zeros(count, np.bool_)
    if opinion is not None:
        apart = np.abs(expit(found.log_odds) - expit(opinion))
        difference = worst(apart, 0.0)
        seconded = mixed & (worst(apart + SURE_OF_BOTH * found.error, 0.0) <= WRONG)
    confirmed = mixed & (SURE * error <= WRONG) & (found.trips >= TRIPS)
    return Verdicts(r_hat, size, error, difference, mixed, confirmed, seconded)
