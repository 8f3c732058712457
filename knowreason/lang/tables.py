"""The LALR tables that lark builds from ``grammar/knowreason.lark``, in a flat form.

lark reads the grammar and computes the tables; the driver in :mod:`knowreason.lang.parser`
walks them, which halves the time of a large file: most reductions climb the ladder of
operators and need no node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from knowreason.resources import grammar_path

STARTS = ("statement", "facts", "formula")
END = "$END"
STOP = "STOP"  # nothing is left
UNKNOWN = "UNKNOWN"  # a character that begins no token
_COMMON = ("NAME", "LPAR", "RPAR", "COMMA", "AND", "STRING")
STATEMENT_WORDS = (
    "import",
    "domain",
    "observed",
    "query",
    "latent",
    "attribute",
    "define",
    "param",
    "model",
    "rule",
)
SOFT_WORDS = frozenset({"by", "prior", "of"})


@dataclass(frozen=True, slots=True)
class Reduction:
    """Replace ``size`` values by ``origin``; ``action`` is ``None`` where one value stays."""

    origin: str
    size: int
    action: str | None


@dataclass(frozen=True)
class Tables:
    """States of the parser and the words and symbols of the lexer.

    Attributes:
        states: state -> token kind or rule name -> next state (int) or :class:`Reduction`.
        start: start symbol -> first state.
        end: start symbol -> last state.
        pattern: one regular expression for every token; the group's name is its kind.
        words: reserved word -> token kind.
    """

    states: tuple[Mapping[str, int | Reduction], ...]
    start: Mapping[str, int]
    end: Mapping[str, int]
    pattern: re.Pattern[str]
    words: Mapping[str, str]

    @property
    def reserved(self) -> frozenset[str]:
        """Words that cannot be names."""
        return frozenset(self.words) - SOFT_WORDS


@cache
def tables() -> Tables:
    """Build the tables (about 0.1 s, once a process)."""
    from lark import Lark

    lark = Lark(
        grammar_path().read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        start=list(STARTS),
        keep_all_tokens=True,
        maybe_placeholders=False,
    )
    table = lark.parser.parser._parse_table
    reductions: dict[object, Reduction] = {}
    states: list[dict[str, int | Reduction]] = [{} for _ in range(max(table.states) + 1)]
    for state, actions in table.states.items():
        for kind, (action, target) in actions.items():
            shift = action.name == "Shift"
            states[state][str(kind)] = target if shift else _reduction(target, reductions)
    words = {
        terminal.pattern.value: terminal.name
        for terminal in lark.terminals
        if terminal.pattern.type == "str" and terminal.pattern.value[0].isalpha()
    }
    symbols = [terminal for terminal in lark.terminals if terminal.pattern.value not in words]
    symbols.sort(key=lambda t: (-t.priority, -t.pattern.max_width, t.name))
    return Tables(
        states=tuple(states),
        start=dict(table.start_states),
        end=dict(table.end_states),
        pattern=_pattern(symbols, lark.ignore_tokens),
        words=words,
    )


def _reduction(rule: object, known: dict[object, Reduction]) -> Reduction:
    if rule not in known:
        size = len(rule.expansion)  # type: ignore[attr-defined]
        origin = str(rule.origin.name)  # type: ignore[attr-defined]
        passes = size == 1 and rule.alias is None and rule.options.expand1  # type: ignore[attr-defined]
        action = None if passes else str(rule.alias or origin)  # type: ignore[attr-defined]
        known[rule] = Reduction(origin, size, action)
    return known[rule]


def _pattern(symbols: list, ignored: list[str]) -> re.Pattern[str]:  # type: ignore[type-arg]
    """What is skipped, then one token; the commonest tokens are tried first.

    These share their first character with no other token, so their place does not matter.
    """
    skipped = "|".join(t.pattern.to_regexp() for t in symbols if t.name in ignored)
    kept = [t for t in symbols if t.name not in ignored]
    kept.sort(key=lambda t: t.name not in _COMMON)
    known = "|".join(f"(?P<{t.name}>{t.pattern.to_regexp()})" for t in kept)
    return re.compile(rf"(?:{skipped})*+(?:{known}|(?P<{STOP}>\Z)|(?P<{UNKNOWN}>.))", re.DOTALL)
