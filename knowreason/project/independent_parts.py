"""A project's data in parts that know nothing of each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from warnings import catch_warnings, simplefilter, warn

from knowreason.data import Dataset
from knowreason.data.binding.id_coverage import KINDS, of_a_part
from knowreason.data.binding.table_parts import Dealt, KeyLookup, TableParts
from knowreason.errors import DataWarning, ProjectError
from knowreason.grounding.plan.partition_key import Owner, PartitionKey, partition_keys
from knowreason.logic import Program
from knowreason.project.binding_faults import column_faults, name_faults, raise_faults
from knowreason.project.project_tables import (
    bound,
    label_tables,
    moved_tables,
    text_columns,
    with_known_labels,
)
from knowreason.project.schema import EngineSection, Project, TableBinding


@dataclass(frozen=True)
class IndependentParts:
    """Data sets of a project, one a part, each read when it is asked for.

    Attributes:
        program: what they are bound to.
        key: by what rows are divided.
        count: number of parts.
        wanted: those that are read.
    """

    program: Program
    key: PartitionKey
    count: int
    wanted: tuple[int, ...]
    project: Project  # of whose tables there is one a key
    tables: TableParts

    def __iter__(self) -> Iterator[Dataset]:
        for part in self.wanted:
            yield self.data(part)

    def data(self, part: int, engine: EngineSection | None = None) -> Dataset:
        """One part; joined by another engine than the project's where one is given."""
        project = self.project if engine is None else replace(self.project, engine=engine)
        with catch_warnings(), of_a_part(*KINDS):  # what one part lacks may stand in another
            simplefilter("ignore", DataWarning)
            data = bound(project, self.program, self.tables.read(part))
        for finding in data.warnings:
            if finding.code == "KR534":  # rows that are in no other part
                warn(DataWarning(finding), stacklevel=2)
        return data


@contextmanager
def independent_parts(
    project: Project,
    program: Program,
    directory: Path | None = None,
    *,
    count: int = 0,
    most: int = 0,
) -> Iterator[IndependentParts]:
    """The data of a project in parts.

    Args:
        project: where tables are and what they fill.
        program: what they are bound to.
        directory: as :func:`knowreason.project.project_tables.load_data` has it.
        count: how many; ``[engine] partitions`` when 0.
        most: so many of them at most, evenly spread; all when 0.

    Raises:
        ProjectError: KR938 where the program or its data do not fall into parts, saying why.
        DataError: for a table that does not fit.
    """
    raise_faults(name_faults(project, program))
    keys, refused = partition_keys(program)
    if project.graph.edges:
        keys, refused = [], ["graph models read whole graphs"]
    sources = project.tables if directory is None else moved_tables(project, directory)
    optional = () if directory is None else label_tables(project, program)
    there = {
        name: source
        for name, source in sources.items()
        if name not in optional or source.path is None or source.files()
    }
    count = count or project.engine.partitions
    shared = project.engine.directory if project.engine.kind == "spark" else ""
    if shared and not Path(shared).is_dir():
        raise ProjectError(
            f"parts go through a folder that all machines see, and `{shared}` is none",
            code="KR938",
            help="`[engine] directory`: an existing folder, not an address",
        )
    with TableParts(
        there,
        count,
        memory_limit=project.memory_limit,
        threads=project.infer.threads,
        directory=shared,
        texts=text_columns(project),
        zone=project.time.zone,
    ) as tables:
        heads = tables.heads()
        known = project if directory is None else with_known_labels(project, program, heads)
        raise_faults(column_faults(known, {name: t.column_names for name, t in heads.items()}))
        for key in keys:
            why = _several(tables, known, key)
            if why:
                refused.append(f"by `{key.domain}`: {why}")
                continue
            dealt, renamed = _dealt(known, program, key)
            shown = min(most or count, count)
            wanted = tuple(place * count // shown for place in range(shown))
            tables.deal(dealt, wanted)
            yield IndependentParts(program, key, count, wanted, renamed, tables)
            return
    raise ProjectError(
        f"the run does not fall into {count} parts: {'; '.join(refused)}",
        code="KR938",
        help="leave `[engine] partitions` out",
    )


def _several(tables: TableParts, project: Project, key: PartitionKey) -> str:
    """Why things do not belong to one thing of the key each; empty where they do."""
    for domain, owners in key.owners.items():
        for owner in owners:
            if owner.relation not in project.bind:
                return f"there are no rows of `{owner.relation}`"
        thing = tables.belongs_to_several({_lookup(project, owner) for owner in owners})
        if thing is not None:
            names = " and ".join(f"`{owner.relation}`" for owner in owners)
            return f"`{domain}` {thing} is of several `{key.domain}` in {names}"
    return ""


def _lookup(project: Project, owner: Owner) -> KeyLookup:
    binding = project.bind[owner.relation]
    columns = (*binding.columns, binding.value or "")
    return KeyLookup(binding.table, columns[owner.thing], columns[owner.key])


def _dealt(
    project: Project, program: Program, key: PartitionKey
) -> tuple[dict[str, Dealt], Project]:
    """How tables are dealt, and the project with a table for each way of it."""
    found: dict[str, Dealt] = {}

    def named(table: str, columns: tuple[str | None, ...], sort: str = "", of: str = "") -> str:
        """Name of a table dealt by the column ``of``, which names things of ``sort``."""
        looks = [_lookup(project, owner) for owner in key.owners.get(sort, ())]
        lookup = looks[0] if looks else None
        for one in looks:
            if (table, of) == (one.table, one.thing):
                of, lookup = one.key, None
        name = f"{table} by {of}" if of else table
        before = found[name].columns if name in found else ()
        used = tuple(dict.fromkeys([*before, *(c for c in columns if c is not None)]))
        found[name] = Dealt(table, used, of or None, lookup)
        return name

    def of_place(name: str, columns: tuple[str, ...]) -> tuple[str, str]:
        if name not in key.places:
            return "", ""
        place = key.places[name]
        return program.sorts_of(name)[place], columns[place]

    bind: dict[str, TableBinding] = {}
    for name, one in project.bind.items():
        columns = (*one.columns, one.value, one.label, one.weight, one.evidence)
        bind[name] = replace(one, table=named(one.table, columns, *of_place(name, one.columns)))
    scores = {
        name: replace(
            one, table=named(one.table, (*one.key, *one.columns), *of_place(name, one.key))
        )
        for name, one in project.scores.items()
    }

    def of_things(domain: str, column: str) -> tuple[str, ...]:
        return (domain, column) if domain == key.domain or domain in key.owners else ()

    features = {
        domain: replace(
            one, table=named(one.table, (one.key, *one.columns), *of_things(domain, one.key))
        )
        for domain, one in project.features.items()
    }
    domains = {
        domain: replace(one, table=named(one.table, (one.key,), *of_things(domain, one.key)))
        for domain, one in project.domains.items()
    }
    return found, replace(project, bind=bind, scores=scores, features=features, domains=domains)
