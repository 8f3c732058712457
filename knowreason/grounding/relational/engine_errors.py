"""What an engine refuses, in the words of the program: which statement, which numbers, whose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from knowreason.data.encoded_tables import EncodedTables
from knowreason.data.engine.relational_engine import EngineError
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.diagnostics import Diagnostic, Span
from knowreason.errors import GroundingError
from knowreason.logic import INTEGER_SORTS, Formula, Program, Term
from knowreason.logic.canonical_text import ground_atom_text
from knowreason.logic.traversal import names_in

_NUMBER = re.compile(r"(?<![\w.+])(-?\d{4,})(?![\d.e+])")
_OPERATION = re.compile(r"\((-?\d+ [-+*] -?\d+)\)")


@dataclass(frozen=True)
class Evaluated:
    """What is being evaluated: ``definition `total```, its terms and formulas, and its place."""

    title: str
    parts: tuple[Term | Formula, ...] = ()
    span: Span | None = None


def engine_error(
    error: EngineError, statement: Evaluated, program: Program, data: EncodedTables
) -> GroundingError:
    """The error to raise for an engine's: which statement, which numbers, whose.

    Args:
        error: of the engine, or of histories.
        statement: what was evaluated.
        program, data: where the attributes it speaks of are looked up.
    """
    first = str(error).splitlines()[0]
    code, help = "KR603", "if memory and disk are not full, please report this as a fault"
    if error.kind == "range":
        found = _OPERATION.search(first) or _NUMBER.search(first.replace("INT128", ""))
        number = found.group(1) if found else "a number"
        message = f"{number} does not fit into 64 bits"
        whose = _whose(statement.parts, program, data, set(_NUMBER.findall(message)))
        message += f" ({whose})" if whose else ""
        code, help = (
            "KR606",
            "use a larger unit (thousands, hours), or a `float` attribute",
        )
    elif error.kind == "memory":
        message = "it needs more memory than it may have, and has no room to spill to"
        help = "raise `memory_limit`, or narrow what it ranges over"
    else:
        message = f"the relational engine stopped: {first}"
    text = f"{statement.title}: {message}"
    finding = Diagnostic(code, text, span=statement.span, help=help)
    return GroundingError(diagnostics=(finding,))


def _whose(
    parts: Sequence[Term | Formula], program: Program, data: EncodedTables, numbers: set[str]
) -> str:
    """``n("anna") = 9223372036854775806``: the value that is told, else the one furthest from 0."""
    bodies = {definition.name: definition.body for definition in program.definitions}
    names: dict[str, None] = {}
    pending = list(parts)
    while pending:
        new = [name for name in sorted(names_in(pending.pop())) if name not in names]
        names |= dict.fromkeys(new)
        pending += [bodies[name] for name in new if name in bodies]
    furthest = 0, ""
    for attribute in program.attributes:
        if attribute.name not in names or attribute.sort not in INTEGER_SORTS:
            continue
        table: pa.Table = data.attributes[attribute.name]
        values = table[VALUE]
        told = [int(number) for number in numbers if abs(int(number)) < 2**63]
        extremes = [v for v in pc.min_max(values).as_py().values() if v is not None]
        for value in (*told, *extremes):
            row = pc.index(values, value).as_py()
            if row < 0:
                continue
            things = [
                data.vocabularies[sort].name(column[row])
                for sort, column in zip(attribute.sorts, id_columns(table), strict=True)
            ]
            shown = f"{ground_atom_text(attribute.name, things)} = {value}"
            if value in told:
                return shown
            furthest = max(furthest, (abs(value), shown))
    return furthest[1]
