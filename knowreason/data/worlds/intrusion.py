"""A generated authentication log with red-team campaigns, in LANL's schema.

People work at their workstation and at the servers of their department, computers and
scheduled jobs log on by themselves, administrators go everywhere. An attacker who sits on
somebody's workstation uses stolen accounts to log on to many computers, mostly by NTLM. None
of this is a sign by itself: old servers and jobs speak NTLM too, administrators sweep through
many computers, a person now and then goes where nobody of the department goes. Over the days
computers and people come, people change departments, a roll-out makes NTLM common at a third
of the servers, and attackers use it less.

Nothing here is real, unless the real track of LANL's red team is planted; the names of
authentication types, logon types and orientations are those of the real log.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.arrow_types import ArrowTable
from knowreason.data.worlds.intrusion_office import LOG_ON, benign_logons
from knowreason.data.worlds.intrusion_redteam import (
    Track,
    attack_logons,
    campaigns,
    planted_track,
)
from knowreason.data.worlds.intrusion_site import Logons, Site, as_table, draw_site, together


def intrusion(
    seed: int = 0,
    *,
    days: int = 28,
    people: int = 320,
    servers: int = 60,
    services: int = 12,
    network: float = 9.0,
    desk: float = 2.0,
    machine: float = 1.5,
    explore: float = 0.03,
    roaming: float = 0.06,
    legacy: float = 0.15,
    red_events: int = 700,
    red_campaigns: int = 7,
    red_ntlm: float = 0.85,
    stealth: float = 0.25,
    chain: float = 0.1,
    drift: float = 1.0,
    newcomers: float = 0.2,
    moves: float = 0.01,
    rollout: float = 0.4,
    rollout_day: int | None = None,
    fades: float = 0.4,
    listed: float = 1.0,
    label_noise: float = 0.0,
    first_attack: int = 0,
    prevalence: float | None = None,
    planted: str | PathLike[str] | None = None,
) -> dict[str, ArrowTable]:
    """A drawn log; the same seed gives the same log.

    Args:
        seed: of all draws. The benign part does not depend on the red team's knobs.
        days: length; day 0 is a Wednesday, as it seems to be in LANL's log.
        people, servers, services: accounts of people (each with a workstation), servers,
            accounts of scheduled jobs.
        network, desk, machine: mean logons a day: of a person over the network, of a person
            at the own workstation, of a computer.
        explore: share of a person's network logons that go to any computer.
        roaming: share of a person's days spent at a terminal server or a colleague's computer.
        legacy: mean share of NTLM at a server.
        red_events: events of the red team, about (prevalence).
        red_campaigns: how many campaigns, each from one workstation, spread over the days.
        red_ntlm: share of NTLM among the red team's logons on the first day.
        stealth: share of them that go where the account's owner goes too.
        chain: share of them whose source is an earlier target of the campaign; none in
            the real track.
        drift: multiplies the five knobs below that change the site over days; 0 keeps it.
        newcomers: share of people and servers that come after the first day.
        moves: chance that a person changes department on a day.
        rollout: added to the share of NTLM at a third of the servers from ``rollout_day``
            on (six tenths of the way by default).
        fades: how much of ``red_ntlm`` is gone on the last day.
        listed: share of the red team's events that ``redteam`` names (the others are in the
            log all the same).
        label_noise: benign logons that ``redteam`` names, as a share of the events it names.
        first_attack: day before which no campaign begins.
        prevalence: the red team's events as a share of the logons from one computer to another,
            about, in place of ``red_events``: 1e-5 is ten in a million.
        planted: parquet file of the real track (``time``, ``user``, ``src_computer``,
            ``dst_computer``), taken instead of campaigns; its names are given to accounts
            and computers of the site, its times stay. It needs 104 people and 305 computers.

    Returns:
        To be seen: ``auth``, the nine columns of ``auth.txt`` in order of time, and
        ``redteam``, the four of ``redteam.txt``. For measuring only: ``truth``, the columns
        of ``redteam`` and ``campaign`` for every event of the red team, and ``computers``
        (computer, server bool, first_day).
    """
    rng, red = (np.random.default_rng([seed, part]) for part in range(2))
    site = draw_site(
        rng,
        days=days,
        people=people,
        servers=servers,
        services=services,
        newcomers=min(newcomers * drift, 0.9),
        moves=moves * drift,
        legacy=legacy,
        rollout_day=days * 6 // 10 if rollout_day is None else rollout_day,
        rollout=rollout * drift,
    )
    benign = benign_logons(
        rng, site, network=network, desk=desk, machine=machine, explore=explore, roaming=roaming
    )
    benign = _within(benign, days)
    if prevalence is not None:
        between = (benign.source != benign.target) & (benign.orientation == LOG_ON)
        red_events = max(round(prevalence * int(between.sum())), 1)
    sizes = {"count": red_campaigns, "events": red_events, "first_day": first_attack}
    track = (
        campaigns(red, site, **sizes, stealth=stealth, chain=chain)
        if planted is None
        else planted_track(red, site, Path(planted))
    )
    attack = attack_logons(red, site, track, ntlm=red_ntlm, fades=min(fades * drift, 1.0))
    everything = as_table(site, together([benign, attack]))
    truth = _track_table(site, track)
    return {
        "auth": everything,
        "redteam": _listed(red, site, truth, benign, listed, label_noise),
        "truth": truth,
        "computers": pa.table(
            {
                "computer": site.computer_names,
                "server": np.arange(site.computers) < site.servers,
                "first_day": site.begins,
            }
        ),
    }


def _within(rows: Logons, days: int) -> Logons:
    """Rows of the log's own days."""
    return rows.take((rows.time >= 0) & (rows.time < days * 86_400))


def _track_table(site: Site, track: Track) -> pa.Table:
    return pa.table(
        {
            "time": track.time,
            "user": site.account_names.take(pa.array(track.user)),
            "source_computer": site.computer_names.take(pa.array(track.source)),
            "destination_computer": site.computer_names.take(pa.array(track.target)),
            "campaign": track.campaign,
        }
    )


def _listed(
    rng: np.random.Generator,
    site: Site,
    truth: pa.Table,
    benign: Logons,
    share: float,
    noise: float,
) -> pa.Table:
    """What ``redteam.txt`` names: a share of the truth, and some benign logons."""
    named: NDArray[np.bool_] = rng.random(truth.num_rows) < share
    right = truth.filter(pa.array(named)).drop_columns(["campaign"])
    network = np.flatnonzero(benign.source != benign.target)
    wrong = rng.choice(network, round(noise * right.num_rows), replace=False)
    rows = benign.take(np.sort(wrong))
    other = _track_table(
        site, Track(rows.time, rows.user, rows.source, rows.target, np.zeros_like(rows.time))
    )
    both = pa.concat_tables([right, other.drop_columns(["campaign"])])
    return both.take(pa.array(np.argsort(both["time"].to_numpy(), kind="stable")))
