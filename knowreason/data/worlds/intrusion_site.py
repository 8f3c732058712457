"""The site of a generated authentication log: accounts, computers, what changes over days.

Everything here is hidden from rules and models: they see the log only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DAY = 86_400
WEEKEND = (3, 4)  # days without red-team events in LANL: 3, 4, 10, 11, 17, 18, 24, 25
DEPARTMENTS = 8
PACKAGES = ("NTLM", "Kerberos", "Negotiate", "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0", "?")
LOGON_TYPES = (
    "Network",
    "Service",
    "Batch",
    "NewCredentials",
    "NetworkCleartext",
    "Interactive",
    "Unlock",
    "RemoteInteractive",
    "CachedInteractive",
    "?",
)
ORIENTATIONS = ("LogOn", "LogOff", "TGS", "TGT", "AuthMap")
NTLM, KERBEROS, NEGOTIATE, MSV1, UNKNOWN = range(5)


@dataclass(frozen=True)
class Site:
    """Who and what there is.

    Accounts are numbered people first, then services, then one account a computer, then
    ``SYSTEM`` and ``ANONYMOUS LOGON`` of each computer.

    Attributes:
        days: length of the log.
        people, services, computers: how many.
        servers: computers below this number are servers; the first is the domain controller.
        account_names: ``[accounts]``; computer_names: ``[computers]``.
        home: ``int64[people]`` workstation of each person.
        begins: ``int64[computers]``, first day of each computer.
        arrives: ``int64[people]``, first day of each person.
        department: ``int64[people, days]``.
        starts_work: ``float64[people]``, hour of the day.
        admin: ``bool[people]``.
        liking: ``float64[DEPARTMENTS, servers]``, how often a department uses a server.
        ntlm: ``float64[servers, days]``, share of NTLM among logons there.
    """

    days: int
    people: int
    services: int
    computers: int
    servers: int
    account_names: pa.Array
    computer_names: pa.Array
    home: Ints
    begins: Ints
    arrives: Ints
    department: Ints
    starts_work: Floats
    admin: NDArray[np.bool_]
    liking: Floats
    ntlm: Floats

    def machine_account(self, computer: Ints) -> Ints:
        """Account of a computer itself (``C12$@DOM1``)."""
        return self.people + self.services + computer

    def system_account(self, computer: Ints) -> Ints:
        """``SYSTEM@C12``."""
        return self.people + self.services + self.computers + computer

    def anonymous_account(self, computer: Ints) -> Ints:
        """``ANONYMOUS LOGON@C12``."""
        return self.people + self.services + 2 * self.computers + computer

    def computers_on(self, rng: np.random.Generator, day: Ints) -> Ints:
        """A computer that exists on each day, drawn evenly."""
        order = np.argsort(self.begins, kind="stable")
        there = np.searchsorted(self.begins[order], day, side="right")
        return order[(rng.random(len(day)) * there).astype(np.int64)]

    def servers_of(self, rng: np.random.Generator, department: Ints, day: Ints) -> Ints:
        """A server of each department, by liking; one not there yet becomes the first."""
        shares = np.cumsum(self.liking, axis=1)
        draw = rng.random(len(department)) * shares[department, -1]
        server = np.empty(len(department), np.int64)
        for number, edges in enumerate(shares):  # never logons times servers
            mine = department == number
            server[mine] = np.searchsorted(edges, draw[mine])
        return np.where(self.begins[server] <= day, server, 0)


def draw_site(
    rng: np.random.Generator,
    *,
    days: int,
    people: int,
    servers: int,
    services: int,
    newcomers: float,
    moves: float,
    legacy: float,
    rollout_day: int,
    rollout: float,
) -> Site:
    """A drawn site.

    Args:
        rng: of all draws.
        days, people, servers, services: sizes; each person has a workstation.
        newcomers: share of people and servers that come after the first day.
        moves: chance that a person changes department on a day.
        legacy: mean share of NTLM at a server.
        rollout_day, rollout: from that day on, this is added to the share of NTLM at a
            third of the servers, a new piece of software being used there.
    """
    computers = servers + people
    begins = np.zeros(computers, np.int64)
    late = rng.random(computers) < newcomers
    late[0] = False
    begins[late] = rng.integers(1, days, int(late.sum()))
    home = servers + np.arange(people)
    moved = rng.random((people, days)) < moves
    fresh = rng.integers(0, DEPARTMENTS, (people, days))
    last_move = np.maximum.accumulate(np.where(moved, np.arange(days), 0), axis=1)
    liking = rng.gamma(0.25, 1.0, (DEPARTMENTS, servers)) + 1e-6
    liking[:, : max(2, servers // 15)] += 0.5  # directory, mail, files: everybody's
    ntlm = np.tile(rng.beta(0.4, 0.4 * (1 / legacy - 1), (servers, 1)), (1, days))
    touched = rng.random(servers) < 1 / 3
    ntlm[touched, rollout_day:] = np.clip(ntlm[touched, rollout_day:] + rollout, 0, 0.95)
    return Site(
        days,
        people,
        services,
        computers,
        servers,
        *_names(rng, people, services, computers),
        home,
        begins,
        begins[home],
        np.take_along_axis(fresh, last_move, axis=1),
        np.clip(rng.normal(8.5, 1.2, people), 5, 14),
        rng.random(people) < 0.03,
        liking,
        ntlm,
    )


def _names(
    rng: np.random.Generator, people: int, services: int, computers: int
) -> tuple[pa.Array, pa.Array]:
    """Names in LANL's manner, numbered at random so that a number says nothing."""
    users = rng.permutation(9 * (people + services))[: people + services] + 1
    number = rng.permutation(9 * computers)[:computers] + 1
    plain = np.char.add("C", number.astype(str))
    accounts = [
        np.char.add(np.char.add("U", users.astype(str)), "@DOM1"),
        np.char.add(plain, "$@DOM1"),
        np.char.add("SYSTEM@", plain),
        np.char.add("ANONYMOUS LOGON@", plain),
    ]
    return pa.array(np.concatenate(accounts)), pa.array(plain)


@dataclass(frozen=True)
class Logons:
    """Rows of a log; arrays ``int64[n]``, codes into the lists above.

    Attributes:
        time: seconds since the start.
        user, to_user: accounts.
        source, target: computers.
        package, kind, orientation: authentication type, logon type, orientation.
        success: 0 or 1.
    """

    time: Ints
    user: Ints
    to_user: Ints
    source: Ints
    target: Ints
    package: Ints
    kind: Ints
    orientation: Ints
    success: Ints

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: NDArray[np.bool_] | Ints) -> Logons:
        """Some rows, by mask or index."""
        return Logons(**{name: column[rows] for name, column in vars(self).items()})


def logons(
    time: Ints,
    user: Ints,
    source: Ints,
    target: Ints,
    package: Ints | int,
    kind: Ints | int,
    orientation: Ints | int = 0,
    *,
    to_user: Ints | None = None,
    success: Ints | int = 1,
) -> Logons:
    """Rows from arrays and single values."""
    size = len(time)

    def full(value: Ints | int) -> Ints:
        return np.broadcast_to(np.asarray(value, np.int64), size)

    return Logons(
        time.astype(np.int64),
        full(user),
        full(user if to_user is None else to_user),
        full(source),
        full(target),
        full(package),
        full(kind),
        full(orientation),
        full(success),
    )


def together(parts: list[Logons]) -> Logons:
    """All rows of all parts, in order of time."""
    joined = Logons(
        **{
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(Logons)
        }
    )
    return joined.take(np.argsort(joined.time, kind="stable"))


def as_table(site: Site, rows: Logons) -> pa.Table:
    """The nine columns of ``auth.txt``."""
    texts: Mapping[str, tuple[pa.Array, Ints]] = {
        "source_user": (site.account_names, rows.user),
        "destination_user": (site.account_names, rows.to_user),
        "source_computer": (site.computer_names, rows.source),
        "destination_computer": (site.computer_names, rows.target),
        "authentication_type": (pa.array(PACKAGES), rows.package),
        "logon_type": (pa.array(LOGON_TYPES), rows.kind),
        "orientation": (pa.array(ORIENTATIONS), rows.orientation),
        "success": (pa.array(("Fail", "Success")), rows.success),
    }
    columns = {name: names.take(pa.array(codes)) for name, (names, codes) in texts.items()}
    return pa.table({"time": rows.time, **columns})
