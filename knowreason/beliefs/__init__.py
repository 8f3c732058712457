"""Marginals in the words of the program, and the reasons for them."""

from knowreason.beliefs.beliefs import Beliefs, MarginalTable

__all__ = ["Beliefs", "MarginalTable"]
