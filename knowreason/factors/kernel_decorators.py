"""How kernels are compiled: to machine code that is cached, without Python's lock.

numba is imported when the first of them is called: a process that calls none starts without.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, update_wrapper
from typing import TypeVar, cast

import numpy as np

F = TypeVar("F", bound=Callable[..., object])

FEW = 5_000  # atoms up to which a process that compiles nothing else does without: .4 s to start
INTERPRETED = 50_000  # entries of arrays, all in all, that Python goes through in far less time
_LOADED: ContextVar[bool] = ContextVar("loaded", default=False)


class _Kernel:
    """A function that numba compiles at its first call; other kernels may call it as well."""

    interpreted = 0  # entries so far

    def __init__(
        self, function: Callable[..., object], few: bool, options: dict[str, object]
    ) -> None:
        update_wrapper(self, function)
        self._function, self._few, self._options = function, few, options

    @cached_property
    def _dispatcher(self) -> Callable[..., object]:
        from numba import njit

        return cast(Callable[..., object], njit(**self._options)(self._function))  # type: ignore[call-overload]

    def __getattr__(self, name: str) -> object:
        """What numba asks of a function that another calls (``_numba_type_``, its options)."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._dispatcher, name)

    def __call__(self, *arguments: object) -> object:
        if self._few and "numba" not in sys.modules and not are_loaded():
            _Kernel.interpreted += sum(_entries(argument) for argument in arguments)
            if _Kernel.interpreted <= INTERPRETED:
                return self._function(*arguments)
        return self._dispatcher(*arguments)


def _entries(argument: object) -> int:
    if isinstance(argument, tuple):
        return sum(_entries(one) for one in argument)
    return argument.size if isinstance(argument, np.ndarray) else 0


def kernel(*, few: bool = False, **options: object) -> Callable[[F], F]:
    """A decorator: ``numba.njit`` with its options, put off to the first call.

    Args:
        few: whether Python runs the function itself until it has gone through
            :data:`INTERPRETED` entries of arrays, unless numba is there already. For loops over
            entries of the arguments that call no kernel and count on no overflow.
    """

    def decorated(function: F) -> F:
        return cast(F, _Kernel(function, few, options))

    return decorated


compiled = kernel(cache=True, nogil=True, error_model="numpy")
inner = kernel(  # never called from Python: a third of the compile time saved
    cache=True, nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
)


@contextmanager
def kernels_loaded() -> Iterator[None]:
    """A context of calls so many that the time to load compiled code does not matter."""
    token = _LOADED.set(True)
    try:
        yield
    finally:
        _LOADED.reset(token)


def are_loaded() -> bool:
    """Whether compiled code is used however few the atoms, inside :func:`kernels_loaded`."""
    return _LOADED.get()
