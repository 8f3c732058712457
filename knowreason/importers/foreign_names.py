"""Names of other systems as names of the rule language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

from knowreason import logic as lg
from knowreason.lang.syntax.grammar import SOFT_WORDS, grammar
from knowreason.logic.traversal import Node

N = TypeVar("N", bound=Node)
_WORD = re.compile(r"\w+")


@dataclass
class ForeignNames:
    """Gives each foreign name one of ours, and never two names the same.

    Predicates and domains begin with a capital letter, attributes and variables with a small one.

    >>> names = ForeignNames()
    >>> names.of("predicate", "/people/born"), names.of("domain", "author")
    ('PeopleBorn', 'Author')
    >>> names.of("predicate", "Author"), names.of("variable", "in'")
    ('Author2', 'in_')
    """

    given: dict[tuple[str, str], str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def of(self, kind: Literal["predicate", "domain", "attribute", "variable"], name: str) -> str:
        """Our name for it, the same whenever it is asked for."""
        if (kind, name) not in self.given:
            self.given[kind, name] = self._new(kind, name)
        return self.given[kind, name]

    def changed(self, kind: str) -> Iterator[tuple[str, str]]:
        """Names of a kind that had to become others."""
        return ((old, new) for (k, old), new in self.given.items() if k == kind and old != new)

    def _new(self, kind: str, name: str) -> str:
        words = _WORD.findall(name) or ["x"]
        if kind == "variable":
            ours = "_".join(words)
            ours = ours if ours[0].isalpha() else f"v{ours}"
            ours = ours[0].lower() + ours[1:]
            return f"{ours}_" if ours in grammar().reserved | SOFT_WORDS else ours
        joined = "".join(word[0].upper() + word[1:] for word in words)
        joined = joined if joined[0].isalpha() else f"P{joined}"
        ours = joined[0].lower() + joined[1:] if kind == "attribute" else joined
        number, base = 2, ours
        while ours.lower() in self._taken or ours in grammar().reserved:
            ours, number = f"{base}{number}", number + 1
        self._taken.add(ours.lower())
        return ours

    def renamed(self, node: N) -> N:
        """A formula or term under our names."""
        changed: dict[str, Any] = {
            part.name: self._part(getattr(node, part.name))
            for part in fields(node)
            if part.name != "span"
        }
        if isinstance(node, lg.Atom):
            changed["predicate"] = self.of("predicate", node.predicate)
        elif isinstance(node, lg.AttributeTerm):
            changed["name"] = self.of("attribute", node.name)
        elif isinstance(node, lg.Variable):
            changed["name"] = self.of("variable", node.name)
        return replace(node, **changed)

    def _part(self, part: Any) -> Any:
        if isinstance(part, tuple):
            return tuple(self._part(one) for one in part)
        return self.renamed(part) if isinstance(part, Node) else part
