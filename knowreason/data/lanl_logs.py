"""Authentication logs in the format of LANL's "Comprehensive, Multi-Source Cyber-Security Events".

``auth.txt[.gz]`` has a line a logon: time in seconds, source user@domain, destination
user@domain, source computer, destination computer, authentication type, logon type,
authentication orientation, success or failure; ``redteam.txt[.gz]`` a line a logon of the red
team: time, user@domain, source computer, destination computer. Neither has a header; ``?`` is
unknown. Source: Kent 2015, https://csr.lanl.gov/data/cyber1/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from knowreason.data.edges import EdgeList
from knowreason.errors import DataError

if TYPE_CHECKING:
    from knowreason.data.engine.duckdb_engine import DuckDBEngine

AUTH = (
    "time",
    "source_user",
    "destination_user",
    "source_computer",
    "destination_computer",
    "authentication_type",
    "logon_type",
    "orientation",
    "success",
)
REDTEAM = ("time", "user", "source_computer", "destination_computer")
MSV1 = "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0"  # the log cuts the name off at several lengths
DAY = 86_400
FEATURES = ("package", "logon_type", "logons", "failures", "hour", "weekday")
ATTRIBUTES = {
    "user": "user",
    "src": "source",
    "dst": "target",
    "during": "day",
    **{name: name for name in ("at", "day", "package", "logon_type", "logons", "failures")},
}
Source: TypeAlias = str | PathLike[str] | pa.Table


def events(
    auth: Source,
    redteam: Source | None = None,
    *,
    start: int = 0,
    stop: int | None = None,
    window: int = 3600,
    orientations: Sequence[str] = ("LogOn",),
    local: bool = False,
    accounts: float = 1.0,
    computers: float = 1.0,
    seed: int = 0,
    memory_limit: str = "2GB",
    threads: int = 2,
) -> pa.Table:
    """Logons counted by window: one event an account, pair of computers and kind of logon.

    A file is read in a stream (once, whole, unpacked on the way); what is held is the events,
    and beyond ``memory_limit`` they go to a temporary folder.

    Args:
        auth: ``auth.txt``, ``auth.txt.gz``, a glob, or a table with the columns :data:`AUTH`.
        redteam: likewise, :data:`REDTEAM`; without it no event has a label.
        start, stop: seconds; only logons with ``start <= time < stop``.
        window: seconds; equal logons within one count as one event.
        orientations: kept ones; empty for all.
        local: keep logons of a computer to itself too.
        accounts, computers: share to keep of accounts, and of computers (both ends of a
            logon must be kept); those that ``redteam`` names are always kept.
        seed: of that choice, which depends on the names only.
        memory_limit, threads: of DuckDB.

    Returns:
        In order of time: ``id`` (``e0``, ``e1`` ...), ``time`` int64 of the first logon, ``at``
        timestamp (second 0 is 1970-01-01), ``day`` int64, ``user``, ``source``, ``target``,
        ``package`` (authentication type, the cut-off names of MSV1 as one), ``logon_type``,
        ``orientation``, ``logons`` and ``failures`` int64, ``hour`` and ``weekday`` (day modulo 7)
        int64, and ``malicious`` int8 where there is ``redteam``: 1 where it names a logon of the
        event, else 0 (not known to be malicious).

    Raises:
        DataError: KR527 for a line that does not fit, naming file and line; KR501 for a file
            that is not there; KR528 for a window or share out of range.
    """
    _refuse_ranges(window, accounts, computers)
    from knowreason.data.engine.duckdb_engine import DuckDBEngine
    from knowreason.data.engine.relational_engine import EngineError

    with DuckDBEngine(memory_limit=memory_limit, threads=int(threads)) as engine:
        _bind(engine, "auth", auth, AUTH)
        _bind(engine, "redteam", _nothing() if redteam is None else redteam, REDTEAM)
        values: dict[str, Any] = {"start": start, "window": window, "kinds": list(orientations)}
        limits = {"seed": str(seed), "accounts": accounts, "computers": computers}
        query = _query(stop, local=local, sample=accounts < 1 or computers < 1)
        try:
            engine.execute(_KEPT)
            values |= limits if "$seed" in query else {}
            table = engine.query(query, values)
        except EngineError as error:
            raise _wrong_line(error, auth, redteam) from error
    return _finished(table, labelled=redteam is not None)


def write_log(
    folder: str | PathLike[str], tables: Mapping[str, pa.Table], *, packed: bool = True
) -> tuple[Path, Path]:
    """The two files, ``auth`` and ``redteam``, written as LANL has them.

    Args:
        folder: made where it is not there.
        tables: with ``auth`` (:data:`AUTH`) and ``redteam`` (:data:`REDTEAM`), as
            :func:`knowreason.data.worlds.intrusion` makes them.
        packed: as ``.txt.gz``, else ``.txt``.
    """
    import pyarrow.csv as csv

    Path(folder).mkdir(parents=True, exist_ok=True)
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    files = []
    for name, columns in (("auth", AUTH), ("redteam", REDTEAM)):
        file = Path(folder) / f"{name}.txt{'.gz' if packed else ''}"
        with pa.output_stream(file, compression="gzip" if packed else None) as stream:
            csv.write_csv(tables[name].select(columns), stream, options)
        files.append(file)
    return files[0], files[1]


def frames(events: pa.Table) -> dict[str, Any]:
    """Events as arguments of ``Dataset.from_frames`` for ``rulesets/intrusion_events.kr``.

    Facts ``Logon(event, user, source, target, day)`` and ``Next(day, day)``; attributes of an
    event; labels of ``Malicious`` where there are any, and of ``Ntlm`` where the authentication
    type is known; features of events (:data:`FEATURES`); the graph of computers, an event an
    edge.
    """

    def of_event(*names: str) -> pa.Table:
        return events.select(["id", *names])

    stated = events.filter(pc.not_equal(events["package"], "?"))
    ntlm = pc.cast(pc.equal(stated["package"], "NTLM"), pa.int8())
    labels = {"Ntlm": pa.table({"id": stated["id"], "ntlm": ntlm})}
    if "malicious" in events.column_names:
        labels["Malicious"] = of_event("malicious")
    days = np.unique(events["day"].to_numpy())
    return {
        "facts": {
            "Logon": of_event("user", "source", "target", "day"),
            "Next": pa.table({"day": days[:-1], "next": days[1:]}),
            **{name: of_event(column) for name, column in ATTRIBUTES.items()},
        },
        "labels": labels,
        "features": {"Event": of_event(*FEATURES)},
        "graph": EdgeList(
            events,
            source="source:Host",
            target="target:Host",
            key="id:Event",
            time="at",
            features=["logon_type", "logons", "failures"],
            name="logon",
        ),
    }


_KEPT = """
CREATE TEMP TABLE named_accounts AS SELECT DISTINCT "user" AS name FROM redteam;
CREATE TEMP TABLE named_computers AS
    SELECT DISTINCT unnest([source_computer, destination_computer]) AS name FROM redteam;
CREATE TEMP TABLE named_logons AS SELECT DISTINCT * FROM redteam;
"""


def _query(stop: int | None, *, local: bool, sample: bool) -> str:
    """SQL of the events; ``$start``, ``$window``, ``$kinds`` and the limits are its values."""

    def kept(column: str, share: str, named: str) -> str:
        drawn = f"md5_number_lower({column} || ' ' || $seed) < ${share} * 18446744073709551615.0"
        return f"({drawn} OR {column} IN (SELECT name FROM {named}))"

    limits = ["time >= $start", "(len($kinds) = 0 OR list_contains($kinds, orientation))"]
    limits += [f"time < {int(stop)}"] if stop is not None else []
    limits += [] if local else ["source_computer <> destination_computer"]
    if sample:
        limits += [
            kept("source_user", "accounts", "named_accounts"),
            kept("source_computer", "computers", "named_computers"),
            kept("destination_computer", "computers", "named_computers"),
        ]
    return f"""
        SELECT min(l.time) AS time, l.source_user AS "user", l.source_computer AS source,
            l.destination_computer AS target,
            CASE WHEN starts_with(l.authentication_type, 'MICROSOFT_AUTH') THEN '{MSV1}'
                ELSE l.authentication_type END AS package,
            l.logon_type, l.orientation, count(*) AS logons,
            count_if(l.success <> 'Success') AS failures, bool_or(r.time IS NOT NULL) AS malicious
        FROM (SELECT * FROM auth WHERE {" AND ".join(limits)}) l
        LEFT JOIN named_logons r ON l.time = r.time AND l.source_user = r."user"
            AND l.source_computer = r.source_computer
            AND l.destination_computer = r.destination_computer
        GROUP BY l.time // $window, l.source_user, source, target, package, l.logon_type,
            l.orientation
        ORDER BY ALL
    """


def _bind(engine: DuckDBEngine, name: str, source: Source, columns: Sequence[str]) -> None:
    """Make ``source`` a view of that name; a file is read only when the view is."""
    if isinstance(source, pa.Table):
        engine.register(name, source.select(columns))
        return
    path = fspath(source).replace("'", "''")
    if not engine.query(f"SELECT 1 FROM glob('{path}') LIMIT 1").num_rows:
        raise DataError(f"there is no file `{fspath(source)}`", code="KR501")
    types = ", ".join(f"'{c}': '{'BIGINT' if c == 'time' else 'VARCHAR'}'" for c in columns)
    engine.execute(
        f"CREATE TEMP VIEW {name} AS SELECT * FROM read_csv('{path}', header = false,"
        f" auto_detect = false, delim = ',', quote = '', escape = '', nullstr = '\\N',"
        f" columns = {{{types}}})"
    )


def _wrong_line(error: Exception, auth: Source, redteam: Source | None) -> DataError:
    """What DuckDB says of a line, in our words."""
    text = str(error)
    line = re.search(r"Line: (\d+)", text)
    paths = [fspath(s) for s in (auth, redteam) if isinstance(s, str | PathLike)]
    named = [path for path in paths if path in text]
    listed = re.search(r"^\s*file\s*=\s*(.+)$", text, re.MULTILINE)
    file = listed.group(1).strip() if listed else (named or paths or ["the log"])[0]
    original = re.search(r"Original Line: (.*)", text)
    attack = isinstance(redteam, str | PathLike) and file == fspath(redteam)
    if line is None:
        return DataError(f"`{file}` cannot be read: {text.splitlines()[0]}", code="KR501")
    fields = REDTEAM if attack else AUTH
    shown = f": `{original.group(1)}`" if original else ""
    return DataError(
        f"`{file}`, line {line.group(1)} does not fit{shown}",
        code="KR527",
        help=f"a line has {', '.join(name.replace('_', ' ') for name in fields)}",
    )


def _finished(table: pa.Table, *, labelled: bool) -> pa.Table:
    """Ids, moments and labels."""
    time = table["time"]
    day = pc.divide(time, DAY)
    numbers = pc.cast(pa.array(range(table.num_rows), pa.int64()), pa.string())
    columns = {
        "id": pc.binary_join_element_wise("e", numbers, ""),
        "time": time,
        "at": pc.cast(time, pa.timestamp("s", "UTC")),
        "day": day,
        **{name: table[name] for name in ("user", "source", "target", "package")},
        "logon_type": table["logon_type"],
        "orientation": table["orientation"],
        "logons": pc.cast(table["logons"], pa.int64()),
        "failures": pc.cast(table["failures"], pa.int64()),
        "hour": pc.divide(pc.subtract(time, pc.multiply(day, DAY)), 3600),
        "weekday": pc.subtract(day, pc.multiply(pc.divide(day, 7), 7)),
    }
    if labelled:
        columns["malicious"] = pc.cast(table["malicious"], pa.int8())
    return pa.table(columns)


def _nothing() -> pa.Table:
    texts: list[pa.Field] = [pa.field(name, pa.string()) for name in REDTEAM[1:]]
    return pa.schema([pa.field("time", pa.int64()), *texts]).empty_table()


def _refuse_ranges(window: int, accounts: float, computers: float) -> None:
    if window < 1 or not (0 <= accounts <= 1 and 0 <= computers <= 1):
        raise DataError(
            f"a window of {window} s, shares {accounts} and {computers}",
            code="KR528",
            help="a window is at least one second, a share lies between 0 and 1",
        )
