"""Keys, domains, clocks and attributes of profiled tables, each guess with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from knowreason.data.engine.duckdb_engine import quoted
from knowreason.run.from_tables.table_profiles import (
    CLOCKS,
    ColumnProfile,
    TableProfile,
    TableProfiler,
    named,
    word_set,
    words,
)

Place = tuple[str, str]  # table, column
IDS = word_set("id key no nr num number uuid guid ref code hash")
THINGS = word_set(
    "source target src dst from to sender receiver payer payee origin dest destination user "
    "account acct node customer client card merchant shop store terminal device ip host "
    "computer machine server employee person patient doctor provider seller buyer vendor "
    "supplier item product company firm email phone iban driver household session browser worker "
    "member owner"
)
KINDS = word_set(
    "type kind category class code location place region country city zip postcode state status "
    "channel currency brand segment sector mcc"
)
NOT_NOW = word_set("dob birth birthday birthdate end expiry updated due deadline until")
MOST_WORDS = 200  # different texts of an attribute; above it is a free text


@dataclass(frozen=True, slots=True)
class Guess:
    """A line of what was guessed: about which column of which table, what, and why."""

    table: str
    column: str
    what: str
    why: str
    sure: bool = True


@dataclass(frozen=True, slots=True)
class TableGuess:
    """What the columns of a table are.

    Attributes:
        profile: what stands in them.
        domain: of the things that its rows are.
        key: the column that names them; ``""`` where ``key_sql`` makes one.
        key_sql: SQL that names rows.
        references: domain by column.
        clock: the column that says when a row happened, or ``""``.
        attributes: sort (``float int bool string time``) by column.
        left_out: why, by column.
    """

    profile: TableProfile
    domain: str = ""
    key: str = ""
    key_sql: str = ""
    references: Mapping[str, str] = field(default_factory=dict)
    clock: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the table."""
        return self.profile.name


@dataclass(frozen=True, slots=True)
class Said:
    """What the user says instead of guesses, the label, and what gives it away: columns as
    (table, column)."""

    keys: tuple[Place, ...] = ()
    clocks: tuple[Place, ...] = ()
    same: tuple[tuple[Place, Place], ...] = ()
    labels: tuple[Place, ...] = ()
    given_away: tuple[Place, ...] = ()


def guessed_tables(
    profiler: TableProfiler, profiles: Iterable[TableProfile], said: Said
) -> tuple[list[TableGuess], list[Guess]]:
    """What columns of the tables are, and a line for each guess."""
    tables = {profile.name: profile for profile in profiles}
    guesses: list[Guess] = []
    keys = {name: _key(table, said, guesses) for name, table in tables.items()}
    clocks = {name: _clock(table, keys[name], said, guesses) for name, table in tables.items()}
    domains = _domains(profiler, tables, keys, clocks, said, guesses)
    found = []
    for name, table in tables.items():
        references = {
            c: domains[name, c] for c in table.columns if (name, c) in domains and c != keys[name]
        }
        used = {keys[name], *references} | {column for t, column in said.labels if t == name}
        key_sql = "" if keys[name] else _made_key(profiler, table, references, clocks[name])
        if key_sql:
            made = "row number" if "row_number" in key_sql else f"made of {key_sql[15:-1]}"
            why = "no column names its rows; ids are the same only while rows keep their order"
            if "row_number" not in key_sql:
                why = "no column names its rows, these together do"
            guesses.append(Guess(name, f"({made})", "key", why, "row_number" not in key_sql))
        attributes, left_out = {}, {}
        for column in table.columns.values():
            if column.name not in used:
                sort, why = _attribute(column)
                if sort:
                    attributes[column.name] = sort
                else:
                    left_out[column.name] = why
        if clocks[name]:
            attributes[clocks[name]] = (
                "time" if table.columns[clocks[name]].sort == "time" else "int"
            )
            left_out.pop(clocks[name], None)
        domain = domains.get((name, keys[name])) or domain_name(name)
        found.append(
            TableGuess(
                table, domain, keys[name], key_sql, references, clocks[name], attributes, left_out
            )
        )
    return found, guesses


def domain_name(name: str) -> str:
    """Name of a domain after a table or a column: ``bank_accounts`` is ``BankAccount``."""
    parts = words(name)
    if len(parts) > 1 and parts[-1] in IDS:
        parts = parts[:-1]
    if parts and len(parts[-1]) > 3:
        parts[-1] = singular(parts[-1])
    text = "".join(part.capitalize() for part in parts) or "Thing"
    return text if text[0].isalpha() else f"T{text}"


def singular(word: str) -> str:
    """One of them, in English: ``countries`` is ``country``, ``status`` stays."""
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _key(table: TableProfile, said: Said, guesses: list[Guess]) -> str:
    """The column that names rows, ``""`` where none does."""
    told = next((column for name, column in said.keys if name == table.name), "")
    if told:
        guesses.append(Guess(table.name, told, "key", "you said so"))
        return told
    stem = [singular(word) for word in words(table.name)]
    ranked = []
    for position, column in enumerate(table.columns.values()):
        if column.sort not in ("whole", "text") or not table.unique(column.name):
            continue
        last = words(column.name)
        own = last[:-1] if last[-1:] and last[-1] in IDS and len(last) > 1 else last
        if column.name.lower() == "id" or (own and own == stem[-len(own) :]):
            ranked.append((4 + (last[-1] == "id"), -position, column.name))
        elif last and (last[-1] in IDS or last[-1] in THINGS):
            ranked.append((2 + (position == 0), -position, column.name))
        elif position == 0 and not named(column.name, CLOCKS):
            ranked.append((1, 0, column.name))
    if not ranked:
        return ""
    best, *others = sorted(ranked, reverse=True)
    rivals = [name for rank, _, name in others if rank == best[0]]
    why = f"{table.profiled:,} rows, each with a value of its own"
    if rivals:
        why += f"; {', '.join(rivals)} too"
    guesses.append(Guess(table.name, best[2], "key", why, best[0] > 1 and not rivals))
    return best[2]


def _clock(table: TableProfile, key: str, said: Said, guesses: list[Guess]) -> str:
    """The column that says when a row happened, ``""`` where none does."""
    told = next((column for name, column in said.clocks if name == table.name), "")
    if told:
        guesses.append(Guess(table.name, told, "clock", "you said so"))
        return told
    ranked = []
    for column in table.columns.values():
        place = (table.name, column.name)
        if column.name == key or place in (*said.labels, *said.given_away) or column.distinct < 3:
            continue
        if NOT_NOW & set(words(column.name)):
            continue
        mentioned = named(column.name, CLOCKS)
        if column.sort == "time":
            ranked.append((2 + mentioned + (column.filled == table.profiled), column))
        elif column.sort == "whole" and mentioned and column.filled == table.profiled:
            weak = named(column.name, frozenset({"day", "week", "month", "year", "hour", "period"}))
            ranked.append((1 + (not weak), column))
    if not ranked:
        return ""
    ranked.sort(key=lambda pair: (-pair[0], -pair[1].distinct))
    best = ranked[0][1]
    rivals = [column.name for rank, column in ranked[1:] if rank == ranked[0][0]]
    why = f"{'times' if best.sort == 'time' else 'counts'} from {best.low} to {best.high}"
    why += f"; {best.note}" if best.note else ""
    why += f"; {', '.join(rivals)} could be it too" if rivals else ""
    sure = not rivals and "check" not in best.note and best.sort == "time"
    guesses.append(Guess(table.name, best.name, "clock", why, sure))
    return best.name


def _domains(
    profiler: TableProfiler,
    tables: Mapping[str, TableProfile],
    keys: Mapping[str, str],
    clocks: Mapping[str, str],
    said: Said,
    guesses: list[Guess],
) -> dict[Place, str]:
    """Domain of each column that names things; columns that name the same share one."""
    labels = set(said.labels)
    places = [
        (name, c.name)
        for name, table in tables.items()
        for c in table.columns.values()
        if (name, c.name) not in labels
        and (c.name == keys[name] or (c.name != clocks[name] and _names_things(table, c)))
    ]
    parent = {place: place for place in places}

    def root(place: Place) -> Place:
        while parent[place] != place:
            place = parent[place]
        return place

    told = {frozenset(pair) for pair in said.same}
    for first, second in said.same:
        parent.setdefault(first, first)
        parent.setdefault(second, second)
        parent[root(first)] = root(second)
    joined: dict[Place, list[tuple[Place, str, bool]]] = {}
    for one, other in combinations(places, 2):
        if frozenset((one, other)) in told:
            continue
        pair = (tables[one[0]], one[1]), (tables[other[0]], other[1])
        need, how = _need(pair, one[1] == keys[one[0]], other[1] == keys[other[0]])
        if need > 1:
            continue
        share = profiler.overlap(*pair)
        if share >= need:
            why = f"{how}, {share:.0%} of the values shared"
            joined.setdefault(one, []).append((other, why, need < 0.5))
            joined.setdefault(other, []).append((one, why, need < 0.5))
            parent[root(one)] = root(other)
    groups: dict[Place, list[Place]] = {}
    for place in parent:
        groups.setdefault(root(place), []).append(place)
    names: dict[Place, str] = {}
    taken: set[str] = set()
    for group in groups.values():
        keyed = [place for place in group if place[1] == keys[place[0]]]
        if len(group) == 1 and not keyed and not _groups_rows(tables[group[0][0]], group[0][1]):
            continue
        name = _group_name(tables, keyed, group)
        while name in taken:
            name += "2"
        taken.add(name)
        names |= dict.fromkeys(group, name)
        for place in group:
            if place in keyed and len(keyed) == 1:
                continue
            linked = joined.get(place, [])
            link = next((o for o in linked if o[0] in keyed), linked[0] if linked else None)
            sure, why = False, "its name and values look like ids, no other table has them"
            if any(place in pair for pair in said.same):
                sure, why = True, "you said so"
            elif link:
                (its_table, its_column), how, sure = link
                why = f"same things as {its_table}.{its_column}: {how}"
            guesses.append(Guess(*place, f"names a {name}", why, sure))
    return names


def _names_things(table: TableProfile, column: ColumnProfile) -> bool:
    """Whether a column may name things: by its name, or ids by the look of them."""
    if column.sort not in ("whole", "text") or column.distinct < 2:
        return False
    last = words(column.name)[-1:]
    alone = len(words(column.name)) == 1 and last[0] != "id"  # `number` numbers anything
    if last and (last[0] in THINGS or (last[0] in IDS - KINDS and not alone)):
        return column.sort == "whole" or column.distinct > 5 or last[0] in IDS
    return column.sort == "text" and column.code >= 0.9 and column.distinct > FEW_CODES


FEW_CODES = 50  # different codes of a column; fewer are words of an attribute


def _need(
    pair: tuple[tuple[TableProfile, str], tuple[TableProfile, str]], *keys: bool
) -> tuple[float, str]:
    """Share of values that two columns must have in common to name the same things, and why."""
    (one, a), (other, b) = pair
    sorts = {one.columns[a].sort, other.columns[b].sort}
    stems = [
        _stem(table.name, column, is_key)
        for (table, column), is_key in zip(pair, keys, strict=True)
    ]
    if a.lower() == b.lower() and a.lower() not in IDS:
        return 0.2, "same name"
    if all(keys) and sorts == {"whole"}:  # both count from 1, whatever they name
        small = min(len(one.columns), len(other.columns)) <= 3 and a.lower() == b.lower()
        return (0.9, "same name, and hardly a column beside it") if small else (2.0, "")
    if stems[0] & stems[1]:
        return 0.2, f"both speak of {' and '.join(sorted(stems[0] & stems[1]))}"
    if len(sorts) > 1:
        return 2.0, ""
    both_things = named(a, THINGS) and named(b, THINGS)
    if one is other and any(keys):
        return 2.0, ""
    if sorts == {"text"}:
        return 0.5, "values alone"
    return (0.6, "two ends by name") if both_things else (2.0, "")


def _stem(table: str, column: str, is_key: bool) -> set[str]:
    """Words of what a column names: of a key, also those of its table."""
    found = [word for word in words(column) if word not in IDS]
    stems = {singular(found[-1])} if found else set()
    if is_key and words(table):
        stems.add(singular(words(table)[-1]))
    return stems - {"row", "source", "target", "from", "to", "src", "dst"}


def _groups_rows(table: TableProfile, column: str) -> bool:
    """Whether things of a column have more than one row often enough to say something."""
    found = table.columns[column]
    return found.distinct < 0.9 * found.filled


def _group_name(tables: Mapping[str, TableProfile], keyed: list[Place], group: list[Place]) -> str:
    """Name of what a group of columns names."""
    if keyed:
        return domain_name(max(keyed, key=lambda place: len(tables[place[0]].columns))[0])
    stems = [domain_name(column) for _, column in group]
    ends = {"Source", "Target", "Src", "Dst", "From", "To", "Sender", "Receiver", "Payer", "Payee"}
    plain = [stem for stem in stems if stem not in ends]
    if plain:
        return min(plain, key=len)
    return stems[0] if len(group) == 1 else "Party"


def _made_key(
    profiler: TableProfiler, table: TableProfile, references: Mapping[str, str], clock: str
) -> str:
    """SQL that names the rows of a table without a key: by what they refer to and when."""
    columns = [*references, *([clock] if clock else [])]
    if references and clock and profiler.is_key(table, columns):
        return f"concat_ws('@', {', '.join(map(quoted, columns))})"
    return "row_number() OVER ()"


def _attribute(column: ColumnProfile) -> tuple[str, str]:
    """Sort of a column as an attribute; else ``""`` and why it is none."""
    if column.sort == "other":
        return "", "of a type that no attribute has"
    if column.distinct < 2:
        return "", "the same everywhere" if column.distinct else "empty"
    if column.sort == "text":
        if column.distinct > MOST_WORDS or (
            column.distinct > 20 and 2 * column.distinct > column.filled
        ):
            return "", "different texts, too many for categories"
        return "string", ""
    if column.sort == "whole" and named(column.name, KINDS) and column.distinct <= MOST_WORDS:
        return "string", ""
    return {"truth": "bool", "whole": "int", "number": "float", "time": "time"}[column.sort], ""
