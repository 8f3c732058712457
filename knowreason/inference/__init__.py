"""Inference: from a factor graph to beliefs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knowreason.lazy import lazy_names

if TYPE_CHECKING:
    from knowreason.inference.engine_protocol import ENGINES as ENGINES
    from knowreason.inference.engine_protocol import Engine as Engine
    from knowreason.inference.engine_protocol import infer as infer
    from knowreason.inference.posterior import EngineReport as EngineReport
    from knowreason.inference.posterior import Posterior as Posterior

_HOMES = {
    "ENGINES": "knowreason.inference.engine_protocol",
    "Engine": "knowreason.inference.engine_protocol",
    "EngineReport": "knowreason.inference.posterior",
    "Posterior": "knowreason.inference.posterior",
    "infer": "knowreason.inference.engine_protocol",
}

__all__ = [*_HOMES]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
