"""Inference: from a factor graph to beliefs."""

from knowreason.inference.engine_protocol import ENGINES, Engine, infer
from knowreason.inference.posterior import EngineReport, Posterior

__all__ = ["ENGINES", "Engine", "EngineReport", "Posterior", "infer"]
