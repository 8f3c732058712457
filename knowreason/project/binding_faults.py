"""What of a project file does not fit its rule file or the columns of its tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from knowreason.diagnostics import Diagnostic, Source
from knowreason.errors import ProjectError, did_you_mean
from knowreason.logic import Program
from knowreason.logic.thing_fields import possible_fields
from knowreason.project.decided import decided_predicate
from knowreason.project.schema import Project, TableBinding
from knowreason.project.toml_places import find_key

Path = tuple[str, ...]


@dataclass(frozen=True)
class Fault:
    """A finding about a key of the project file.

    Attributes:
        path: the key.
        code, message, help: as a :class:`~knowreason.diagnostics.Diagnostic` has them.
    """

    path: Path
    code: str
    message: str
    help: str | None = None

    def diagnostic(self, source: Source | None = None) -> Diagnostic:
        """The finding, at its place where the text of the file is given."""
        span = None if source is None else find_key(source, self.path)
        return Diagnostic(self.code, self.message, span=span, help=self.help)


def raise_faults(faults: Iterable[Fault]) -> None:
    """Raise :class:`ProjectError` with all findings, if there is one."""
    found = [fault.diagnostic() for fault in faults]
    if found:
        raise ProjectError(diagnostics=found)


def name_faults(project: Project, program: Program) -> Iterator[Fault]:
    """What names something the program does not declare (KR909), binds it in a way that it cannot
    be bound (KR505, KR908), says of it what has no meaning there (KR906), or decides about what is
    not there (KR944)."""
    if project.decision is not None:
        try:
            decided_predicate(project.decision, program)
        except ProjectError as error:
            (found,) = error.diagnostics
            yield Fault(("decision",), found.code, found.message, found.help)
    predicates = {predicate.name for predicate in program.predicates}
    attributes = {attribute.name: attribute for attribute in program.attributes}
    domains = {domain.name: domain for domain in program.domains}
    prevalence = project.labels.prevalence
    group = project.learn.folds.partition("group:")[2]
    places: list[tuple[Path, Iterable[str], Iterable[str]]] = [
        (("bind",), project.bind, predicates | set(attributes)),
        (("domains",), project.domains, domains),
        (("features",), project.features, domains),
        (("scores",), project.scores, predicates),
        (("models",), project.models, [model.name for model in program.models]),
        (("split", "by"), _given(project.split.by), attributes),
        (
            ("labels", "prevalence"),
            prevalence if isinstance(prevalence, Mapping) else (),
            predicates,
        ),
        (("learn", "clusters"), _given(project.learn.clusters), attributes),
        (("learn", "folds"), _given(group), attributes),
        (("report", "by"), _given(project.report.by), attributes),
        (("show",), project.show, domains),
    ]
    for domain, shown in project.show.items():
        columns = project.features[domain].columns if domain in project.features else ()
        fields = set(possible_fields(program, columns, domain))
        places.append((("show", domain), shown, fields or {"nothing"}))
    for path, names, declared in places:
        for name in names:
            if name not in declared:
                yield Fault(
                    (*path, name),
                    "KR909",
                    f"[{_section(path)}] names `{name}`, which `{project.program.name}` does not "
                    "declare",
                    did_you_mean(name, declared)
                    or f"declared: {', '.join(sorted(declared)) or 'none'}",
                )
    for name in project.domains:
        if name in domains and domains[name].members is not None:
            message = f"the rule file lists the members of `{name}`, so no table fills it"
            yield Fault(("domains", name), "KR906", message)
    for name, binding in project.bind.items():
        if name in predicates or name in attributes:
            yield from _kind_faults(program, name, binding)


def _section(path: Path) -> str:
    """The table of the project file in which names stand."""
    return ".".join(path if path[0] == "show" else path[:1])


def _given(name: str) -> tuple[str, ...]:
    return (name,) if name else ()


def _kind_faults(program: Program, name: str, binding: TableBinding) -> Iterator[Fault]:
    """What a binding lacks, or says in vain, for the kind of thing it fills."""
    path, sorts = ("bind", name), program.sorts_of(name)
    attribute = next((a for a in program.given_attributes if a.name == name), None)
    is_open = any(predicate.name == name for predicate in program.open_predicates)
    truths = bool(binding.label or binding.evidence)
    valued = attribute is not None or not (is_open or sorts)
    if len(binding.columns) != len(sorts):
        count, listed = len(binding.columns), ", ".join(sorts)
        message = f"[bind] `{name}` names {count} columns, and its arguments are ({listed})"
        yield Fault((*path, "columns"), "KR505", message, "one column an argument, in their order")
    if program.is_number(name):
        if binding.label is None or binding.value is not None:
            message = f"[bind] `{name}` is a numeric query: `label` names the column of its numbers"
            yield Fault(path, "KR908", message)
        truths = False
    elif valued and binding.value is None:
        yield Fault(path, "KR908", f"[bind] `{name}` needs `value`: a column")
    elif not valued and binding.value is not None:
        message = f"`value` of [bind] `{name}` has no meaning: it is a predicate"
        yield Fault((*path, "value"), "KR906", message, "`label`" if is_open else None)
    sort = "truth" if truths else "bool" if not attribute else attribute.sort
    mapped = truths or (is_open and binding.value is not None) or (valued and sort == "bool")
    for key, words in (("true", binding.true), ("false", binding.false)):
        if words and not mapped:
            message = f"`{key}` of [bind] `{name}` has no meaning: it has no truths"
            yield Fault((*path, key), "KR906", message, "labels, evidence and bool attributes have")
    both = [word for word in binding.true if word in (*binding.false, *binding.unknown)]
    both += [word for word in binding.false if word in binding.unknown]
    for word in both:
        message = f"[bind] `{name}`: {word!r} is in two of `true`, `false` and `unknown`"
        yield Fault((*path, "true"), "KR907", message)
    if binding.format and sort != "time":
        message = f"`format` of [bind] `{name}` has no meaning: it is no attribute of sort time"
        yield Fault((*path, "format"), "KR906", message)


def column_faults(project: Project, columns: Mapping[str, Sequence[str]]) -> Iterator[Fault]:
    """Columns that are named and not there (KR913).

    Args:
        project: what names them.
        columns: of each table; bindings of other tables are passed over.
    """
    for path, table, names in _uses(project):
        have = columns.get(table)
        for key, name in names:
            if have is not None and name not in have:
                yield Fault(
                    (*path, key),
                    "KR913",
                    f"table `{table}` has no column `{name}`",
                    did_you_mean(name, have) or f"its columns: {', '.join(have)}",
                )


def _uses(project: Project) -> Iterator[tuple[Path, str, list[tuple[str, str]]]]:
    """Which columns of which table the project names, and under which key."""
    for name, binding in project.bind.items():
        names = [("columns", column) for column in binding.columns]
        for key in ("value", "label", "weight", "evidence"):
            names += [(key, column)] if (column := getattr(binding, key)) is not None else []
        yield ("bind", name), binding.table, names
    for name, domain in project.domains.items():
        yield ("domains", name), domain.table, [("key", domain.key)]
    for name, entry in project.features.items():
        names = [("key", entry.key), *(("columns", column) for column in entry.columns)]
        yield ("features", name), entry.table, names
    for name, scores in project.scores.items():
        names = [("key", column) for column in scores.key]
        names += [("columns", column) for column in scores.columns]
        yield ("scores", name), scores.table, names
    for edge in project.graph.edges:
        ends = {"source": edge.source, "target": edge.target, "key": edge.key, "time": edge.time}
        names = [(key, end.partition(":")[0]) for key, end in ends.items() if end]
        names += [("features", column) for column in edge.features]
        yield ("graph", "edges"), edge.table, names
