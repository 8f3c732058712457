"""Variables that a definition mentions inside of one aggregate only: for some such thing.

``count { x : F(x, y) }`` counts each ``x`` for which there is a ``y``.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

from knowreason.lang.syntax import nodes as sx


@dataclass
class ImpliedBinders:
    """A definition with ``exists`` written where it is understood.

    A variable that stands in the body of one aggregate (or in one formula of a counted list, or
    one of a ``rate``) and nowhere else, neither counted nor an argument, is bound there, in the
    innermost one. One that stands in several is each time another one in a definition of a value,
    and one for the whole in a definition of a predicate, which binds it as what stands outside.

    Attributes:
        statement: the definition.
        parameters: names that ``param`` declares, which are no variables.
        added: the binders that were not written.
    """

    statement: sx.DefineStatement
    parameters: Collection[str]
    added: list[sx.Quantified] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = {*self.parameters, *(name.text for name in self.statement.parameters)}
        body = self._level(self.statement.body, frozenset(known), binds=False)
        if self.added:
            self.statement = replace(self.statement, body=body)

    def _level(self, node: sx.Expression, known: frozenset[str], *, binds: bool) -> sx.Expression:
        """An expression in which each variable is bound where it belongs."""
        sites: dict[str, set[Hashable]] = {}
        first: dict[str, sx.Name] = {}
        for name, site in _occurrences(node, known, None):
            sites.setdefault(name.text, set()).add(site)
            first.setdefault(name.text, name)
        apart = not binds and not self.statement.name.text[0].isupper()
        own = [n for n, at in sites.items() if None in at or (len(at) > 1 and not apart)]
        closed = cast(sx.Expression, self._rebuilt(node, known.union(own)))
        if not (binds and own):
            return closed
        names = tuple(first[name] for name in own)
        self.added.append(sx.Quantified("exists", names, closed, node.span))
        return self.added[-1]

    def _rebuilt(self, node: object, known: frozenset[str]) -> object:
        if not hasattr(node, "span") or isinstance(node, sx.Name):
            return node
        if isinstance(node, sx.Quantified):
            known = known.union(name.text for name in node.names)
        inside = known.union(_counted(node)) if isinstance(node, sx.AggregateNode) else known
        changed: dict[str, Any] = {}
        for part in fields(cast(Any, node)):
            before = getattr(node, part.name)
            if part.name == "span" or before is None:
                continue
            scope = inside if part.name in _INSIDE else known
            many = before if isinstance(before, tuple) else (before,)
            after: tuple[object, ...]
            if _is_site(node, part.name):
                after = tuple(self._level(one, scope, binds=True) for one in many)
            else:
                after = tuple(self._rebuilt(one, scope) for one in many)
            if any(one is not other for one, other in zip(many, after, strict=True)):
                changed[part.name] = after if isinstance(before, tuple) else after[0]
        return replace(cast(Any, node), **changed) if changed else node


_INSIDE = ("body", "value", "by")  # of an aggregate; the rest is seen from outside of it


def _counted(node: sx.AggregateNode) -> set[str]:
    return {name.text for name in node.bound if isinstance(name, sx.Name)}


def _is_site(node: object, part: str) -> bool:
    """Whether a part is a formula that is asked of each counted setting."""
    if isinstance(node, sx.AggregateNode):
        return part == "body" or (part == "value" and node.kind == "rate")
    return isinstance(node, sx.CountListNode)


def _occurrences(
    node: object, known: frozenset[str], site: Hashable
) -> Iterator[tuple[sx.Name, Hashable]]:
    """Variables that nothing binds yet, each with the outermost site around it."""
    if isinstance(node, sx.Name):
        if node.text not in known and not node.text[0].isupper():
            yield node, site
        return
    if isinstance(node, sx.Quantified):
        known = known.union(name.text for name in node.names)
        yield from _occurrences(node.body, known, site)
        return
    if not hasattr(node, "span"):
        return
    inside = known.union(_counted(node)) if isinstance(node, sx.AggregateNode) else known
    for part in fields(cast(Any, node)):
        value = getattr(node, part.name)
        if part.name in ("span", "bound") or (isinstance(node, sx.Named) and part.name == "name"):
            continue
        scope = inside if part.name in _INSIDE else known
        for place, one in enumerate(value if isinstance(value, tuple) else (value,)):
            here = site
            if here is None and _is_site(node, part.name):
                here = (id(node), part.name, place)
            yield from _occurrences(one, scope, here)
