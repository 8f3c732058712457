"""How kernels are compiled: to machine code that is cached, without Python's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., object])

compiled = njit(cache=True, nogil=True, error_model="numpy")
inner: Callable[[F], F] = njit(  # never called from Python: a third of the compile time saved
    cache=True, nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
)  # type: ignore[call-overload]  # numba's stubs do not know the last two options

FEW = 5_000  # atoms up to which a process that compiles nothing else does without: .4 s to start
_LOADED: ContextVar[bool] = ContextVar("loaded", default=False)


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
