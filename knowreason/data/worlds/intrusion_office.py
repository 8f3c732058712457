"""What people, computers, services and administrators do on a generated site: no attacks."""

from __future__ import annotations

import numpy as np

from knowreason.data.worlds.intrusion_site import (
    DAY,
    KERBEROS,
    LOGON_TYPES,
    MSV1,
    NEGOTIATE,
    NTLM,
    ORIENTATIONS,
    UNKNOWN,
    WEEKEND,
    Floats,
    Ints,
    Logons,
    Site,
    logons,
    together,
)

NETWORK, SERVICE, BATCH, NEW_CREDENTIALS, CLEARTEXT, INTERACTIVE, UNLOCK, REMOTE, CACHED, _ = range(
    len(LOGON_TYPES)
)
LOG_ON, LOG_OFF, TGS, TGT, _AUTH_MAP = range(len(ORIENTATIONS))


def benign_logons(
    rng: np.random.Generator,
    site: Site,
    *,
    network: float,
    desk: float,
    machine: float,
    explore: float,
    roaming: float,
) -> Logons:
    """Everything that is no attack.

    Args:
        rng: of all draws.
        site: who and what there is.
        network: mean network logons of a person and working day.
        desk: mean logons at the own workstation of a person and working day.
        machine: mean logons of a computer's own account a day.
        explore: share of a person's network logons that go to any computer at all.
        roaming: share of a person's days spent at a terminal server or a colleague's computer.
    """
    person, day = _at_work(rng, site)
    return together(
        [
            _desk(rng, site, person, day, desk),
            _network(
                rng, site, person, day, _seats(rng, site, person, day, roaming), network, explore
            ),
            _machines(rng, site, machine),
            _jobs(rng, site),
            _support(rng, site),
            _sweeps(rng, site),
        ]
    )


def work_time(rng: np.random.Generator, site: Site, person: Ints, day: Ints) -> Ints:
    """A second within the working hours of each person on each day."""
    hour = site.starts_work[person] + 9 * rng.beta(1.3, 1.5, len(person))
    return (day * DAY + hour * 3600).astype(np.int64)


def choose(rng: np.random.Generator, count: int, shares: dict[int, float]) -> Ints:
    """``int64[count]`` codes with these shares (they add up to one)."""
    codes = np.array(list(shares))
    edges = np.cumsum(list(shares.values()))
    place = np.searchsorted(edges, rng.random(count) * edges[-1])
    drawn: Ints = codes[np.minimum(place, len(codes) - 1)].astype(np.int64)
    return drawn


def package_at(rng: np.random.Generator, share: Floats) -> Ints:
    """Authentication type of network logons whose share of NTLM is given."""
    others = choose(rng, len(share), {KERBEROS: 0.84, NEGOTIATE: 0.08, MSV1: 0.02, UNKNOWN: 0.06})
    return np.where(rng.random(len(share)) < share, NTLM, others)


def ntlm_share(site: Site, target: Ints, day: Ints, elsewhere: float) -> Floats:
    """Share of NTLM at each target: a server's own, or ``elsewhere`` at a workstation."""
    server = np.minimum(target, site.servers - 1)
    return np.where(target < site.servers, site.ntlm[server, day], elsewhere)


def repeated(rng: np.random.Generator, mean: float, *columns: Ints) -> tuple[Ints, ...]:
    """Each row a Poisson number of times."""
    times = rng.poisson(mean, len(columns[0]))
    return tuple(np.repeat(column, times) for column in columns)


def _at_work(rng: np.random.Generator, site: Site) -> tuple[Ints, Ints]:
    """Persons and the days they work on."""
    weekend = np.isin(np.arange(site.days) % 7, WEEKEND)
    share = np.where(weekend, 0.08, 0.93)
    present = rng.random((site.people, site.days)) < share
    present &= np.arange(site.days) >= site.arrives[:, None]
    person, day = np.nonzero(present)
    return person, day


def _desk(rng: np.random.Generator, site: Site, person: Ints, day: Ints, mean: float) -> Logons:
    """At the own workstation: log on, unlock, log off, and the tickets that go with it."""
    home = site.home[person]
    begin = (day * DAY + (site.starts_work[person] + rng.normal(0, 0.3, len(day))) * 3600).astype(
        np.int64
    )
    at_start = logons(
        begin,
        person,
        home,
        home,
        choose(rng, len(day), {NEGOTIATE: 0.6, KERBEROS: 0.3, UNKNOWN: 0.1}),
        choose(rng, len(day), {INTERACTIVE: 0.9, CACHED: 0.1}),
        success=(rng.random(len(day)) > 0.04).astype(np.int64),
    )
    ticket = logons(begin + 1, person, home, home * 0, UNKNOWN, 9, TGT)
    someone, when = repeated(rng, mean, person, day)
    place = site.home[someone]
    later = logons(
        work_time(rng, site, someone, when),
        someone,
        place,
        place,
        choose(rng, len(when), {NEGOTIATE: 0.55, UNKNOWN: 0.45}),
        choose(rng, len(when), {UNLOCK: 0.7, INTERACTIVE: 0.2, NEW_CREDENTIALS: 0.1}),
        choose(rng, len(when), {LOG_ON: 0.7, LOG_OFF: 0.3}),
    )
    return together([at_start, ticket, later])


def _seats(rng: np.random.Generator, site: Site, person: Ints, day: Ints, roaming: float) -> Ints:
    """The computer each person works at on each day."""
    terminal = site.servers - 1 - rng.integers(0, max(1, site.servers // 20), len(person))
    colleague = rng.integers(0, site.people, len(person))
    other = np.where(site.arrives[colleague] <= day, site.home[colleague], terminal)
    away = np.where(rng.random(len(person)) < 0.5, terminal, other)
    return np.where(rng.random(len(person)) < roaming, away, site.home[person])


def _network(
    rng: np.random.Generator,
    site: Site,
    person: Ints,
    day: Ints,
    seat: Ints,
    mean: float,
    explore: float,
) -> Logons:
    """From the seat to the department's servers, and now and then anywhere."""
    who, when, source = repeated(rng, mean, person, day, seat)
    target = site.servers_of(rng, site.department[who, when], when)
    anywhere = rng.random(len(who)) < explore
    target = np.where(anywhere, site.computers_on(rng, when), target)
    package = package_at(rng, ntlm_share(site, target, when, 0.4))
    time = work_time(rng, site, who, when)
    there = logons(
        time,
        who,
        source,
        target,
        package,
        choose(rng, len(who), {NETWORK: 0.98, CLEARTEXT: 0.02}),
        success=(rng.random(len(who)) > 0.015).astype(np.int64),
    )
    off = there.take(rng.random(len(who)) < 0.3)
    left = logons(off.time + 600, off.user, off.source, off.target, UNKNOWN, NETWORK, LOG_OFF)
    asked = there.take((package == KERBEROS) & (rng.random(len(who)) < 0.4))
    tickets = logons(asked.time - 1, asked.user, asked.source, asked.target, UNKNOWN, 9, TGS)
    return together([there, left, tickets])


def _machines(rng: np.random.Generator, site: Site, mean: float) -> Logons:
    """Accounts of computers, round the clock."""
    computer, day = np.nonzero(np.arange(site.days) >= site.begins[:, None])
    who, when = repeated(rng, mean, computer, day)
    time = when * DAY + rng.integers(0, DAY, len(who))
    what = choose(rng, len(who), {0: 0.45, 1: 0.4, 2: 0.15})  # directory, own services, browsing
    few = max(2, site.servers // 10)
    file_server = rng.integers(0, few, len(who))
    target = np.where(what == 1, who, np.where(what == 0, file_server * (who % 2), file_server))
    user = np.where(what == 2, site.anonymous_account(who), site.machine_account(who))
    package = np.select(
        [what == 0, what == 1],
        [choose(rng, len(who), {KERBEROS: 0.9, UNKNOWN: 0.1}), np.full(len(who), NEGOTIATE)],
        NTLM,
    )
    to_user = np.where(what == 1, site.system_account(who), user)
    kind = np.where(what == 1, SERVICE, NETWORK)
    return logons(time, user, who, target, package, kind, to_user=to_user)


def _jobs(rng: np.random.Generator, site: Site) -> Logons:
    """Scheduled jobs: a service account, from one server to the same targets each night."""
    service = np.arange(site.services)
    scheduler = rng.integers(0, site.servers, site.services)
    hour, old = rng.integers(0, 24, site.services), rng.random(site.services) < 0.35
    size = np.minimum(np.ceil(rng.lognormal(1.6, 0.9, site.services)), 60).astype(np.int64)
    job = np.repeat(service, size)
    target = rng.integers(0, site.computers, len(job))
    nightly = np.arange(site.days) >= site.begins[target][:, None]
    nightly &= rng.random(nightly.shape) < 0.97
    row, day = np.nonzero(nightly)
    which = job[row]
    time = day * DAY + hour[which] * 3600 + rng.integers(0, 900, len(row))
    package = np.where(old[which], NTLM, KERBEROS)
    out = logons(time, site.people + which, scheduler[which], target[row], package, NETWORK)
    _, first = np.unique(which * site.days + day, return_index=True)
    local = logons(
        time[first] - 60,
        site.people + which[first],
        scheduler[which[first]],
        scheduler[which[first]],
        NEGOTIATE,
        BATCH,
    )
    return together([out, local])


def _support(rng: np.random.Generator, site: Site) -> Logons:
    """Administrators log on to other people's computers: rare pairs, often by NTLM."""
    admins = np.flatnonzero(site.admin)
    person, day = np.nonzero(np.arange(site.days) >= site.arrives[admins][:, None])
    weekday = ~np.isin(day % 7, WEEKEND)
    who, when = repeated(rng, 6.0, admins[person[weekday]], day[weekday])
    target = site.computers_on(rng, when)
    package = choose(rng, len(who), {NTLM: 0.35, KERBEROS: 0.3, NEGOTIATE: 0.35})
    kind = choose(rng, len(who), {NETWORK: 0.6, REMOTE: 0.3, NEW_CREDENTIALS: 0.1})
    time = work_time(rng, site, who, when)
    success = (rng.random(len(who)) > 0.03).astype(np.int64)
    return logons(time, who, site.home[who], target, package, kind, success=success)


def _sweeps(rng: np.random.Generator, site: Site) -> Logons:
    """Twice a week an administrator visits some thirty computers within an hour."""
    admins = np.flatnonzero(site.admin)
    if not len(admins):
        return logons(*(np.zeros(0, np.int64),) * 4, 0, 0)
    count = int(rng.poisson(2 * site.days / 7))
    leader, day = rng.choice(admins, count), rng.integers(0, site.days, count)
    leader, day = leader[site.arrives[leader] <= day], day[site.arrives[leader] <= day]
    start = work_time(rng, site, leader, day)
    size = rng.poisson(30, len(leader))
    who, when, begin = (np.repeat(column, size) for column in (leader, day, start))
    target = site.computers_on(rng, when)
    package = choose(rng, len(who), {NTLM: 0.5, KERBEROS: 0.5})
    time = begin + rng.integers(0, 3600, len(who))
    return logons(time, who, site.home[who], target, package, NETWORK)
