"""The potentials a ground factor can have; a new one is a file here and its registration."""

from knowreason.factors.potentials.interval import Interval
from knowreason.factors.potentials.potential import (
    Pattern,
    Potential,
    potential_of,
    register_potential,
)
from knowreason.factors.potentials.table import Table

__all__ = ["Interval", "Pattern", "Potential", "Table", "potential_of", "register_potential"]

register_potential(Interval())
register_potential(Table())
