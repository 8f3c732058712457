"""What a fit was made on and with, part by part, so that what differs later can be named."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data import Dataset
from knowreason.data.arrow_types import ArrowTable
from knowreason.data.edges import Edges
from knowreason.data.features import FeatureTable
from knowreason.logic import Program
from knowreason.logic.canonical_text import statement_text
from knowreason.logic.declarations import Parameter, Statement
from knowreason.logic.time_zones import UTC_ZONE
from knowreason.logic.traversal import names_in
from knowreason.models import KnowledgeModel
from knowreason.models.base.label_rows import row_groups
from knowreason.models.base.model_protocol import options_of
from knowreason.models.base.model_storage import describe
from knowreason.models.base.predicate_rows import rows_of
from knowreason.reasoner.labels.fold_groups import TIES
from knowreason.version import __version__

Fingerprint = Mapping[str, str]
DIGEST = "#"  # begins values that a message does not repeat
GROUPS = "groups: "
ORDER = "order of statements"
LIBRARIES = ("numpy", "scikit-learn", "torch", "torch_geometric")
OURS = ("data", "factors", "models")  # packages whose code decides what a fitted model is
_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_SHOWN = 40  # longest value that a message repeats


def differences(now: Fingerprint, before: Fingerprint) -> tuple[str, ...]:
    """What differs between two fingerprints, one phrase a part; empty where nothing does.

    >>> differences({"seed": "1", "labels of `Bad`": "#a"}, {"seed": "0", "labels of `Bad`": "#b"})
    ('seed is 1, was 0', 'labels of `Bad` changed')
    """
    found = tuple(
        _difference(part, now.get(part), before.get(part))
        for part in dict.fromkeys((*before, *now))
        if part != ORDER and now.get(part) != before.get(part)
    )
    return found or ((f"{ORDER} changed",) if now.get(ORDER) != before.get(ORDER) else ())


def _difference(part: str, now: str | None, before: str | None) -> str:
    ties = " (rules decide which, unless `clusters` does)" if part == GROUPS + TIES else ""
    if now is None or before is None:
        return f"{part} {'is gone' if now is None else 'is new'}{ties}"
    if now.startswith(DIGEST) or max(len(now), len(before)) > _SHOWN:
        return f"{part} changed{ties}"
    return f"{part} is {now}, was {before}"


@dataclass
class DataParts:
    """Fingerprints of the parts of a data set; each part is read once.

    Args:
        data: the data set.
    """

    data: Dataset
    _found: dict[str, str] = field(default_factory=dict)

    def of_program(self) -> dict[str, str]:
        """What a grounding without models depends on: statements, facts, labels."""
        parts = program_parts(self.data.program) | self._zone()
        parts |= self._once("things asked about", *_flat(self.data.scope))
        return parts | self._relations() | self._labels_of(self.data.hidden, "hidden labels")

    def of_model(self, model: KnowledgeModel, predicate: str) -> dict[str, str]:
        """What a fit of the model for the predicate reads: its rows and their labels, and either
        what its options name or, for a model that may read anything, everything."""
        program = self.data.program
        parts = self._rows(predicate) | self._zone()
        if all(kind.reads == "named" for kind in kinds_of(model)):
            clocks = {attribute.name for attribute in program.attributes if attribute.clock}
            return parts | self._named(clocks.union(texts_in(model)), predicate)
        parts |= _statements(*program.definitions, *program.parameters)
        for domain in self.data.features:
            parts |= self._features(domain)
        for scored in self.data.scores:
            parts |= self._scores(scored)
        return parts | self._edges() | self._relations()

    def _relations(self) -> dict[str, str]:
        data = self.data
        parts: dict[str, str] = {}
        for name in (*data.facts, *data.attributes):
            parts |= self._table(name)
        for domain in data.vocabularies:
            parts |= self._names(domain)
        parts |= self._labels_of(data.labels, "labels")
        parts |= self._labels_of(data.evidence, "evidence")
        return parts | self._ages()

    def _named(self, names: Collection[str], predicate: str) -> dict[str, str]:
        """Relations of those names with what they are made of, columns and edges."""
        data, program = self.data, self.data.program
        definitions = {d.name: d for d in program.definitions}
        parameters = {p.name: p for p in program.parameters}
        domains = {domain for domain in program.sorts_of(predicate) if domain in data.vocabularies}
        pending, seen = set(names), set[str]()
        parts: dict[str, str] = {}
        while pending:
            name = pending.pop()
            seen.add(name)
            if name in definitions:
                parts |= _statements(definitions[name])
                pending |= names_in(definitions[name].body) - seen
            elif name in parameters:
                parts |= _statements(parameters[name])
            elif name in data.facts or name in data.attributes:
                parts |= self._table(name)
            else:
                continue
            if name not in parameters:
                domains |= {*program.sorts_of(name)} & {*data.vocabularies}
        values = {a.name: a.sort for a in program.attributes}
        domains |= {values[name] for name in seen if values.get(name) in data.vocabularies}
        domains |= {*(data.graph.domains if data.graph else ())}
        for domain in sorted(domains):
            parts |= self._names(domain)
            if domain in data.features:
                parts |= self._features(domain)
        read = set().union(*(program.label_readers.get(name, ()) for name in seen))
        if read:
            known = data.labels if data.readable is None else data.readable
            parts |= self._labels_of({n: known[n] for n in read if n in known}, "known labels")
            parts |= self._ages()
        if predicate in data.scores:
            parts |= self._scores(predicate)
        return parts | self._edges()

    def _rows(self, predicate: str) -> dict[str, str]:
        def read() -> tuple[str, str]:
            rows = rows_of(self.data, predicate)
            places = (rows.things, rows.row_of_atom, rows.state_of_atom, rows.asked, rows.time)
            known = rows.labels if rows.numbers is None else rows.numbers
            return digest_of(*places), digest_of(known)

        atoms, labels = f"atoms of `{predicate}`", f"labels of `{predicate}`"
        if atoms not in self._found:
            self._found[atoms], self._found[f"rows: {labels}"] = read()
        return {atoms: self._found[atoms], labels: self._found[f"rows: {labels}"]}

    def _table(self, name: str) -> dict[str, str]:
        tables = self.data.facts if name in self.data.facts else self.data.attributes
        return self._once(f"facts of `{name}`", tables[name])

    def _names(self, domain: str) -> dict[str, str]:
        return self._once(f"names of `{domain}`", self.data.vocabularies[domain].names)

    def _features(self, domain: str) -> dict[str, str]:
        return self._once(f"features of `{domain}`", self.data.features[domain])

    def _scores(self, predicate: str) -> dict[str, str]:
        scores = self.data.scores[predicate]
        return self._once(f"scores of `{predicate}`", scores.arguments, *_flat(scores.values))

    def _edges(self) -> dict[str, str]:
        parts: dict[str, str] = {}
        for edges in self.data.graph.relations if self.data.graph else ():
            parts |= self._once(f"edges `{' '.join(edges.edge_type)}`", edges)
        return parts

    def _labels_of(self, tables: Mapping[str, ArrowTable], what: str) -> dict[str, str]:
        parts: dict[str, str] = {}
        for name in sorted(tables):
            if tables[name].num_rows:
                parts |= self._once(f"{what} of `{name}`", tables[name])
        return parts

    def _zone(self) -> dict[str, str]:
        zone = self.data.program.zone
        return {} if zone == UTC_ZONE else {"time zone": zone}

    def _ages(self) -> dict[str, str]:
        ages = {"label_delay": self.data.label_delay, "label_refresh": self.data.label_refresh}
        return {name: f"{age:g}" for name, age in ages.items()}

    def _once(self, part: str, *values: object) -> dict[str, str]:
        if part not in self._found:
            self._found[part] = digest_of(*values)
        return {part: self._found[part]}


def model_parts(model: KnowledgeModel) -> dict[str, str]:
    """A model's kind, options and code.

    Raises:
        ModelError: KR840 for an option that is no plain value.
    """
    description = describe(model)
    options = description["options"]
    assert isinstance(options, Mapping)
    parts = {"kind": str(description["kind"])}
    parts |= {f"option `{name}`": str(value) for name, value in sorted(options.items())}
    parts |= {f"version of {name}": version(name) for name in LIBRARIES}
    parts["code of knowreason"] = our_code(*OURS)
    modules = {kind.__module__ for kind in kinds_of(model)}
    modules |= {t.partition(":")[0] for t in texts_in(model) if _PATH.fullmatch(t)}
    for module in sorted(modules):
        if module.partition(".")[0] != "knowreason":
            parts[f"code of `{module}`"] = code_of(module)
    return parts


def dealt_parts(
    data: Dataset,
    predicate: str,
    kind: str,
    groups: NDArray[np.int64] | None,
    groups_are: str,
) -> dict[str, str]:
    """Which rows of a predicate no fold of that kind tells apart, or no calibration."""
    if kind == "forward":
        return {}
    together: NDArray[np.integer] | None = groups
    if kind != "random":
        together = row_groups(data, rows_of(data, predicate), kind, groups)
        _, _, attribute = kind.partition(":")
        groups_are = f"values of `{attribute}`" if attribute else groups_are
    if together is None:
        return {}
    names, of_row = np.unique(together, return_inverse=True)
    alone = len(names) == len(of_row)
    return {} if alone else {f"{GROUPS}{groups_are}": digest_of(of_row)}


def kinds_of(model: KnowledgeModel) -> Iterator[type[KnowledgeModel]]:
    """Classes of a model and of the models among its options."""
    yield type(model)
    for value in options_of(model).values():
        if isinstance(value, KnowledgeModel):
            yield from kinds_of(value)


def texts_in(value: object) -> Iterator[str]:
    """Every text in an option's value, or in the options of a model."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, KnowledgeModel):
        yield from texts_in(options_of(value))
    elif isinstance(value, Mapping):
        yield from texts_in(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from texts_in(item)


@cache
def our_code(*packages: str) -> str:
    """Version of knowreason, and the code of some of its packages."""
    root = Path(__file__).parents[2]
    files = sorted(file for name in packages for file in (root / name).rglob("*.py"))
    return f"{DIGEST}{__version__} {digest_of(*(file.read_bytes() for file in files))}"


def code_of(module: str) -> str:
    """The code of somebody else's module; empty where it has no file."""
    try:
        spec = find_spec(module)
        file = Path((spec and spec.origin) or "")
    except (ImportError, ValueError):
        return ""
    return digest_of(file.read_bytes()) if file.is_file() else ""


def digest_of(*values: object) -> str:
    """Digest of tables, arrays, texts and bytes; equal values have equal digests."""
    digest = blake2b(digest_size=16)
    for value in values:
        for piece in _pieces(value):
            digest.update(piece)
    return DIGEST + digest.hexdigest()


def _pieces(value: object) -> Iterator[bytes | memoryview]:
    """What a value is, as bytes."""
    if isinstance(value, pa.Table):
        yield " ".join(value.column_names).encode()
        for column in value.columns:
            yield from _pieces(column)
    elif isinstance(value, pa.Array | pa.ChunkedArray):
        one = pa.concat_arrays(value.chunks) if isinstance(value, pa.ChunkedArray) else value
        yield f"{one.type} {len(one)}".encode()
        sink = pa.BufferOutputStream()
        batch = pa.record_batch([one], names=["column"])
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        yield memoryview(sink.getvalue())
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype} {value.shape}".encode()
        yield np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
    elif isinstance(value, FeatureTable):
        yield f"{value.names} {value.categories}".encode()
        yield from _pieces(value.values)
    elif isinstance(value, Edges):
        yield f"{value.edge_type} {value.key_domain} {value.time_sort}".encode()
        for part in (value.source, value.target, value.key, value.time, value.features):
            yield from _pieces(part)
    elif isinstance(value, bytes):
        yield value
    else:
        yield f"{value!r};".encode()


def _flat(columns: Mapping[str, NDArray[np.generic]]) -> Iterator[object]:
    for name in sorted(columns):
        yield from (name, columns[name])


def program_parts(program: Program) -> dict[str, str]:
    """A program's statements but its models and what is only measured, and their order."""
    rules = tuple(replace(rule, expected=()) for rule in program.rules)
    parts = _statements(*replace(program, models=(), rules=rules, shadow_rules=()))
    parts[ORDER] = digest_of("\n".join(parts))
    return parts


def _statements(*statements: Statement) -> dict[str, str]:
    """Their texts, of parameters the values, by what a person calls them: ``rule `hub```."""
    texts = {}
    for one in statements:
        text = statement_text(one)
        value = text.partition(" = ")[2] if isinstance(one, Parameter) else DIGEST + text
        texts[f"{type(one).__name__.lower()} `{one.name}`"] = value
    return texts
