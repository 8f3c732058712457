import numpy as np
import pyarrow.parquet as pq
import pytest

from knowreason.data import lanl_logs as lanl
from knowreason.data.worlds import intrusion
from knowreason.data.worlds.intrusion_site import (
    DEPARTMENTS,
    LOGON_TYPES,
    ORIENTATIONS,
    PACKAGES,
    WEEKEND,
    draw_site,
)


@pytest.fixture(scope="module")
def world():
    return intrusion(1)


def column(table, name):
    return table[name].to_numpy(zero_copy_only=False)


def day(table):
    return column(table, "time") // 86_400


def ntlm_share(auth, days, at):
    chosen = (column(auth, "orientation") == "LogOn") & np.isin(day(auth), days)
    chosen &= np.isin(column(auth, "destination_computer"), at)
    return np.mean(column(auth, "authentication_type")[chosen] == "NTLM")


def test_the_same_seed_gives_the_same_log(world):
    again, other = intrusion(1), intrusion(2)
    assert all(again[name].equals(table) for name, table in world.items())
    assert not other["auth"].equals(world["auth"])


def test_the_default_log_stays_as_it_is():
    """Other studies rest on it: new knobs draw nothing unless they are turned."""
    world = intrusion(3, days=9, people=40, servers=12, services=3, red_campaigns=3, red_events=150)
    auth, truth = world["auth"], world["truth"]
    assert (auth.num_rows, truth.num_rows) == (5805, 148)
    assert (column(auth, "time").sum(), column(truth, "time").sum()) == (2345140902, 51174177)
    assert sum(int(name[1:]) for name in auth["destination_computer"].to_pylist()) == 1119628


def test_a_server_of_each_department_by_liking():
    size = {"days": 5, "people": 4, "servers": 9, "services": 1, "newcomers": 0.5, "moves": 0.0}
    site = draw_site(np.random.default_rng(0), legacy=0.1, rollout_day=3, rollout=0.0, **size)
    rng = np.random.default_rng(1)
    department, day = rng.integers(0, DEPARTMENTS, 500), rng.integers(0, 5, 500)
    found = site.servers_of(np.random.default_rng(2), department, day)
    shares = np.cumsum(site.liking, axis=1)
    draw = np.random.default_rng(2).random(500)[:, None] * shares[department, -1:]
    naive = (draw > shares[department]).sum(axis=1)
    assert np.array_equal(found, np.where(site.begins[naive] <= day, naive, 0))


def test_no_attack_before_the_first_and_as_rare_as_asked():
    size = {"days": 14, "people": 60, "servers": 12, "services": 3, "red_campaigns": 3}
    world = intrusion(0, first_attack=5, prevalence=1e-2, **size)
    attacked = day(world["truth"])
    assert attacked.min() >= 5
    auth = world["auth"]
    between = column(auth, "source_computer") != column(auth, "destination_computer")
    between &= column(auth, "orientation") == "LogOn"
    assert 0.007 < len(attacked) / between.sum() < 0.013
    rarer = intrusion(0, first_attack=5, prevalence=2e-3, **size)
    assert rarer["truth"].num_rows < len(attacked) / 3


def test_the_benign_part_does_not_depend_on_the_red_team(world):
    def rows(one, table, names):
        return set(zip(*(column(one[table], name).tolist() for name in names), strict=True))

    def benign(one):
        names = ["time", "source_user", "source_computer", "destination_computer"]
        return rows(one, "auth", names) - rows(one, "truth", lanl.REDTEAM)

    fewer = intrusion(1, red_events=50, stealth=0.9)
    assert len(benign(world) ^ benign(fewer)) < 5  # logons at the second of an attack


def test_words_and_order_are_those_of_the_log(world):
    auth = world["auth"]
    assert tuple(auth.column_names) == lanl.AUTH
    assert tuple(world["redteam"].column_names) == lanl.REDTEAM
    assert set(auth["authentication_type"].to_pylist()) == set(PACKAGES)
    assert set(auth["logon_type"].to_pylist()) == set(LOGON_TYPES)
    assert set(auth["orientation"].to_pylist()) <= set(ORIENTATIONS)
    assert set(auth["success"].to_pylist()) == {"Success", "Fail"}
    assert (np.diff(column(auth, "time")) >= 0).all()
    users = auth["source_user"].to_pylist()
    for part in ("U", "C", "ANONYMOUS LOGON@C"):
        assert any(user.startswith(part) for user in users)


def test_people_work_on_weekdays_and_by_day(world):
    auth = world["auth"]
    people = np.char.startswith(column(auth, "source_user").astype(str), "U")
    network = people & (column(auth, "orientation") == "LogOn")
    weekend = np.isin(day(auth)[network] % 7, WEEKEND)
    assert weekend.mean() < 0.1
    hour = column(auth, "time")[network] % 86_400 // 3600
    assert ((hour >= 6) & (hour < 20)).mean() > 0.85


def test_the_red_team_comes_from_few_sources(world):
    truth = world["truth"].to_pandas()
    assert 600 < len(truth) < 800
    quiet = intrusion(1, chain=0.0)["truth"].to_pandas()
    assert (quiet.groupby("campaign").source_computer.nunique() == 1).all()
    assert truth.groupby("campaign").source_computer.agg(
        lambda s: s.value_counts().iloc[0]
    ).sum() > (0.7 * len(truth))
    assert truth.destination_computer.nunique() > 100
    moved = set(truth.source_computer) & set(truth.destination_computer)
    assert moved  # it pivots
    assert (truth.source_computer != truth.destination_computer).all()
    auth = world["auth"].to_pandas()
    both = auth.merge(
        truth,
        left_on=["time", "source_user", "source_computer", "destination_computer"],
        right_on=["time", "user", "source_computer", "destination_computer"],
    )
    assert len(both) >= len(truth)
    assert (both.authentication_type == "NTLM").mean() > 0.6


def test_drift_shows(world):
    auth, still = world["auth"], intrusion(1, drift=0.0)
    early, late = range(5, 14), range(19, 28)
    servers = [c["computer"] for c in world["computers"].to_pylist() if c["server"]]
    rise = ntlm_share(auth, late, servers) - ntlm_share(auth, early, servers)
    level = [c["computer"] for c in still["computers"].to_pylist() if c["server"]]
    assert rise > 0.05
    assert (
        abs(ntlm_share(still["auth"], late, level) - ntlm_share(still["auth"], early, level)) < 0.03
    )
    before = set(column(auth, "source_computer")[day(auth) < 14])
    after = set(column(auth, "source_computer")[day(auth) >= 14])
    assert len(after - before) > 15
    assert max(still["computers"]["first_day"].to_pylist()) == 0


def test_knobs_turn_what_they_say(world):
    events = lanl.events(world["auth"], world["truth"])
    assert 0.005 < np.mean(column(events, "malicious")) < 0.03
    named = intrusion(1, listed=0.3)["redteam"].num_rows
    assert 0.2 < named / world["truth"].num_rows < 0.4
    wrong = intrusion(1, label_noise=0.5)["redteam"].num_rows
    assert abs(wrong - 1.5 * world["truth"].num_rows) <= 1
    small = intrusion(1, days=10, people=50, servers=10, red_campaigns=2, red_events=40)
    assert day(small["auth"]).max() == 9
    assert small["computers"].num_rows == 60


def test_the_real_track_can_be_planted(real_data):
    path = real_data / "lanl_redteam" / "redteam.parquet"
    if not path.is_file():
        pytest.skip("the real red-team events are not here")
    world = intrusion(0, planted=path, people=400, days=30)
    real = pq.read_table(path).to_pandas()
    truth = world["truth"].to_pandas()
    assert sorted(truth.time) == sorted(real.time)
    for mine, theirs in (
        ("user", "user"),
        ("source_computer", "src_computer"),
        ("destination_computer", "dst_computer"),
    ):
        assert sorted(truth[mine].value_counts()) == sorted(real[theirs].value_counts())
    with pytest.raises(ValueError, match="104 accounts"):
        intrusion(0, planted=path, people=80)
