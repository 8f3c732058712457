"""A data set with synthetic things in it, for training only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from knowreason.data.edges import Edges, GraphTables
from knowreason.data.features import FeatureTable
from knowreason.data.id_tables import VALUE, id_table
from knowreason.data.vocabulary import Vocabulary
from knowreason.logic import Argument, Attribute, Predicate, Program

if TYPE_CHECKING:
    from knowreason.data import Dataset

Ids = NDArray[np.int32]
WHOLE = r"^-?[0-9]{1,17}$"


@dataclass(frozen=True, eq=False)
class NewEdges:
    """Edges of one relation with a synthetic thing at one end or both.

    Attributes:
        relation: position in ``data.graph.relations``.
        source, target: ``int32[m]`` ids; synthetic things are numbered after the real ones.
        template: ``int64[m]``, an edge of the relation to take features from.
        time: ``float64[m]`` in the unit of the relation, ``None`` without times.
    """

    relation: int
    source: Ids
    target: Ids
    template: NDArray[np.int64]
    time: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Synthetic:
    """Things that do not exist, for a predicate of one thing.

    Attributes:
        predicate, domain: the predicate and the domain of its things.
        template: ``int32[s]``, a real thing near each, for all that is not decoded.
        columns: decoded columns, ``s`` rows: those of the domain's feature table, and
            attributes, definitions and observed predicates of one thing by name.
        labels: ``int32[s]``, the state of each (0 or 1 where the predicate is Boolean).
        edges: at most one entry a relation.
        copies: per domain real things of which an unlabelled copy comes after all others; see
            :func:`~knowreason.models.diffusion.copied_surroundings.mirrored`.
    """

    predicate: str
    domain: str
    template: Ids
    columns: FeatureTable
    labels: Ids
    edges: tuple[NewEdges, ...] = ()
    copies: Mapping[str, Ids] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.template)


def enlarged(data: Dataset, synthetic: Synthetic) -> Dataset:
    """The data set with synthetic things added: what any model of the registry is fitted on.

    Things that exist keep their ids, rows and labels. The new ones come after them, out of
    :attr:`Dataset.scope`, each with decoded columns, a visible label and its edges. What is
    not decoded, such as the moment of a thing with a clock, is that of its template; edges
    that are things of a domain make new things there, each like its template edge.

    The program is reduced to what a model reads: the predicate (without ``within``, so that
    the new things are atoms too), facts and attributes. Decoded attributes and definitions
    become attributes of the values decoded for the new things and computed for the real
    ones.
    """
    added = templates_of_added(data, synthetic)
    program, values = _materialised(data, synthetic)
    tables = {
        name: _copied(table, data, added, program, name)
        for source in (data.facts, data.attributes)
        for name, table in source.items()
        if name in _declared(program) and name not in values
    }
    tables = {**tables, **values, **_key_clocks(data, synthetic, tables)}
    attributes = {attribute.name for attribute in program.attributes}
    labels = pa.concat_tables([data.labels[synthetic.predicate], _labels(data, synthetic)])
    return replace(
        data,
        program=program,
        vocabularies={
            **data.vocabularies,
            **{d: _named(data.vocabularies[d], len(rows)) for d, rows in added.items()},
        },
        facts={name: table for name, table in tables.items() if name not in attributes},
        attributes={name: table for name, table in tables.items() if name in attributes},
        evidence={},
        labels={synthetic.predicate: labels.combine_chunks()},
        hidden={},
        features={
            domain: _features(table, added.get(domain), synthetic, domain)
            for domain, table in data.features.items()
        },
        graph=_graph(data, synthetic),
        scope={
            **data.scope,
            **{d: np.append(data.in_scope(d), np.zeros(len(t), bool)) for d, t in added.items()},
        },
    )


def templates_of_added(data: Dataset, synthetic: Synthetic) -> dict[str, Ids]:
    """Per domain the real thing that each added thing is like, in the order of their ids:
    synthetic things, copies of surroundings, things that new edges are."""
    added = {**synthetic.copies, synthetic.domain: _like(synthetic)}
    return added | _new_keys(data, synthetic)


def _like(synthetic: Synthetic) -> Ids:
    """The real thing that each new thing of the predicate's domain is like."""
    copies = synthetic.copies.get(synthetic.domain, np.zeros(0, np.int32))
    return np.concatenate([synthetic.template, copies]).astype(np.int32)


def _new_keys(data: Dataset, synthetic: Synthetic) -> dict[str, Ids]:
    """Per domain whose things are edges, the templates of its new things."""
    templates: dict[str, list[Ids]] = {}
    for new in synthetic.edges:
        edges = _relation(data, new)
        if edges.key_domain is not None and edges.key is not None:
            templates.setdefault(edges.key_domain, []).append(edges.key[new.template])
    return {domain: np.concatenate(parts) for domain, parts in templates.items()}


def _relation(data: Dataset, new: NewEdges) -> Edges:
    assert data.graph is not None
    return data.graph.relations[new.relation]


def _materialised(data: Dataset, synthetic: Synthetic) -> tuple[Program, dict[str, pa.Table]]:
    """The reduced program, and tables of the decoded attributes."""
    program = data.program
    table = data.features.get(synthetic.domain)
    own = () if table is None else table.names
    columns = synthetic.columns
    names = [name for name in columns.names if name not in own]
    argument = (Argument(synthetic.domain),)
    decoded, values = [], {}
    for name in names:
        column = columns.names.index(name)
        texts = columns.categories[column]
        clock = any(a.name == name and a.clock for a in program.attributes)
        if clock:
            continue
        decoded.append(Attribute(name, argument, "float" if texts is None else "string"))
        values[name] = _values(data, synthetic, name, columns.values[:, column], texts)
    predicate = replace(program.predicate(synthetic.predicate), within=None)
    observed: list[Predicate] = [
        p for p in program.predicates if not p.is_open and p.name not in values
    ]
    attributes = [a for a in program.attributes if a.name not in values]
    reduced = Program(
        domains=tuple(
            replace(d, members=None) if d.name == synthetic.domain else d for d in program.domains
        ),
        predicates=(*observed, predicate),
        attributes=(*attributes, *decoded),
    )
    return reduced, values


def _values(
    data: Dataset,
    synthetic: Synthetic,
    name: str,
    new: NDArray[np.float32],
    texts: tuple[str, ...] | None,
) -> pa.Table:
    """Table of an attribute: what is known of the real things, and what was decoded."""
    from knowreason.models.base.feature_columns import looked_up

    count = len(data.vocabularies[synthetic.domain])
    real = looked_up(data, name, np.arange(count, dtype=np.int32)[:, None])
    copied = real.values[_like(synthetic)[len(synthetic) :], 0]
    column = np.concatenate([real.values[:, 0], new, copied]).astype(np.float64)
    there = np.flatnonzero(~np.isnan(column))
    if texts is None:
        return id_table([there.astype(np.int32)], pa.array(column[there]))
    named = pa.array(list(texts), pa.string()).take(pa.array(column[there].astype(np.int64)))
    return id_table([there.astype(np.int32)], named)


def _declared(program: Program) -> set[str]:
    return {p.name for p in program.predicates} | {a.name for a in program.attributes}


def _copied(
    table: pa.Table, data: Dataset, added: Mapping[str, Ids], program: Program, name: str
) -> pa.Table:
    """A table of one argument with the templates' rows again, for the new things."""
    sorts = program.sorts_of(name)
    if len(sorts) != 1 or sorts[0] not in added:
        return table
    count = data.count(sorts[0])
    row_of = np.full(count, -1)
    row_of[table.column("a0").to_numpy()] = np.arange(table.num_rows)
    rows = row_of[added[sorts[0]]]
    there = np.flatnonzero(rows >= 0)
    more = table.take(pa.array(rows[there]))
    ids = pa.array((count + there).astype(np.int32), table.schema.field("a0").type)
    return pa.concat_tables([table, more.set_column(0, "a0", ids)]).combine_chunks()


def _key_clocks(
    data: Dataset, synthetic: Synthetic, tables: Mapping[str, pa.Table]
) -> dict[str, pa.Table]:
    """Clocks of things that are new edges, where they are the edges' own times."""
    changed: dict[str, pa.Table] = {}
    done: dict[str, int] = {}
    for new in synthetic.edges:
        edges = _relation(data, new)
        if edges.key_domain is None:
            continue
        first = data.count(edges.key_domain) + done.get(edges.key_domain, 0)
        done[edges.key_domain] = done.get(edges.key_domain, 0) + len(new.source)
        clock = data.program.clock_of(edges.key_domain)
        if clock is None or new.time is None or clock.sort != edges.time_sort:
            continue
        table = changed.get(clock.name, tables[clock.name])
        ids = table.column("a0").to_numpy()
        value = table.column(VALUE).to_numpy().copy()
        ours = (ids >= first) & (ids < first + len(new.source))
        value[ours] = _as_kind(new.time, value.dtype)[ids[ours] - first]
        changed[clock.name] = table.set_column(1, VALUE, pa.array(value))
    return changed


def _labels(data: Dataset, synthetic: Synthetic) -> pa.Table:
    """Label rows of the new things, in the columns of the predicate's label table."""
    declared = data.program.predicate(synthetic.predicate)
    things = data.count(synthetic.domain) + np.arange(len(synthetic), dtype=np.int32)
    position = declared.functional_position
    columns = [things] if position is None else [things, things]
    value = synthetic.labels.astype(np.int8)
    if position is not None:
        columns[position] = synthetic.labels
        value = np.ones(len(synthetic), np.int8)
    labels: pa.Table = data.labels[synthetic.predicate]
    return id_table(columns, pa.array(value)).cast(labels.schema)


def _named(vocabulary: Vocabulary, count: int) -> Vocabulary:
    names = new_names(vocabulary, count)
    joined = pa.concat_arrays([vocabulary.names.cast(pa.string()), names])
    return Vocabulary(vocabulary.domain, joined)


def new_names(vocabulary: Vocabulary, count: int) -> pa.StringArray:
    """``count`` names that a domain does not have: further numbers where all its names are
    whole numbers (columns of them stay columns of them), else ``synthetic 0`` and so on."""
    if len(vocabulary) and pc.all(pc.match_substring_regex(vocabulary.names, WHOLE)).as_py():
        first = 1 + pc.max(vocabulary.names.cast(pa.int64())).as_py()
        return pa.array(np.arange(first, first + count)).cast(pa.string())
    prefix = "synthetic "
    while pc.any(pc.starts_with(vocabulary.names, prefix)).as_py():
        prefix = "_" + prefix
    return pa.array([f"{prefix}{number}" for number in range(count)], pa.string())


def _features(
    table: FeatureTable, template: Ids | None, synthetic: Synthetic, domain: str
) -> FeatureTable:
    if template is None:
        return table
    new = table.values[template]
    if domain == synthetic.domain:
        new[: len(synthetic)] = synthetic.columns.select(table.names).values
    return replace(table, values=np.concatenate([table.values, new]).astype(np.float32))


def _graph(data: Dataset, synthetic: Synthetic) -> GraphTables | None:
    if data.graph is None:
        return None
    more = {new.relation: new for new in synthetic.edges}
    done: dict[str, int] = {}
    relations = []
    for number, edges in enumerate(data.graph.relations):
        if number not in more:
            relations.append(edges)
            continue
        new, key = more[number], None
        copies = edges.features.take(new.template).values
        if edges.key_domain is not None and edges.key is not None:
            first = data.count(edges.key_domain) + done.get(edges.key_domain, 0)
            done[edges.key_domain] = done.get(edges.key_domain, 0) + len(new.source)
            fresh = first + np.arange(len(new.source), dtype=np.int32)
            key = np.concatenate([edges.key, fresh])
        relations.append(
            replace(
                edges,
                source=np.concatenate([edges.source, new.source]).astype(np.int32),
                target=np.concatenate([edges.target, new.target]).astype(np.int32),
                key=key,
                time=_times(edges, new),
                features=replace(
                    edges.features, values=np.concatenate([edges.features.values, copies])
                ),
            )
        )
    return GraphTables(tuple(relations))


def _times(edges: Edges, new: NewEdges) -> NDArray[np.int64] | NDArray[np.float64] | None:
    if edges.time is None:
        return None
    time = edges.time[new.template] if new.time is None else new.time
    return np.concatenate([edges.time, _as_kind(time, edges.time.dtype)])


def _as_kind(
    time: NDArray[np.generic], kind: np.dtype[np.generic]
) -> NDArray[np.int64] | NDArray[np.float64]:
    """Times in the number type of a column, rounded where it is whole."""
    if np.issubdtype(kind, np.integer):
        whole: NDArray[np.int64] = np.rint(time).astype(np.int64)
        return whole
    return time.astype(np.float64)
