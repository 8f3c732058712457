"""What an importer has read, written as a project: rules, tables, a project file, a report."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from knowreason import logic as lg
from knowreason.diagnostics import Diagnostic, Span
from knowreason.importers.foreign_names import ForeignNames
from knowreason.importers.import_report import ImportReport
from knowreason.json_text import json_text
from knowreason.lang import check, format_text
from knowreason.logic.canonical_text import rule_text, statement_text
from knowreason.logic.traversal import free_variables, walk

REPORT = "import-report"
_DECIDED = "KR411"  # a rule that speaks of nothing unknown


@dataclass(frozen=True)
class Rows:
    """Rows of one predicate or attribute.

    Attributes:
        things: by argument, the names of the things.
        values: columns beyond them: ``value`` of an attribute, ``label`` or ``evidence`` of
            an open predicate (Boolean, null where nothing is known).
    """

    things: list[pa.Array]
    values: dict[str, pa.Array] = field(default_factory=dict)


@dataclass
class Draft:
    """A project in the making; names are ours, ``rules`` come with where they stand.

    Attributes:
        members: by domain, its members so far; those in rows and rules join when it is written.
        enumerated: domains whose members the rule file lists.
    """

    name: str
    report: ImportReport = field(default_factory=ImportReport)
    names: ForeignNames = field(default_factory=ForeignNames)
    members: dict[str, list[str]] = field(default_factory=dict)
    enumerated: set[str] = field(default_factory=set)
    predicates: list[lg.Predicate] = field(default_factory=list)
    attributes: list[lg.Attribute] = field(default_factory=list)
    definitions: list[lg.Definition] = field(default_factory=list)
    rules: list[tuple[lg.Rule, Span, str]] = field(default_factory=list)
    rows: dict[str, Rows] = field(default_factory=dict)

    @property
    def sorts(self) -> dict[str, tuple[str, ...]]:
        """Domains of the arguments, by predicate and attribute."""
        of_predicates = {one.name: one.sorts for one in self.predicates}
        return of_predicates | {one.name: one.sorts for one in self.attributes}

    def add_rule(
        self, span: Span, weight: lg.Weight, formula: lg.Formula, reason: str = ""
    ) -> None:
        """A rule under our names, called after what it concludes and its line."""
        atoms = [one.predicate for one in walk(formula) if isinstance(one, lg.Atom)]
        line, _ = span.source.position(span.start)
        base = f"{atoms[-1][0].lower()}{atoms[-1][1:]}_{line}" if atoms else f"rule_{line}"
        taken = {rule.name for rule, _, _ in self.rules}
        names = (base, *(f"{base}_{number}" for number in range(2, len(taken) + 3)))
        name = next(name for name in names if name not in taken)
        rule = lg.Rule(name, weight, formula, free_variables(formula))
        self.rules.append((rule, span, reason))

    def write(self, folder: Path) -> None:
        """The project in a folder that is there; what the checker refuses is refused here."""
        self._list_members()
        text = self._checked_text()
        self._tell_names()
        (folder / f"{self.name}.kr").write_text(format_text(text), encoding="utf-8")
        (folder / "data").mkdir()
        project = self._project_file(folder / "data")
        (folder / "knowreason.toml").write_text(project, encoding="utf-8")
        self.write_report(folder)

    def write_report(self, folder: Path) -> None:
        """The report as text and as JSON, beside the project."""
        self.report.sort()
        (folder / f"{REPORT}.txt").write_text(str(self.report), encoding="utf-8")
        (folder / f"{REPORT}.json").write_text(json_text(self.report) + "\n", encoding="utf-8")

    # ------------------------------------------------------------ rules

    def _list_members(self) -> None:
        """Members of each domain: declared, in rows, or in a rule."""
        found: dict[str, dict[str, None]] = {}
        sorts = self.sorts
        for name, rows in self.rows.items():
            for sort, column in zip(sorts[name], rows.things, strict=False):
                found.setdefault(sort, {}).update(dict.fromkeys(pc.unique(column).to_pylist()))
        for attribute in self.attributes:
            if attribute.name in self.rows and attribute.sort not in lg.VALUE_SORTS:
                values = pc.unique(self.rows[attribute.name].values["value"]).to_pylist()
                found.setdefault(attribute.sort, {}).update(dict.fromkeys(values))
        for rule, _, _ in self.rules:
            for node in walk(rule.formula):
                if isinstance(node, lg.Atom | lg.AttributeTerm):
                    name = node.predicate if isinstance(node, lg.Atom) else node.name
                    for sort, term in zip(sorts.get(name, ()), node.arguments, strict=False):
                        if isinstance(term, lg.Constant):
                            found.setdefault(sort, {})[str(term.value)] = None
        for sort, names in found.items():
            known = dict.fromkeys(self.members.get(sort, ()))
            self.members[sort] = [*known, *(name for name in names if name not in known)]

    def _checked_text(self) -> str:
        """The rule file; rules with an error are taken out and told."""
        sorts = {sort for signature in self.sorts.values() for sort in signature}
        sorts |= {one.sort for one in self.attributes} - set(lg.VALUE_SORTS)
        domains = [
            lg.Domain(name, tuple(self.members.get(name, ())) if name in self.enumerated else None)
            for name in sorted(sorts)
        ]
        head = [
            f"# {self.name}, made by `knowreason import`.",
            *map(statement_text, domains),
            "",
            *map(statement_text, self.predicates),
            *map(statement_text, self.attributes),
            "",
        ]
        while True:
            lines = [f"{rule_text(rule)}  # {_place(span)}" for rule, span, _ in self.rules]
            text = "\n".join([*head, *lines]) + "\n"
            faults: dict[int, Diagnostic] = {}
            for fault in check(text=text).diagnostics:
                if fault.severity == "error" or fault.code == _DECIDED:
                    assert fault.span is not None, fault
                    number = fault.span.source.position(fault.span.start)[0] - len(head) - 1
                    assert number >= 0, fault
                    faults.setdefault(number, fault)
            for number, fault in faults.items():
                rule, span, _ = self.rules[number]
                why = f"{fault.message} ({fault.code})"
                if decided := fault.code == _DECIDED:
                    why = "the facts decide it, so it has no effect: it is a comment"
                    head.append(f"# {rule_text(rule)}  # {_place(span)}: the facts decide it")
                self.report.add(span, rule_text(rule), why, refused=not decided)
            self.rules = [one for i, one in enumerate(self.rules) if i not in faults]
            if not faults:
                break
        for rule, span, reason in self.rules:
            self.report.add(span, became=rule_text(rule), reason=reason)
        return text

    def _tell_names(self) -> None:
        for kind in ("predicate", "domain", "attribute"):
            self.report.renamed.update(self.names.changed(kind))

    # ------------------------------------------------------------ tables

    def _project_file(self, folder: Path) -> str:
        tables: list[str] = []
        bind: list[str] = []
        domains: list[str] = []

        def add(name: str, table: pa.Table) -> None:
            pq.write_table(table, folder / f"{name}.parquet")
            tables.append(f'{name} = {{ path = "data/{name}.parquet" }}')

        for domain, members in self.members.items():
            if domain not in self.enumerated and members:
                add(f"things_{domain}", pa.table({"name": pa.array(members, pa.string())}))
                domains.append(f'{domain} = {{ table = "things_{domain}", key = "name" }}')
        for name, rows in self.rows.items():
            columns = [f"a{number}" for number in range(1, len(rows.things) + 1)]
            add(name, pa.table([*rows.things, *rows.values.values()], [*columns, *rows.values]))
            more = "".join(f', {key} = "{key}"' for key in rows.values)
            bind.append(f'{name} = {{ table = "{name}", columns = {json.dumps(columns)}{more} }}')
        sections = {"tables": tables, "bind": bind, "domains": domains}
        told = [f"[{head}]\n" + "\n".join(found) for head, found in sections.items() if found]
        head = "# Made by `knowreason import`; import-report.txt says what became of each line."
        return "\n\n".join([f'{head}\nprogram = "{self.name}.kr"', *told]) + "\n"


def weight_of(value: float | None, per: tuple[str, ...] = (), *, learn: bool = False) -> lg.Weight:
    """The weight of an imported rule: hard, given, or a start for learning."""
    if value == float("inf"):
        return lg.Weight("hard")
    variables = tuple(lg.Variable(name, "") for name in per)
    kind: Literal["open", "given"] = "open" if learn or per or value is None else "given"
    return replace(lg.Weight(kind, value), per=variables)


def _place(span: Span) -> str:
    return f"{Path(span.source.name).name}:{span.source.position(span.start)[0]}"
