"""A rule file over guessed tables: declarations, history, a model, and rules to begin with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from textwrap import wrap

from knowreason.lang.check.symbols import BUILT_IN
from knowreason.lang.syntax.grammar import grammar
from knowreason.run.from_tables.label_guesses import Label
from knowreason.run.from_tables.link_statistics import Shared
from knowreason.run.from_tables.schema_guesses import Guess, Place, TableGuess, domain_name

MOST_HISTORIES = 6  # links whose past is counted; each is two to four definitions
MOST_AVERAGES = 3  # numbers of another table that are averaged
LIFT = 1.3  # how many times the usual odds a label has along a link that a rule is made of
MOST_LINKS = 30_000  # rows that tie labelled things in a net, beyond which the rule is a comment


@dataclass(frozen=True)
class Subject:
    """What is asked about: a domain, its tables, and what was measured of it.

    Attributes:
        domain: its things get the query predicate.
        tables: whose rows are these things; the first has their links.
        clock: place of their clock, where there is one.
        label: where labels are, if anywhere.
        predicate: that is asked.
        window: of events that are recent, as a literal.
        shared: by own column, how labels go with what is shared.
        linked: by table and its two columns of this domain, how labels go with links.
        left_out: why, by attribute that the model does not see.
    """

    domain: str
    tables: tuple[TableGuess, ...]
    clock: Place | None
    label: Label | None
    predicate: str
    window: str = ""
    shared: Mapping[str, Shared] = field(default_factory=dict)
    linked: Mapping[tuple[str, str, str], Shared] = field(default_factory=dict)
    left_out: Mapping[Place, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RuleNames:
    """What tables and columns are called in rules: each name once.

    Attributes:
        facts: predicate by table and reference; those of a table without gaps share one.
        attributes: by table and column.
    """

    facts: Mapping[Place, str]
    attributes: Mapping[Place, str]


def names_of(tables: Sequence[TableGuess]) -> RuleNames:
    """RuleNames in rules for what the tables hold."""
    taken: set[str] = set()
    facts: dict[Place, str] = {}
    attributes: dict[Place, str] = {}
    for table in tables:
        whole = [column for column in table.references if not has_gaps(table, column)]
        stem = "".join(part.capitalize() for part in re.split(r"[\W_]+", table.name))
        stem = stem if stem[:1].isalpha() else f"T{stem}"
        if whole:
            facts |= dict.fromkeys(((table.name, c) for c in whole), _free(stem, taken))
        for column in table.references:
            if column not in whole:
                facts[table.name, column] = _free(stem + domain_name(column), taken)
        for column in (*table.references, *table.attributes):
            name = identifier(column)
            if name in taken:
                name = identifier(f"{table.name}_{column}")
            attributes[table.name, column] = _free(name, taken)
    return RuleNames(facts, attributes)


def has_gaps(table: TableGuess, column: str) -> bool:
    """Whether some rows have no value in a column."""
    return table.profile.columns[column].filled < table.profile.profiled


def comment(text: str) -> list[str]:
    """Lines of a comment."""
    return wrap(text, 98, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def identifier(text: str) -> str:
    """A name of the language that begins with a small letter."""
    name = re.sub(r"\W+", "_", text).strip("_") or "x"
    name = name.lower() if name.isupper() else name[0].lower() + name[1:]
    name = name if name[0].isalpha() else f"c_{name}"
    words = {*grammar().reserved, *BUILT_IN, "if", "in", "then", "else"}
    return f"{name}_" if name in words else name


@dataclass(frozen=True)
class Link:
    """Rows of a table that share a thing with what is asked about.

    Attributes:
        table: of the rows.
        column: the one that names the thing.
        term: the thing, of ``e``.
        stem: how definitions over it begin.
        own: whether the rows are themselves things of the kind that is asked about.
    """

    table: TableGuess
    column: str
    term: str
    stem: str
    own: bool


class RuleWriter:
    """Parts of the rule file, each lines of text; the project file asks it for names."""

    def __init__(
        self, tables: Sequence[TableGuess], subject: Subject, guesses: Sequence[Guess]
    ) -> None:
        self.tables = tables
        self.why = {(g.table, g.column): ("" if g.sure else "? ") + g.why for g in guesses}
        self.subject = subject
        self.names = names_of(tables)
        self.links = self._links()
        self.features: list[str] = []
        self.notes: list[str] = []  # what was left out of definitions
        self.recent = ""  # the definition that counts recent events, or all of them
        self.at = self.names.attributes[subject.clock] if subject.clock else ""

    def text(self) -> str:
        """The rule file, not yet laid out."""
        definitions = [*self._of_parents(), *self._history()]
        if self.subject.label is None:  # nothing but `burst` reads them yet
            used = ("param", f"define {self.recent}(")
            definitions = [d if d.startswith(used) else f"# {d}" for d in definitions]
        definitions += [line for note in self.notes for line in comment(note)]
        blocks = [list(self._declarations())]
        blocks.append([f"query {self.subject.predicate}({self.subject.domain})  # what is asked"])
        if definitions:
            blocks.append(["# What models and rules read beside attributes.", *definitions])
        blocks += [list(self._model()), list(self._rules())]
        return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"

    def _declarations(self) -> Iterator[str]:
        domains = dict.fromkeys(
            d for table in self.tables for d in (table.domain, *table.references.values())
        )
        yield from comment(
            "Kinds of things. Columns that name the same things share a kind; where that is wrong, "
            "make it two, here and in the lines below (or `init` again with --same, --key). `?` is "
            "a doubtful guess."
        )
        yield f"domain {', '.join(domains)}"
        clocked: set[str] = set()
        for table in self.tables:
            named = f"named by {table.key}" if table.key else "named by SQL in knowreason.toml"
            why = self.why.get((table.name, table.key), "no column names them")
            yield ""
            yield from comment(
                f"Table {table.name}: each row is a {table.domain}, {named} ({why})."
            )
            groups: dict[str, list[str]] = {}
            for column in table.references:
                groups.setdefault(self.names.facts[table.name, column], []).append(column)
            for fact, columns in groups.items():
                places = ", ".join(f"{identifier(c)}: {table.references[c]}" for c in columns)
                yield f"observed {fact}({table.domain}, {places})"
            for column, domain in table.references.items():
                line = f"attribute {self._name(table, column)}({table.domain}): {domain}"
                yield f"{line}  # {self.why.get((table.name, column), '')}"
            for column, sort in table.attributes.items():
                line = f"attribute {self._name(table, column)}({table.domain}): {sort}"
                if column == table.clock and table.domain not in clocked:
                    clocked.add(table.domain)
                    line += f" clock  # when a row happened: {self.why[table.name, column]}"
                yield line
            if table.left_out:
                yield from comment(
                    f"Not read: {'; '.join(f'{c} ({why})' for c, why in table.left_out.items())}."
                )

    def _links(self) -> list[Link]:
        subject, found = self.subject, []
        own = {table.name for table in subject.tables}
        for table in subject.tables:
            found += [
                Link(table, c, f"{self._name(table, c)}(e)", self._name(table, c), True)
                for c in table.references
            ]
        for table in (table for table in self.tables if table.name not in own):
            terms = [("e", c) for c, d in table.references.items() if d == subject.domain]
            terms += [
                (f"{self._name(one, mine)}(e)", column)
                for one in subject.tables
                for mine, domain in one.references.items()
                for column, other in table.references.items()
                if other == domain != subject.domain
            ]
            for term, column in terms:
                stem = identifier(table.name) + (f"_{identifier(column)}" if len(terms) > 1 else "")
                found.append(Link(table, column, term, stem, False))
        return found

    def _of_parents(self) -> Iterator[str]:
        """Attributes of what a thing refers to."""
        for table in self.subject.tables:
            for column, domain in table.references.items():
                for parent in self.tables:
                    if parent.domain != domain or parent in self.subject.tables:
                        continue
                    for attribute, sort in parent.attributes.items():
                        own = self._name(table, column)
                        value = f"{self._name(parent, attribute)}({own}(e))"
                        name = self._define(f"{own}_{identifier(attribute)}")
                        if sort == "bool":
                            value = f"if {value} then 1 else 0"
                        elif sort == "time":
                            if not self._is_time():
                                continue
                            value = f"({self.at}(e) - {value}) / 1d"
                        self.features.append(name)
                        yield f"define {name}(e) := {value}"

    def _history(self) -> Iterator[str]:
        """What rows that share a thing say; only earlier ones where there is a clock."""
        if self.subject.clock and self._is_time() and self._has_hours():
            self.features.append("hour_of_day")
            yield f"define hour_of_day(e) := hour({self.at}(e))"
        if self.subject.window:
            yield f"param recent = {self.subject.window}  # a few events of one thing, usually"
        told: set[str] = set()
        for link in self.links[:MOST_HISTORIES]:
            at, definition = self._moment(link)
            if definition and at not in told:
                told.add(at)
                yield definition
            if link.term == "e" and self.subject.clock:
                self.notes.append(f"rows of {link.table.name} of any time count, also later ones")
            elif self.subject.clock and not at:
                self.notes.append(
                    f"{link.table.name} has no clock: what it says of {link.term} might be of "
                    "later, and nothing here reads it"
                )
                continue
            rows = self._rows(link)
            before = f" & {at}(f) < {self.at}(e)" if at else ""
            count = self._define(f"{link.stem}_{'before' if at else 'count'}")
            self.features.append(count)
            yield f"define {count}(e) := count {{ f : {rows}{before} }}"
            if at and link.own and self.subject.window:
                recent, gap = self._define(f"{link.stem}_recent"), self._define(f"{link.stem}_gap")
                self.features += [recent, gap]
                self.recent = self.recent or recent
                within = f"{before} & {self.at}(e) - {at}(f) <= recent"
                since = f"{self.at}(e) - max {{ {at}(f) for f : {rows}{before} }}"
                yield f"define {recent}(e) := count {{ f : {rows}{within} }}"
                yield f"define {gap}(e) := {f'({since}) / 1d' if self._is_time() else since}"
            self.recent = self.recent or count
            numbers = [
                column
                for sort in ("float", "int")
                for column, found in link.table.attributes.items()
                if found == sort and column != link.table.clock
                and (link.table.name, column) not in self.subject.left_out
            ]  # fmt: skip
            for column in numbers[: 1 if link.own else MOST_AVERAGES]:
                name = self._name(link.table, column)
                mean = self._define(f"{link.stem}_mean_{identifier(column)}")
                self.features.append(mean)
                last = f" last 10 by {at}(f)" if at else ""
                yield f"define {mean}(e) := avg {{ {name}(f) for f : {rows}{before}{last} }}"
        for link in self.links[MOST_HISTORIES:]:
            self.notes.append(f"not counted, to begin small: {link.table.name} by {link.column}")

    def _moment(self, link: Link) -> tuple[str, str]:
        """The clock of a link's rows, and the definition it needs; ``""`` where there is none."""
        if not self.subject.clock or link.term == "e":
            return "", ""
        if link.own:
            return self.at, ""
        if link.table.clock and self._same_clock(link.table):
            return self._name(link.table, link.table.clock), ""
        for column, domain in link.table.references.items():
            for parent in self.tables:
                if parent.domain == domain != self.subject.domain and self._same_clock(parent):
                    name = f"{identifier(link.table.name)}_at"
                    value = (
                        f"{self._name(parent, parent.clock)}({self._name(link.table, column)}(f))"
                    )
                    return name, f"define {name}(f) := {value}"
        return "", ""

    def _same_clock(self, table: TableGuess) -> bool:
        return bool(table.clock) and table.attributes[table.clock] == self._clock_sort()

    def _clock_sort(self) -> str:
        name, column = self.subject.clock or ("", "")
        return next((t.attributes[column] for t in self.tables if t.name == name), "")

    def _is_time(self) -> bool:
        return self._clock_sort() == "time"

    def _has_hours(self) -> bool:
        name, column = self.subject.clock or ("", "")
        found = next(t for t in self.tables if t.name == name).profile.columns[column]
        return any(len(end) > 10 and " 00:00:00" not in end for end in (found.low, found.high))

    def _model(self) -> Iterator[str]:
        if self.subject.label is None:
            return
        own = [
            (table, column)
            for table in self.subject.tables
            for column, sort in table.attributes.items()
            if sort != "time" and column != table.clock
        ]
        away = self.subject.left_out
        features = [self._name(t, c) for t, c in own if (t.name, c) not in away] + self.features
        if not features:
            yield "# No column says anything of a thing itself, so there is no model yet."
            return
        yield from comment(
            "Boosted trees over attributes and definitions; cross-fitted, so that rules are "
            "learned on what they say of rows they have not seen. Take out what is known only "
            "afterwards."
        )
        listed = ", ".join(f'"{name}"' for name in features)
        yield f"model columns for {self.subject.predicate} = trees(features=[{listed}])"
        for (name, column), why in away.items():
            yield from comment(f"Left out: {name}.{column} {why}.")

    def _rules(self) -> Iterator[str]:
        label, predicate = self.subject.label, self.subject.predicate
        if label:
            rare = round(log(label.share / (1 - label.share)), 1)
            yield f"# Of {label.known:,} known rows {label.share:.1%} are true: log-odds {rare}."
            yield f"rule rare [? {rare}] : {predicate}(e)"
        else:
            yield from comment(
                "No label was found, so nothing is learned: each weight is what you state. State "
                "what you know, as log-odds: 0.7 doubles the odds, 2 makes them sevenfold."
            )
            yield f"rule rare [-4] : {predicate}(e)  # about 2 %, where nothing else is known"
        if self.recent:
            yield "\n# Velocity: many rows of one thing. Either sign may be learned."
            weight = f"[{'?' if label else '0.3'} * log1p({self.recent}(e))]"
            yield f"rule burst {weight} : {predicate}(e)"
        yield from self._shared_things()
        yield from self._linked_things()
        yield "\n# More to say, one line each:"
        yield f"# rule name [? 1 >= 0] : some condition on e => {predicate}(e)"
        own = next((link for link in self.links if link.own), None)
        if self.subject.clock and label and own:
            rows = self._rows(own)
            yield from comment(
                "Labels that were known by then, as one more of the features (then folds go "
                "forward in time):"
            )
            yield f"# define {own.stem}_risk(e) := rate {{ {predicate}(f) for f : {rows}"
            yield f"#     prior {label.share:.2g} of 2 }}"

    def _shared_things(self) -> Iterator[str]:
        """A hub on one column: with two, hubs tie everything into one net."""
        subject, label = self.subject, self.subject.label
        own = {link.column: link for link in self.links if link.own}
        if not own:
            return
        column = max(own, key=lambda c: subject.shared[c].share if c in subject.shared else 0)
        link, found = own[column], subject.shared.get(column)
        domain = link.table.references[column]
        fact = f"{self.names.facts[link.table.name, column]}(e, {identifier(column)}: x)"
        yield ""
        yield from comment(
            f"Guilt by association: each {domain} has an unknown of its own, risky or not, that "
            "its rows share. `~>`: a row nobody knows says nothing about it."
        )
        off = ""
        if label and found:
            said = f"Known rows with a true one at the same {column}: {found.share:.1%} are true, "
            said += f"of all {label.share:.1%}."
            if not _goes_with(found, label):
                off = "# "
                said += " So the rule is left out; take the comment signs away to try."
            yield from comment(said)
        yield f"{off}latent Risky{domain}({domain})"
        weight = "? 2 >= 0" if label else "2"
        yield f"{off}rule shared [{weight}] : {fact} & Risky{domain}(x) ~> {subject.predicate}(e)"
        seldom = "? -3" if label else "-3"
        yield f"{off}rule seldom [{seldom}] : Risky{domain}(x)  # about 5 %"

    def _linked_things(self) -> Iterator[str]:
        """Pairs of things that a row of another table links."""
        label, predicate = self.subject.label, self.subject.predicate
        for (name, one, other), found in self.subject.linked.items():
            table = next(table for table in self.tables if table.name == name)
            fact = self.names.facts[name, one]
            if label is None or fact != self.names.facts[name, other]:
                continue
            places = identifier(one), identifier(other)
            said = (
                f"Guilt by association: two that a row of {name} links go together (`<~>`), which "
                "says nothing of how many are true. Divided by the number of links, or the many "
                f"drown all else. One is true where the other is: {found.share:.1%}, of all "
                f"{label.share:.1%}."
            )
            off = ""
            if not _goes_with(found, label):
                off, said = "# ", f"{said} So the rule is left out."
            elif table.profile.rows > MOST_LINKS:
                off = "# "
                said += (
                    f" {table.profile.rows:,} rows make one large net, which takes minutes: left"
                )
                said += " out to begin with."
            yield ""
            yield from comment(said)
            counts = " + ".join(f"count {{ f : {fact}(f, {place}: a) }}" for place in places)
            yield f"{off}define links(a) := {counts}"
            yield f"{off}rule linked [? 1 * 1 / sqrt(links(a) * links(b))] :"
            pair = f"{fact}(f, {places[0]}: a, {places[1]}: b) & a != b"
            yield f"{off}    {pair} & ({predicate}(a) <~> {predicate}(b))"

    def _rows(self, link: Link) -> str:
        """The atom that a row `f` of a link is."""
        fact = self.names.facts[link.table.name, link.column]
        return f"{fact}(f, {identifier(link.column)}: {link.term})"

    def _name(self, table: TableGuess, column: str) -> str:
        return self.names.attributes[table.name, column]

    def _define(self, name: str) -> str:
        """A free name for a definition."""
        return _free(name, {*self.names.attributes.values(), *self.features})


def _goes_with(found: Shared, label: Label) -> bool:
    """Whether labels go along with a link, by their odds."""
    usual = label.share / (1 - label.share)
    return found.share >= 1 or found.share / (1 - found.share) >= LIFT * usual


def _free(name: str, taken: set[str]) -> str:
    """The name, or it with a number; taken from then on."""
    found, count = name, 2
    while found in taken:
        found, count = f"{name}{count}", count + 1
    taken.add(found)
    return found
