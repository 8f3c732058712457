"""The potentials a ground factor can have; a new one is a file here and its registration."""

from knowreason.factors.potentials.potential import POTENTIALS, Pattern, Potential, potential_of

__all__ = ["POTENTIALS", "Pattern", "Potential", "potential_of"]
