"""Energy-based anomaly scores of nodes, learned without labels.

:class:`GadEBM` is the knowledge model; :func:`fit_energy` takes plain arrays, ``energy_of`` is
the short way from features and edges to one score a node.
"""

from knowreason.models.energy.additive_energy import TERMS, AdditiveEnergy, energy_of, fit_energy
from knowreason.models.energy.gad_ebm import PRESETS, GadEBM
from knowreason.models.energy.neural_energy import EnergyHistory, Training

__all__ = [
    "PRESETS",
    "TERMS",
    "AdditiveEnergy",
    "EnergyHistory",
    "GadEBM",
    "Training",
    "energy_of",
    "fit_energy",
]
