"""Packages that are called like the function they are named after.

``knowreason.infer`` is a package and ``kr.infer(graph)`` its main function. Python sets a
package's attribute to the subpackage as soon as that is imported, so the name cannot stay
the function: the subpackage is made callable instead.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def call_as(module: str, function: Callable[..., Any]) -> None:
    """Make calling an imported module call a function of it."""
    kind = type(
        "CallableModule",
        (ModuleType,),
        {"__call__": staticmethod(function), "__doc__": function.__doc__},
    )
    sys.modules[module].__class__ = kind
