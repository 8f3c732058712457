"""Latent-diffusion augmentation of rare classes around any classifier.

``world`` turns a data set into arrays, ``marginals`` columns into inputs and back,
``encoders``, ``decoders`` and ``autoencoder`` make latents, ``edm`` learns and draws from
their distribution, ``synthesis`` and ``connect`` make things with columns and edges,
``enlarge`` puts them into a data set, ``mirror`` beside copies of their surroundings, and
``model`` fits a classifier on it.
"""

from knowreason.models.diffusion.augmented_model import Diffusion
from knowreason.models.diffusion.copied_surroundings import mirrored
from knowreason.models.diffusion.enlarged_data import NewEdges, Synthetic, enlarged

__all__ = ["Diffusion", "NewEdges", "Synthetic", "enlarged", "mirrored"]
