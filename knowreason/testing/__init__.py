"""For authors of plug-ins: a conformance suite, a small world, and brute-force inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knowreason.lazy import lazy_names

if TYPE_CHECKING:
    from knowreason.testing.example_world import example_data as example_data
    from knowreason.testing.example_world import example_program as example_program
    from knowreason.testing.model_checks import check_model as check_model
    from knowreason.testing.oracle import Enumeration as Enumeration
    from knowreason.testing.oracle import all_worlds as all_worlds
    from knowreason.testing.oracle import enumerate_worlds as enumerate_worlds

_HOMES = {
    "Enumeration": "knowreason.testing.oracle",
    "all_worlds": "knowreason.testing.oracle",
    "check_model": "knowreason.testing.model_checks",
    "enumerate_worlds": "knowreason.testing.oracle",
    "example_data": "knowreason.testing.example_world",
    "example_program": "knowreason.testing.example_world",
}

__all__ = [*_HOMES]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
