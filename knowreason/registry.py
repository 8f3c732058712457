"""Named things that others may add to: models, engines, learners, metrics, templates.

A module of one's own registers with the decorator when it is imported; a package that is
installed names its things in ``pyproject.toml`` under the registry's group of entry points
(``[project.entry-points."knowreason.models"]``), and they are loaded when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from knowreason.errors import UnknownNameError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things, filled by a decorator and, lazily, by entry points.

    Args:
        what: what is registered, for messages (``"model"``).
        entry_point_group: group other packages register under; read at the first
            look-up that needs it, each entry loaded only when asked for.
        lazy: names of our own that are loaded when asked for, as ``"module:attribute"``.
    """

    def __init__(
        self,
        what: str,
        entry_point_group: str | None = None,
        lazy: Mapping[str, str] | None = None,
    ) -> None:
        self.what = what
        self._things: dict[str, T] = {}
        self._group = entry_point_group
        self._lazy = dict(lazy or {})
        self._entry_points: dict[str, EntryPoint] | None = None

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that registers what it decorates.

        Raises:
            ValueError: when the name is taken by something else.
        """

        def add(thing: T) -> T:
            taken = self._things.get(name)
            if name in self._lazy:
                raise ValueError(f"a {self.what} named `{name}` is built in")
            if taken is not None and getattr(taken, "__qualname__", None) != getattr(
                thing, "__qualname__", None
            ):
                raise ValueError(f"a {self.what} named `{name}` is registered already")
            self._things[name] = thing
            return thing

        return add

    def __getitem__(self, name: str) -> T:
        """The thing of that name; raises :class:`UnknownNameError` with the nearest name."""
        if name not in self._things:
            self.require(name)
            self._things[name] = self._points()[name].load()
        return self._things[name]

    def require(self, name: str) -> None:
        """Raise as a look-up does where nothing has the name; loads nothing."""
        if name not in self:
            raise UnknownNameError(
                f"no {self.what} is registered as `{name}`",
                code="KR801",
                help=did_you_mean(name, self) or f"registered: {', '.join(self)}",
            )

    def __contains__(self, name: object) -> bool:
        return name in self._things or name in self._points()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._things, *self._points()}))

    def _points(self) -> dict[str, EntryPoint]:
        if self._entry_points is None:
            points = entry_points(group=self._group) if self._group else ()
            own = {n: EntryPoint(n, value, self._group or "") for n, value in self._lazy.items()}
            self._entry_points = {point.name: point for point in points} | own
        return self._entry_points
