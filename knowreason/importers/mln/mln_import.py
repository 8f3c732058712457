"""Markov logic as a project: which predicates are asked, what weights mean, where facts go."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from knowreason import logic as lg
from knowreason.diagnostics import Span
from knowreason.errors import ProjectError
from knowreason.importers.imported_project import Draft, Rows, weight_of
from knowreason.importers.mln.clauses import clauses
from knowreason.importers.mln.database_files import GroundAtoms, read_atoms
from knowreason.importers.mln.mln_syntax import (
    Constants,
    Declaration,
    Dialect,
    WeightedFormula,
    read_statements,
)
from knowreason.logic.traversal import names_in, walk


@dataclass(frozen=True)
class MlnFiles:
    """Files of one import by what they hold: rules and declarations, atoms, asked atoms."""

    rules: tuple[Path, ...]
    facts: tuple[Path, ...] = ()
    queries: tuple[Path, ...] = ()


@dataclass
class _Reading:
    """What the files say, under their own names."""

    declared: dict[str, tuple[Span, Declaration]] = field(default_factory=dict)
    constants: list[tuple[Span, Constants]] = field(default_factory=list)
    formulas: list[tuple[Span, WeightedFormula]] = field(default_factory=list)
    facts: dict[str, list[GroundAtoms]] = field(default_factory=dict)
    asked: dict[str, list[GroundAtoms]] = field(default_factory=dict)


def find_files(paths: Sequence[Path]) -> MlnFiles:
    """The files of Markov logic among some files and folders.

    Raises:
        ProjectError: KR971 where there are no rules among them.
    """
    rules: list[Path] = []
    facts: list[Path] = []
    queries: list[Path] = []
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in inside:
            if file.name in ("rules", "predicates") or file.suffix == ".mln":
                rules.append(file)
            elif file.name == "facts" or file.suffix == ".db":
                facts.append(file)
            elif file.name == "queries":
                queries.append(file)
            elif not path.is_dir():
                raise ProjectError(
                    f"`{file}` is no file of Markov logic",
                    code="KR971",
                    help="rules are in `.mln` files, ground atoms in `.db` files",
                )
    if not rules:
        raise ProjectError(
            f"there are no rules in {', '.join(f'`{path}`' for path in paths)}",
            code="KR971",
            help="a file `rules` or one that ends in `.mln` holds them",
        )
    if len(paths) == 1 and paths[0].is_file():
        beside = paths[0].with_suffix(".db")
        facts += [beside] if beside.is_file() else []
    rules.sort(key=lambda file: file.name != "predicates")  # declarations come first
    return MlnFiles(tuple(rules), tuple(facts), tuple(queries))


def import_mln(
    paths: Sequence[Path],
    draft: Draft,
    *,
    dialect: Dialect = "alchemy",
    query: Iterable[str] = (),
    closed: Iterable[str] = (),
    learn: bool = False,
) -> None:
    """Reads files of Markov logic into a draft.

    Args:
        paths: files and folders.
        draft: what is read goes there.
        dialect: whose precedence and clauses.
        query: predicates to be asked; what the files list of them are labels.
        closed: predicates of which everything that no file lists is false.
        learn: weights are starts for learning, not given.

    Raises:
        ProjectError: KR971 for no rules, KR972 for a name of ``query`` that is declared nowhere.
    """
    files = find_files(paths)
    reading = _read(files, dialect, draft)
    query, closed = frozenset(query), frozenset(closed)
    for name in sorted({*query, *closed} - reading.declared.keys()):
        raise ProjectError(f"no file declares the predicate `{name}`", code="KR972")
    kinds = _kinds(reading, query) | dict.fromkeys(closed, "observed")
    for name in reading.declared:  # first, so that `Author(paper, author)` stays `Author`
        draft.names.of("attribute" if reading.declared[name][1].result else "predicate", name)
    for span, constants in reading.constants:
        domain = draft.names.of("domain", constants.type)
        draft.members.setdefault(domain, []).extend(constants.members)
        draft.enumerated.add(domain)
        draft.report.add(span, became=f"domain {domain}")
    used = {*reading.facts, *reading.asked, *query}
    used = used.union(*(names_in(formula.formula) for _, formula in reading.formulas))
    for name, (span, declaration) in reading.declared.items():
        if name in used or kinds.get(name) == "query":
            _declare(draft, span, declaration, kinds.get(name, ""))
        else:
            why = "no rule and no fact speaks of it: it is left out"
            draft.report.add(span, reason=why)
    for name in reading.declared:
        _fill(draft, reading, name, kinds.get(name, ""), labels=name in query)
    for span, formula in reading.formulas:
        _add_formula(draft, span, formula, dialect, reading, learn)


def _read(files: MlnFiles, dialect: Dialect, draft: Draft) -> _Reading:
    reading = _Reading()
    for path in files.rules:
        for span, statement in read_statements(path, dialect, draft.report):
            if isinstance(statement, Constants):
                reading.constants.append((span, statement))
            elif isinstance(statement, Declaration):
                if statement.name in reading.declared:
                    draft.report.add(span, reason="it is declared already", refused=True)
                else:
                    reading.declared[statement.name] = (span, statement)
            else:
                reading.formulas.append((span, statement))
    arities = {n: len(d.types) for n, (_, d) in reading.declared.items() if not d.result}
    functions = {n: len(d.types) for n, (_, d) in reading.declared.items() if d.result}
    for path, into in (
        *((path, reading.facts) for path in files.facts),
        *((path, reading.asked) for path in files.queries),
    ):
        for name, atoms in read_atoms(path, arities, functions, draft.report).items():
            into.setdefault(name, []).append(atoms)
    return reading


def _kinds(reading: _Reading, query: frozenset[str]) -> dict[str, str]:
    """By predicate whether it is observed, asked or latent, under the source's names."""
    names = [name for name, (_, declared) in reading.declared.items() if not declared.result]
    closed = {name for name in names if reading.declared[name][1].closed}
    listed = {
        name for name, files in reading.facts.items() if any(_known(atoms) for atoms in files)
    }
    wondered = {
        name
        for name, files in reading.facts.items()
        if any(pc.any(pc.equal(atoms.sign, "?")).as_py() for atoms in files)
    }
    asked = query or {*reading.asked, *wondered}
    if closed and not query:  # Tuffy: a star is said of what is closed
        return {name: "observed" if name in closed else "query" for name in names}
    if not asked:
        asked = {name for name in names if name not in listed} or set(names)
    return {
        name: "query" if name in asked else "observed" if name in listed | closed else "latent"
        for name in names
    }


def _known(atoms: GroundAtoms) -> bool:
    return bool(pc.any(pc.not_equal(atoms.sign, "?")).as_py())


# ---------------------------------------------------------------- declarations


def _declare(draft: Draft, span: Span, declared: Declaration, kind: str) -> None:
    sorts = tuple(draft.names.of("domain", one) for one in declared.types)
    if declared.result:
        name = draft.names.of("attribute", declared.name)
        result = draft.names.of("domain", declared.result)
        attribute = lg.Attribute(name, tuple(map(lg.Argument, sorts)), result)
        draft.attributes.append(attribute)
        draft.report.add(span, became=f"attribute {name}({', '.join(sorts)}): {result}")
        return
    name = draft.names.of("predicate", declared.name)
    marks = declared.marks if kind != "observed" else ("",) * len(sorts)
    why = [_SAID[kind]] if kind == "latent" else []
    if marks != declared.marks:
        why.append("`!` is about unknowns; these are facts, as they are listed")
    if sum(map(bool, marks)) > 1:
        _add_joint_constraint(draft, span, name, sorts, marks)
        marks = ("",) * len(sorts)
        why.append("several marks are one constraint, a hard rule")
    for sort, mark in zip(sorts, marks, strict=True):
        if mark:
            draft.enumerated.add(sort)
    pairs = zip(sorts, marks, strict=True)
    arguments = tuple(lg.Argument(s, None, m) for s, m in pairs)  # type: ignore[arg-type]  # by grammar
    predicate = lg.Predicate(name, kind, arguments)  # type: ignore[arg-type]  # of _kinds
    draft.predicates.append(predicate)
    draft.report.add(span, became=f"{kind} {name}({', '.join(sorts)})", reason="\n".join(why))


_SAID = {
    "latent": "no file lists or asks it: it is unknown, and not asked (`--closed` makes it false)"
}


def _add_joint_constraint(
    draft: Draft, span: Span, name: str, sorts: tuple[str, ...], marks: tuple[str, ...]
) -> None:
    variables = [lg.Variable(f"x{number}", "") for number in range(1, len(sorts) + 1)]
    counted = tuple(v for v, mark in zip(variables, marks, strict=True) if mark)
    body = lg.Atom(name, tuple(variables))
    count = lg.Aggregate("count", None, counted, body, "int")
    operator: lg.Formula = lg.Comparison(
        "=" if "!" in marks else "<=", count, lg.Constant(1, "int")
    )
    draft.add_rule(span, lg.Weight("hard"), operator)


# ---------------------------------------------------------------- ground atoms


def _fill(draft: Draft, reading: _Reading, name: str, kind: str, *, labels: bool) -> None:
    facts, asked = reading.facts.get(name, []), reading.asked.get(name, [])
    _, declared = reading.declared[name]
    if not facts and not asked:
        return
    if declared.result:
        things = _joined(facts)
        rows = Rows(things[:-1], {"value": things[-1]})
        draft.rows[draft.names.of("attribute", name)] = rows
        return
    ours = draft.names.of("predicate", name)
    span = reading.declared[name][0]
    if kind == "observed":
        true = [_only(atoms, pc.equal(atoms.sign, "")) for atoms in facts]
        draft.rows[ours] = Rows(_joined(true))
        sorts = [draft.names.of("domain", one) for one in declared.types]
        for atoms in facts:  # what is said to be false is false; its constants are members
            for sort, column in zip(sorts, atoms.things, strict=True):
                known = draft.members.setdefault(sort, [])
                known += [one for one in pc.unique(column).to_pylist() if one not in known]
        return
    soft = [_only(atoms, pc.match_substring_regex(atoms.sign, r"\d")) for atoms in facts]
    if any(len(atoms.sign) for atoms in soft):
        _add_soft_evidence(draft, span, ours, soft)
    crisp = [
        _only(atoms, pc.match_substring_regex(atoms.sign, r"^!?$")) for atoms in (*facts, *asked)
    ]
    is_label = pa.array(
        [
            labels or number >= len(facts)
            for number, atoms in enumerate(crisp)
            for _ in range(len(atoms.sign))
        ],
        pa.bool_(),
    )
    truth = pc.equal(pa.chunked_array([atoms.sign for atoms in crisp], pa.string()), "")
    truth = truth.combine_chunks()
    values = {
        "label": pc.if_else(is_label, truth, None),
        "evidence": pc.if_else(is_label, None, truth),
    }
    kept = {key: column for key, column in values.items() if column.null_count < len(column)}
    if kept:
        draft.rows[ours] = Rows(_joined(crisp), kept)


def _add_soft_evidence(draft: Draft, span: Span, name: str, soft: list[GroundAtoms]) -> None:
    """Atoms with a probability: an attribute of log-odds, and a rule that adds them."""
    sorts = draft.sorts[name]
    attribute = draft.names.of("attribute", f"said {name}")
    chance = pc.cast(pa.chunked_array([atoms.sign for atoms in soft]), pa.float64())
    odds = pc.divide(chance, pc.subtract(1.0, chance))
    draft.attributes.append(lg.Attribute(attribute, tuple(map(lg.Argument, sorts)), "float"))
    draft.rows[attribute] = Rows(_joined(soft), {"value": pc.ln(odds).combine_chunks()})
    variables = tuple(lg.Variable(f"x{number}", "") for number in range(1, len(sorts) + 1))
    feature = lg.AttributeTerm(attribute, variables, "float")
    why = "probabilities in the facts are log-odds that are added, not marginals that are met"
    weight = lg.Weight("given", 1.0, feature=feature)
    draft.add_rule(span, weight, lg.Atom(name, variables), why)


def _only(atoms: GroundAtoms, mask: pa.Array) -> GroundAtoms:
    return GroundAtoms([column.filter(mask) for column in atoms.things], atoms.sign.filter(mask))


def _joined(files: Sequence[GroundAtoms]) -> list[pa.Array]:
    columns = zip(*(atoms.things for atoms in files), strict=True)
    return [pa.chunked_array(parts, pa.string()).combine_chunks() for parts in map(list, columns)]


# ---------------------------------------------------------------- formulas


def _add_formula(
    draft: Draft,
    span: Span,
    found: WeightedFormula,
    dialect: Dialect,
    reading: _Reading,
    learn: bool,
) -> None:
    unknown = names_in(found.formula) - reading.declared.keys()
    if unknown:
        listed = ", ".join(f"`{name}`" for name in sorted(unknown))
        draft.report.add(span, reason=f"{listed}: declared nowhere", refused=True)
        return
    if any(
        isinstance(node, lg.Comparison) and node.operator not in ("=", "!=")
        for node in walk(found.formula)
    ):
        sizes = "it compares sizes, and constants are names here: make an attribute of the number"
        draft.report.add(span, reason=sizes, refused=True)
        return
    why = []
    if found.mixed:
        first = "`v` before `^`" if dialect == "pracmln" else "`^` before `v`"
        why.append(f"`^` and `v` meet without parentheses: read as {dialect} does, {first}")
    if found.overruled:
        why.append("it has a weight and ends in a full stop: taken for hard")
    if found.clause and dialect == "lomrf":
        why.append("LoMRF also completes the predicate (nothing else makes it true); this does not")
    if found.per and found.weight is not None and math.isfinite(found.weight):
        why.append("a weight for each constant is learned; the number is where it starts")
    variants = list(_variants(found))
    if len(variants) > 1:
        why.append("`*`: a rule for each choice of signs")
    for formula in variants:
        _add_clauses(draft, span, replace(found, formula=formula), dialect, learn, why)


def _variants(found: WeightedFormula) -> Iterable[lg.Formula]:
    """The formula with each choice of signs of its starred atoms."""
    for signs in product((True, False), repeat=len(found.both)):
        chosen = dict(zip(found.both, signs, strict=True))
        yield _signed(found.formula, chosen)


def _signed(formula: lg.Formula, signs: dict[lg.Atom, bool]) -> lg.Formula:
    match formula:
        case lg.Atom():
            return formula if signs.get(formula, True) else lg.Not(formula)
        case lg.Not():
            return lg.Not(_signed(formula.operand, signs))
        case lg.And() | lg.Or():
            return replace(formula, operands=tuple(_signed(o, signs) for o in formula.operands))
        case lg.Implies() | lg.Iff():
            left, right = _signed(formula.left, signs), _signed(formula.right, signs)
            return replace(formula, left=left, right=right)
        case lg.ForAll() | lg.Exists():
            return replace(formula, body=_signed(formula.body, signs))
        case _:
            return formula


def _add_clauses(
    draft: Draft,
    span: Span,
    found: WeightedFormula,
    dialect: Dialect,
    learn: bool,
    why: list[str],
) -> None:
    parts: list[lg.Formula] | None = [found.formula]
    value = found.weight
    if dialect != "pracmln" and value != math.inf:
        parts = clauses(found.formula)
        if parts is None:
            why = [*why, f"{dialect} would make over 64 clauses of it; it stays one formula"]
        elif len(parts) > 1:
            share = "" if value is None else f", each with 1/{len(parts)} of the weight"
            why = [*why, f"{dialect} makes {len(parts)} clauses of it{share}: as many rules"]
            value = None if value is None else value / len(parts)
        if any(
            len(clauses(n.body) or ()) > 1 for n in walk(found.formula) if isinstance(n, lg.Exists)
        ):
            why = [*why, f"{dialect} makes clauses of what `EXIST` is about; it stays one formula"]
    if parts is None or len(parts) == 1:
        parts = [_opened(found.formula)]
    if not parts:
        draft.report.add(span, reason="it is always true, so it says nothing", refused=True)
    for part in parts:
        renamed = draft.names.renamed(part)
        plus = tuple(draft.names.of("variable", name) for name in found.per)
        free = {one.name for one in walk(renamed) if isinstance(one, lg.Variable)}
        weight = weight_of(value, tuple(name for name in plus if name in free), learn=learn)
        draft.add_rule(span, weight, renamed, "\n".join(why))


def _opened(formula: lg.Formula) -> lg.Formula:
    """Without outermost ``forall``, whose settings are groundings that count."""
    while isinstance(formula, lg.ForAll):
        formula = formula.body
    return formula
