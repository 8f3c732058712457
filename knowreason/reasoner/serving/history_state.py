"""A history as a server keeps it, in memory and on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from knowreason.data import Dataset, Vocabulary
from knowreason.data.edges import GraphTables
from knowreason.data.features import FeatureTable, ScoreColumns
from knowreason.errors import ProjectError
from knowreason.grounding.arrays.running_totals import Totals
from knowreason.grounding.arrays.scope_steps import FormulaScopes
from knowreason.grounding.plan.hub_rules import hub_rules
from knowreason.logic import Program
from knowreason.mapped_columns import opened, store
from knowreason.project.manifests import has_manifest, read_manifest, run_folder, write_manifest
from knowreason.reasoner.fitting.fingerprints import differences, program_parts
from knowreason.reasoner.serving.kept_parts import DecidedRows, PartTable, Projection, Shortcuts
from knowreason.reasoner.serving.kept_tables import TABLES, Kept, KeptTable, RowsByValue, ThingNames
from knowreason.reasoner.serving.kept_totals import KeptTotals
from knowreason.reasoner.serving.stored_names import StoredNames

FORMAT = 1
STRUCTURE = "serving.json"
KIND = "serving"  # in the manifest
_CLASSES: dict[str, type[Any]] = {cls.__name__: cls for cls in (FeatureTable, RowsByValue, Totals)}


@dataclass(frozen=True)
class HistoryState:
    """A history as one call sees it; never changed.

    Attributes:
        kept: its tables.
        features: by domain.
        totals: of its counts and sums; ``None`` where all is read.
        shortcuts: what spares reading rows.
    """

    kept: Kept
    features: Mapping[str, FeatureTable]
    totals: KeptTotals | None
    shortcuts: Shortcuts

    @staticmethod
    def of(scopes: FormulaScopes, history: Dataset) -> HistoryState:
        """The state of a data set, sorted as far as it is needed."""
        totals, kept = KeptTotals.of(scopes, history), Kept.of(history)
        return HistoryState(kept, dict(history.features), totals, Shortcuts.of(kept))

    def save(self, folder: Path, *, force: bool = False) -> None:
        """Write it into a folder that appears when it is whole.

        Raises:
            ProjectError: KR914 where something is there, KR924 where it is not ours to replace.
        """
        kept = self.kept
        names = {d: one.whole(kept.counts[d]) for d, one in kept.names.items()}
        content = {
            "tables": [[*key, _table_tree(table)] for key, table in kept.tables.items()],
            "counts": kept.counts,
            "names": {d: pa.table({"name": one}) for d, one in names.items()},
            "checksums": {d: StoredNames.of(one).columns() for d, one in names.items()},
            "enumerated": [d for d in kept.counts if d not in kept.names],
            "label_delay": kept.data.label_delay,
            "has_graph": kept.data.graph is not None,
            "features": self.features,
            "totals": None
            if self.totals is None
            else [[early, late] for _, early, late in self.totals.parts.values()],
            "hubs": [[hub.index, *hub.group] for hub in self.shortcuts.hubs],
            "decided": [
                [*group, [_part_tree(part) for part in (one.undecided, *one.decided)], one.stale]
                for group, one in self.shortcuts.decided.items()
            ],
            "projections": {
                name: [one.name, one.places, _part_tree(one.part)]
                for name, one in self.shortcuts.projections.items()
            },
        }
        with run_folder(folder, replace=force) as partial:
            store(content, partial, STRUCTURE, FORMAT)
            made_of = program_parts(kept.program)
            write_manifest(partial, {"kind": KIND, "made_of": made_of})

    @staticmethod
    def opened(scopes: FormulaScopes, folder: Path) -> HistoryState:
        """What :meth:`save` wrote, memory-mapped.

        Args:
            scopes: of the program, whose declarations, definitions and rules must be those the
                state was made with; models and learned weights may be others.
            folder: of the state.

        Raises:
            ProjectError: KR939 where there is none that fits, or that this version can read; KR960
                for files that are damaged.
        """
        program = scopes.program
        manifest = read_manifest(folder) if has_manifest(folder) else {}
        try:
            if not manifest:
                raise ValueError("its manifest is missing")
            if manifest["kind"] != KIND:
                raise ValueError(f"it holds a {manifest['kind']}")
            differs = differences(program_parts(program), manifest["made_of"])
            if differs:
                raise ValueError(f"it is of other rules: {'; '.join(differs)}")
            return _state(scopes, opened(folder, STRUCTURE, FORMAT, _CLASSES))
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            known = isinstance(error, ValueError) and not isinstance(error, json.JSONDecodeError)
            why = str(error) if known else "a file is missing or damaged"
            raise ProjectError(
                f"`{folder}` holds no serving state that can be opened: {why}",
                code="KR939",
                help="`reasoner.serve(history).save(folder)` writes one",
            ) from error


def _state(scopes: FormulaScopes, stored: Mapping[str, Any]) -> HistoryState:
    program = scopes.program
    counts, members = stored["counts"], {d.name: d.members for d in program.domains}
    tables = {(kind, name): _table(tree) for kind, name, tree in stored["tables"]}
    names, vocabularies = {}, {}
    for domain in counts:
        if domain in stored["enumerated"]:
            own = pa.array(members[domain], pa.string())
        else:
            column = stored["names"][domain].column(0)
            own = column.chunk(0) if column.num_chunks else pa.array([], pa.string())
            found = StoredNames(own, *stored["checksums"][domain])
            names[domain] = ThingNames(own, [], found)
        vocabularies[domain] = Vocabulary(domain, own, domain in stored["enumerated"])
    began = _nothing_of(program, vocabularies, tables, stored)
    kept = Kept(program, tables, counts, began, names)
    totals = None
    if stored["totals"] is not None:
        parts = zip(KeptTotals.shapes(scopes), stored["totals"], strict=True)
        totals = KeptTotals(scopes, {id(shape): (shape, *pair) for shape, pair in parts})
    decided = {}
    for *group, parts, stale in stored["decided"]:
        undecided, *known = (_part(part) for part in parts)
        decided[tuple(group)] = DecidedRows(undecided, (known[0], known[1]), stale)
    hubs = tuple(
        next(hub for hub in hub_rules(program, index) if hub.group == tuple(group))
        for index, *group in stored["hubs"]
    )
    projections = {
        name: Projection(table, tuple(places), _part(part))
        for name, (table, places, part) in stored["projections"].items()
    }
    return HistoryState(kept, stored["features"], totals, Shortcuts(hubs, decided, projections))


def _nothing_of(
    program: Program,
    vocabularies: Mapping[str, Vocabulary],
    tables: Mapping[tuple[str, str], KeptTable],
    stored: Mapping[str, Any],
) -> Dataset:
    """A data set without rows: what a history began with beside its rows."""
    empty: dict[str, Any] = {kind: {} for kind in (*TABLES, "scores")}
    for (kind, name), table in tables.items():
        empty[kind][name] = table.early.slice(0, 0)
    scores = empty.pop("scores")
    arity = {name: len(program.sorts_of(name)) for name in scores}
    return Dataset(
        program=program,
        vocabularies=vocabularies,
        **empty,
        hidden={},
        scores={n: ScoreColumns(np.zeros((0, arity[n]), np.int32), {}) for n in scores},
        graph=GraphTables(()) if stored["has_graph"] else None,
        label_delay=stored["label_delay"],
    )


def _table_tree(table: KeptTable) -> dict[str, Any]:
    made = {" ".join(map(str, places)): own for places, own in table.indexes.made.items()}
    return {
        "early": table.early,
        "late": table.late,
        "of_things": table.of_things,
        "sorted": made,
    }


def _table(tree: Mapping[str, Any]) -> KeptTable:
    made = KeptTable.of(tree["early"], tree["of_things"])
    for places, rows in tree["sorted"].items():
        made.indexes.made[tuple(map(int, places.split()))] = rows
    return made.plus(tree["late"]) if tree["late"].num_rows else made


def _part_tree(part: PartTable) -> list[Any]:
    return [_table_tree(part.table), part.whole]


def _part(tree: Iterable[Any]) -> PartTable:
    table, whole = tree
    return PartTable(_table(table), whole)
