"""Red-team campaigns in a generated authentication log, or the real track planted in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from knowreason.data.worlds.intrusion_office import (
    CLEARTEXT,
    NETWORK,
    REMOTE,
    choose,
    ntlm_share,
    package_at,
)
from knowreason.data.worlds.intrusion_site import (
    DAY,
    KERBEROS,
    NEGOTIATE,
    NTLM,
    WEEKEND,
    Floats,
    Ints,
    Logons,
    Site,
    logons,
)

OFFICE_HOURS = (9.0, 17.0)


@dataclass(frozen=True)
class Track:
    """Who attacked what, when: ``int64[n]`` each, in order of time.

    Attributes:
        time: seconds since the start.
        user: account whose credentials are used.
        source, target: computers.
        campaign: which campaign.
    """

    time: Ints
    user: Ints
    source: Ints
    target: Ints
    campaign: Ints


def campaigns(
    rng: np.random.Generator,
    site: Site,
    *,
    count: int,
    events: int,
    stealth: float,
    chain: float,
    first_day: int = 0,
) -> Track:
    """Drawn campaigns: each has one main source, some stolen accounts and targets.

    A campaign goes on for some days; on each it makes a session of a size that varies a
    lot, and within it accounts and targets come back by a power law.

    Args:
        rng: of all draws.
        site: who and what there is.
        count: how many campaigns, spread over the days.
        events: events in all, about.
        stealth: share of logons of an account to a server that its owner uses.
        chain: share of logons whose source is an earlier target of the campaign.
        first_day: no campaign begins before.
    """
    campaign, day = _sessions(rng, site, count, first_day)
    size = rng.lognormal(0.0, 1.3, len(day))
    size = np.maximum(1, np.round(size / max(size.sum(), 1e-9) * events)).astype(np.int64)
    begin = day * DAY + rng.uniform(*OFFICE_HOURS, len(day)) * 3600
    which, when = np.repeat(campaign, size), np.repeat(day, size)
    time = np.repeat(begin, size) + rng.exponential(3600, len(which))
    time = np.minimum(time, when * DAY + DAY - 1).astype(np.int64)
    order = np.argsort(time, kind="stable")
    which, when, time = which[order], when[order], time[order]
    user = _stolen(rng, site, which, when)
    target = _targets(rng, site, which, when)
    servers = site.servers_of(rng, site.department[user, when], when)
    target = np.where(rng.random(len(which)) < stealth, servers, target)
    source = _sources(rng, site, count)[which]
    source, target = _pivoted(rng, which, source, target, chain)
    moves = source != target
    return Track(time[moves], user[moves], source[moves], target[moves], which[moves])


def planted_track(rng: np.random.Generator, site: Site, path: Path) -> Track:
    """The real red-team events, their names given to accounts and computers of the site.

    Events after the last day of the site are left out. Accounts go to people, sources and
    targets to computers, all of which are there from the first day on, drawn at random.

    Args:
        rng: of the draw.
        site: who and what there is.
        path: a parquet file with ``time``, ``user``, ``src_computer``, ``dst_computer``.

    Raises:
        ValueError: when the site has fewer computers or people than the track needs.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    table = table.take(pa.array(np.argsort(table["time"].to_numpy(), kind="stable")))
    time = table["time"].to_numpy().astype(np.int64)
    inside = time < site.days * DAY
    users, user = np.unique(table["user"].to_numpy(zero_copy_only=False), return_inverse=True)
    ends = [table[name].to_numpy(zero_copy_only=False) for name in ("src_computer", "dst_computer")]
    computers, end = np.unique(np.concatenate(ends), return_inverse=True)
    people = rng.permutation(np.flatnonzero(site.arrives == 0))
    there = np.flatnonzero(site.begins == 0)
    hosts = rng.permutation(there[there >= site.servers])
    sources = np.isin(computers, np.unique(ends[0]))
    others = rng.permutation(np.setdiff1d(there, hosts[: sources.sum()]))
    if len(people) < len(users) or len(others) < (~sources).sum():
        raise ValueError(
            f"the track has {len(users)} accounts and {len(computers)} computers, more than"
            f" the {len(people)} people and {len(there)} computers of the first day"
        )
    place = np.empty(len(computers), np.int64)
    place[sources] = hosts[: sources.sum()]
    place[~sources] = others[: (~sources).sum()]
    source, target = place[end].reshape(2, -1)
    zero = np.zeros(int(inside.sum()), np.int64)
    return Track(time[inside], people[user][inside], source[inside], target[inside], zero)


def attack_logons(
    rng: np.random.Generator, site: Site, track: Track, *, ntlm: float, fades: float
) -> Logons:
    """The rows of the log that a track leaves.

    Args:
        rng: of all draws.
        site: who and what there is.
        track: who attacked what.
        ntlm: share of NTLM on the first day.
        fades: how much of that share is gone on the last day (attackers learn).
    """
    day = track.time // DAY
    share: Floats = ntlm * (1 - fades * day / max(site.days - 1, 1))
    own = package_at(rng, ntlm_share(site, track.target, day, 0.4))
    other = np.where(own == NTLM, choose(rng, len(own), {KERBEROS: 0.8, NEGOTIATE: 0.2}), own)
    package = np.where(rng.random(len(own)) < share, NTLM, other)
    kind = choose(rng, len(own), {NETWORK: 0.96, REMOTE: 0.03, CLEARTEXT: 0.01})
    return logons(track.time, track.user, track.source, track.target, package, kind)


def _sessions(
    rng: np.random.Generator, site: Site, count: int, first_day: int
) -> tuple[Ints, Ints]:
    """Campaigns and the working days on which each is active; every one on its first."""
    weekdays = np.flatnonzero(~np.isin(np.arange(site.days) % 7, WEEKEND))
    weekdays = weekdays[weekdays >= first_day]
    first = (np.arange(count) + rng.random(count)) * len(weekdays) / max(count, 1)
    offset = np.arange(len(weekdays))[None, :] - first.astype(np.int64)[:, None]
    active = (offset >= 0) & (rng.random(offset.shape) < 0.75 * np.exp(-offset / 4.0))
    active[np.arange(count), first.astype(np.int64)] = True
    campaign, place = np.nonzero(active)
    return campaign, weekdays[place]


def _power(rng: np.random.Generator, size: int, count: int) -> Ints:
    """Ranks below ``size``, the first ones most often (density about 1 / rank)."""
    return np.minimum((size + 1.0) ** rng.random(count) - 1, size - 1).astype(np.int64)


def _sources(rng: np.random.Generator, site: Site, count: int) -> Ints:
    """A workstation of its own for each campaign, where there are so many."""
    workstations = np.flatnonzero(site.begins == 0)
    workstations = workstations[workstations >= site.servers]
    return rng.choice(workstations, count, replace=len(workstations) < count)


def _stolen(rng: np.random.Generator, site: Site, campaign: Ints, day: Ints) -> Ints:
    """The account used by each event: some two dozen a campaign, early ones most often."""
    staff = np.argsort(site.arrives, kind="stable")
    pool = rng.permuted(
        np.tile(np.arange(site.people), (int(campaign.max(initial=0)) + 1, 1)), axis=1
    )
    person = pool[campaign, _power(rng, min(25, site.people), len(campaign))]
    return np.where(site.arrives[person] <= day, person, staff[0])


def _targets(rng: np.random.Generator, site: Site, campaign: Ints, day: Ints) -> Ints:
    """The target of each event: some eighty computers a campaign, by a power law."""
    every = np.tile(np.arange(site.computers), (int(campaign.max(initial=0)) + 1, 1))
    pool = rng.permuted(every, axis=1)
    target = pool[campaign, _power(rng, min(80, site.computers), len(campaign))]
    return np.where(site.begins[target] <= day, target, site.computers_on(rng, day))


def _pivoted(
    rng: np.random.Generator, campaign: Ints, source: Ints, target: Ints, share: float
) -> tuple[Ints, Ints]:
    """Some events start from a target that the campaign reached before."""
    order = np.argsort(campaign, kind="stable")
    rank = np.empty(len(campaign), np.int64)
    start = np.searchsorted(campaign[order], campaign[order])
    rank[order] = np.arange(len(campaign)) - start
    back = np.ceil(rng.random(len(campaign)) * np.minimum(rank, 40)).astype(np.int64)
    place = np.empty(len(campaign), np.int64)
    place[order] = np.arange(len(campaign))
    earlier = target[order[place - back]]
    moves = (rng.random(len(campaign)) < share) & (rank > 0)
    return np.where(moves, earlier, source), target
