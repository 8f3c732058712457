"""knowreason: weighted first-order rules over learned models."""

from knowreason.version import __version__

__all__ = ["__version__"]
