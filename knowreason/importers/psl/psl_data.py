"""Data of probabilistic soft logic: `.data` (YAML) and JSON, and the tables they name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as csv

from knowreason.errors import ProjectError

PARTS = ("observations", "targets", "truth")


@dataclass
class PslPredicate:
    """A predicate and its rows.

    Attributes:
        rows: by part (``observations targets truth``), tables of one text column an argument
            and ``value``, the soft truth.
    """

    name: str
    arity: int
    closed: bool = False
    rows: dict[str, list[pa.Table]] = field(default_factory=dict)


@dataclass
class PslData:
    """What a data file says; ``rules`` are those of a JSON file."""

    predicates: dict[str, PslPredicate] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def read_data(path: Path) -> PslData:
    """A `.data` or JSON file and the tables beside it.

    Raises:
        ProjectError: KR973 where the file or a table is not as PSL has it.
    """
    text = path.read_text(encoding="utf-8-sig")
    try:
        if path.suffix == ".json":
            content = json.loads(text)
        else:
            import yaml

            content = yaml.safe_load(text)
    except ValueError as error:
        raise ProjectError(f"{path}: {error}", code="KR973") from None
    except Exception as error:  # yaml's own, which is imported only where it is needed
        raise ProjectError(f"{path}: {' '.join(str(error).split())}", code="KR973") from None
    if not isinstance(content, Mapping) or not isinstance(content.get("predicates"), Mapping):
        raise ProjectError(f"`{path}` lists no `predicates`", code="KR973")
    data = PslData(rules=[str(rule) for rule in content.get("rules", ())])
    data.ignored = [key for key in content if key not in ("predicates", "rules", *PARTS)]
    for written, what in content["predicates"].items():
        name, _, arity = str(written).partition("/")
        words = set(_words(what))
        inline = what if isinstance(what, Mapping) else {}
        places = [part for part in inline.get("types", ()) if part]
        if not arity.isdigit() and not places:
            raise ProjectError(f"{path}: `{written}` lacks its arity, `{name}/2`", code="KR973")
        found = PslPredicate(name, int(arity) if arity.isdigit() else len(places))
        for part in PARTS:
            sections = content.get(part)
            beside = sections.get(name) if isinstance(sections, Mapping) else None
            sources = [*_listed(inline.get(part)), *_listed(beside)]
            if sources:
                found.rows[part] = list(_tables(path, found, sources))
        found.closed = "closed" in words or ("open" not in words and "targets" not in found.rows)
        data.predicates[name.lower()] = found
    return data


def _words(what: object) -> Iterator[str]:
    if isinstance(what, str):
        yield what.lower()
    elif isinstance(what, Mapping):
        for key, value in what.items():
            yield from (str(key).lower(),) if not isinstance(value, list) else ()
            yield from _words(value) if not isinstance(value, list) else ()
    elif isinstance(what, Iterable):
        for one in what:
            yield from _words(one)


def _listed(what: Any) -> list[Any]:
    if what is None:
        return []
    return what if isinstance(what, list) else [what]


def _tables(path: Path, predicate: PslPredicate, sources: list[Any]) -> Iterator[pa.Table]:
    inline = [source for source in sources if isinstance(source, list)]
    if inline:
        columns = [[str(row[i]) for row in inline] for i in range(predicate.arity)]
        values = [
            float(row[predicate.arity]) if len(row) > predicate.arity else 1.0 for row in inline
        ]
        yield _table([pa.array(column, pa.string()) for column in columns], pa.array(values))
    for source in sources:
        if not isinstance(source, list):
            yield _file(path.parent / str(source), predicate)


def _file(path: Path, predicate: PslPredicate) -> pa.Table:
    if not path.is_file():
        raise ProjectError(
            f"there is no file `{path}`, which `{predicate.name}` names", code="KR915"
        )
    text = path.read_text(encoding="utf-8-sig")
    bare = rf"^[^\t\n]+(?:\t[^\t\n]+){{{predicate.arity - 1}}}$"  # rows without a value are true
    text = re.sub(bare, r"\g<0>\t1", text.replace("\r\n", "\n"), flags=re.MULTILINE)
    things = [f"a{number}" for number in range(1, predicate.arity + 1)]
    if not text.strip():
        return _table([pa.array([], pa.string()) for _ in things], pa.array([], pa.float64()))
    types = dict.fromkeys(things, pa.string()) | {"value": pa.float64()}
    try:
        read = csv.read_csv(
            pa.BufferReader(text.encode()),
            read_options=csv.ReadOptions(column_names=list(types)),
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        raise ProjectError(f"{path}, rows of `{predicate.name}`: {error}", code="KR973") from None
    return read.combine_chunks()


def _table(things: list[pa.Array], value: pa.Array) -> pa.Table:
    names = [f"a{number}" for number in range(1, len(things) + 1)]
    return pa.table([*things, value], [*names, "value"])
