"""Changes of a data set, written as facts files are: ``amount("p1") = 20``, ``!Pays("p1", _)``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.data.id_tables import VALUE, id_columns
from knowreason.errors import ProjectError
from knowreason.lang import parse_facts
from knowreason.logic import VALUE_SORTS, Program, Value
from knowreason.logic.canonical_text import ground_atom_text, value_text

ANY = "_"
_BARE = re.compile(r'(?<![\w".])([A-Za-z_]\w*)(?=\s*[,)])')  # p1 in amount(p1)
_WORD = re.compile(r"(=\s*)((?!(?:true|false)\b)[A-Za-z_]\w*|\d{4}-\d\d-\d\d[\w:.+-]*)\s*$")


@dataclass(frozen=True)
class Edit:
    """One change.

    Attributes:
        name: of an observed predicate, an attribute or a query predicate.
        things: names, ``_`` for any.
        value: whether the atom holds, or the attribute's new value.
    """

    name: str
    things: tuple[str, ...]
    value: Value

    def text(self, program: Program) -> str:
        """As it is written.

        >>> import knowreason as kr
        >>> Edit("size", ("n1",), 2.0).text(kr.testing.example_program())
        'size("n1") = 2.0'
        """
        attribute = next((a for a in program.attributes if a.name == self.name), None)
        atom = ground_atom_text(self.name, self.things).replace(f'"{ANY}"', ANY)
        if attribute is None:
            return atom if self.value else f"!{atom}"
        return f"{atom} = {value_text(self.value, attribute.sort, program.zone)}"


def parse_edit(program: Program, text: str) -> Edit:
    """The change that a text says; names need no quotes.

    Raises:
        ProgramError: where it is no statement of a facts file.
        ProjectError: KR941 for several statements.

    >>> import knowreason as kr
    >>> parse_edit(kr.testing.example_program(), "!Near(n1, _)")
    Edit(name='Near', things=('n1', '_'), value=False)
    """
    quoted = _WORD.sub(r'\1"\2"', _BARE.sub(r'"\1"', text))
    facts = parse_facts(program, quoted, "<change>")
    stated = [*facts.atoms, *facts.values]
    if len(stated) != 1:
        raise ProjectError(f"`{text}` is not one change", code="KR941", help=HELP)
    name, things, value, _ = stated[0]
    return Edit(name, things, value)


HELP = 'such as \'amount("p1") = 20\' or \'!Pays("p1", _, "t2")\', one each'


def ids_of(data: Dataset, edit: Edit) -> list[int]:
    """Ids of the things of a change, -1 for any; raises :class:`DataError` KR509 for one that is
    not there."""
    sorts = data.program.sorts_of(edit.name)
    return [
        -1 if name == ANY else data.vocabularies[sort].id(name)
        for name, sort in zip(edit.things, sorts, strict=True)
    ]


def edited(data: Dataset, edit: Edit) -> Dataset:
    """The data set with one change; what is said of a query predicate is its label.

    Raises:
        DataError: KR509 for a thing that the data do not have.
        ProjectError: KR941 for what cannot be changed: a definition, or a fact about `_`.
    """
    program, ids = data.program, ids_of(data, edit)
    if ANY in edit.things and edit.value is not False:
        said = f"`{edit.text(program)}` does not say which things"
        raise ProjectError(said, code="KR941", help=HELP)
    attribute = next((a for a in program.given_attributes if a.name == edit.name), None)
    if attribute is not None:
        table = data.attributes[edit.name]
        value: object = edit.value
        if attribute.sort not in VALUE_SORTS:
            value = data.vocabularies[attribute.sort].id(str(edit.value))
        changed = _with(_without(table, ids), ids, value)
        return replace(data, attributes={**data.attributes, edit.name: changed})
    declared = next((p for p in program.predicates if p.name == edit.name), None)
    if declared is None:
        said = f"`{edit.name}` follows from other things and cannot be changed itself"
        raise ProjectError(said, code="KR941", help="change what it is defined by")
    if declared.is_open:
        return _labelled(data, edit.name, ids, bool(edit.value))
    table = data.facts[edit.name]
    several = [ids, ids[::-1]] if declared.symmetric else [ids]
    for row in several:
        table = _without(table, row)
    for row in several[: 1 + (several[0] != several[-1])] if edit.value else ():
        table = _with(table, row, True)
    return replace(data, facts={**data.facts, edit.name: table})


def unlabelled(data: Dataset, predicate: str, ids: Sequence[int]) -> tuple[Dataset, bool | None]:
    """The data set without what is known of one atom (or of all states of its setting), and what
    its label was; ``None`` where there was none."""
    place = data.program.predicate(predicate).functional_position
    wanted = [-1 if i == place else thing for i, thing in enumerate(ids)]
    known: bool | None = None
    left: list[dict[str, Any]] = []
    for tables in (data.labels, data.evidence):
        kept: dict[str, Any] = dict(tables)
        if predicate in kept:
            table = kept[predicate]
            own = _rows(table, list(ids))
            if own.any() and known is None:
                known = bool(table.column(VALUE).filter(pa.array(own))[0].as_py())
            elif _rows(table, wanted).any() and known is None:
                known = False  # another state has it
            kept[predicate] = _without(table, wanted)
        left.append(kept)
    return replace(data, labels=left[0], evidence=left[1]), known


def _labelled(data: Dataset, predicate: str, ids: list[int], truth: bool) -> Dataset:
    data, _ = unlabelled(data, predicate, ids)
    table = _with(data.evidence[predicate], ids, int(truth))
    return replace(data, evidence={**data.evidence, predicate: table})


def _rows(table: pa.Table, ids: Sequence[int]) -> NDArray[np.bool_]:
    """Rows whose ids are those wanted, -1 being any."""
    found = np.ones(table.num_rows, bool)
    for column, wanted in zip(id_columns(table), ids, strict=False):
        if wanted >= 0:
            found &= column == wanted
    return found


def _without(table: pa.Table, ids: Sequence[int]) -> pa.Table:
    return table.filter(pa.array(~_rows(table, ids)))


def _with(table: pa.Table, ids: Sequence[int], value: object) -> pa.Table:
    row = {f"a{place}": [thing] for place, thing in enumerate(ids)}
    rest = [name for name in table.column_names if name not in row]
    made = pa.table({**row, **{name: [value] for name in rest}}).select(table.column_names)
    return pa.concat_tables([table, made.cast(table.schema)]).combine_chunks()
