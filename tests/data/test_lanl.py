import gzip

import numpy as np
import pyarrow as pa
import pytest

from knowreason.data import Dataset
from knowreason.data import lanl_logs as lanl
from knowreason.data.worlds import intrusion
from knowreason.errors import DataError
from knowreason.lang import load
from knowreason.resources import rulesets_path

AUTH = """\
10,U1@DOM1,U1@DOM1,C1,C2,NTLM,Network,LogOn,Success
20,U1@DOM1,U1@DOM1,C1,C2,NTLM,Network,LogOn,Fail
4000,U1@DOM1,U1@DOM1,C1,C2,NTLM,Network,LogOn,Success
30,U2@DOM1,U2@DOM1,C1,C3,MICROSOFT_AUTHENTICATION_PACKAGE_V,Network,LogOn,Success
31,U2@DOM1,U2@DOM1,C1,C3,MICROSOFT_AUTHENTICATION_PACK,Network,LogOn,Success
40,C1$@DOM1,C1$@DOM1,C1,C1,?,Service,LogOn,Success
50,U1@DOM1,U1@DOM1,C1,C2,?,Network,LogOff,Success
90000,ANONYMOUS LOGON@C4,ANONYMOUS LOGON@C4,C4,C2,Kerberos,Network,LogOn,Success
"""
REDTEAM = "20,U1@DOM1,C1,C2\n77,U9@DOM1,C1,C2\n"


@pytest.fixture(params=["plain", "gz"])
def files(request, tmp_path):
    def write(name, text):
        packed = request.param == "gz"
        path = tmp_path / f"{name}.txt{'.gz' if packed else ''}"
        with gzip.open(path, "wt") if packed else path.open("w") as file:
            file.write(text)
        return path

    return write


def test_equal_logons_within_a_window_are_one_event(files):
    table = lanl.events(files("auth", AUTH), files("redteam", REDTEAM))
    rows = table.select(["id", "time", "day", "user", "target", "logons", "failures", "malicious"])
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        ("e0", 10, 0, "U1@DOM1", "C2", 2, 1, 1),
        ("e1", 30, 0, "U2@DOM1", "C3", 2, 0, 0),
        ("e2", 4000, 0, "U1@DOM1", "C2", 1, 0, 0),
        ("e3", 90000, 1, "ANONYMOUS LOGON@C4", "C2", 1, 0, 0),
    ]
    assert table["package"].to_pylist() == ["NTLM", lanl.MSV1, "NTLM", "Kerberos"]
    assert table["hour"].to_pylist() == [0, 0, 1, 1]


def test_what_is_kept(files):
    auth = files("auth", AUTH)
    assert lanl.events(auth, local=True).num_rows == 5
    assert lanl.events(auth, orientations=()).num_rows == 5
    assert lanl.events(auth, window=10).num_rows == 5
    assert lanl.events(auth, start=30, stop=4000)["time"].to_pylist() == [30]
    assert "malicious" not in lanl.events(auth).column_names


def test_accounts_and_computers_are_sampled_but_not_those_of_the_red_team():
    world = intrusion(3, days=5, red_campaigns=2, red_events=60)
    whole = lanl.events(world["auth"], world["redteam"])
    some = lanl.events(world["auth"], world["redteam"], accounts=0.3, computers=0.7)
    again = lanl.events(world["auth"], world["redteam"], accounts=0.3, computers=0.7)
    other = lanl.events(world["auth"], world["redteam"], accounts=0.3, computers=0.7, seed=1)
    assert some.equals(again)
    assert not some.equals(other)
    assert 0.05 < some.num_rows / whole.num_rows < 0.7
    assert sum(some["malicious"].to_pylist()) == sum(whole["malicious"].to_pylist())


@pytest.mark.parametrize("line", ["1,2,3", "x,a,a,a,a,a,a,a,a", "1,a,a,a,a,a,a,a,a,b"])
def test_a_wrong_line_is_named_by_file_and_number(files, line):
    auth = files("auth", AUTH + line + "\n")
    with pytest.raises(DataError, match=rf"auth\.txt.*line 9 does not fit: `{line}`") as error:
        lanl.events(auth)
    assert error.value.code == "KR527"
    assert "nine" not in str(error.value)


def test_a_wrong_line_of_the_red_team(files):
    auth, redteam = files("auth", AUTH), files("redteam", REDTEAM + "1,2\n")
    with pytest.raises(DataError, match=r"redteam\.txt.*line 3 .*has time, user, source comp"):
        lanl.events(auth, redteam)


def test_files_that_are_not_there_and_odd_limits(files, tmp_path):
    with pytest.raises(DataError, match="KR501"):
        lanl.events(tmp_path / "none.txt")
    for wrong in ({"window": 0}, {"accounts": 1.5}, {"computers": -0.1}):
        with pytest.raises(DataError, match="KR528"):
            lanl.events(files("auth", AUTH), **wrong)


@pytest.mark.parametrize("packed", [True, False])
def test_what_the_generator_writes_is_read_again(tmp_path, packed):
    world = intrusion(1, days=3, people=60, servers=12, red_campaigns=1, red_events=30)
    auth, redteam = lanl.write_log(tmp_path, world, packed=packed)
    assert auth.name == ("auth.txt.gz" if packed else "auth.txt")
    assert lanl.events(auth, redteam).equals(lanl.events(world["auth"], world["redteam"]))


def test_little_memory_is_enough(tmp_path):
    world = intrusion(1, days=10, people=200)
    auth, redteam = lanl.write_log(tmp_path, world)
    few = lanl.events(auth, redteam, memory_limit="64MB", threads=1)
    assert few.equals(lanl.events(auth, redteam))


def test_events_bind_to_the_rules():
    world = intrusion(1, days=4, people=60, servers=12, red_campaigns=2, red_events=40)
    events = lanl.events(world["auth"], world["redteam"])
    program = load(rulesets_path() / "intrusion_events.kr")
    data = Dataset.from_frames(program, **lanl.frames(events))
    assert data.facts["Logon"].num_rows == events.num_rows == data.count("Event")
    assert data.labels["Malicious"].num_rows == events.num_rows
    unknown = np.array(events["package"].to_pylist()) == "?"
    assert data.labels["Ntlm"].num_rows == (~unknown).sum()
    assert data.facts["Next"].num_rows == 3
    assert data.graph is not None
    assert len(data.graph.relations[0]) == events.num_rows
    unlabelled = lanl.frames(lanl.events(world["auth"]))
    assert "Malicious" not in unlabelled["labels"]
    assert isinstance(unlabelled["facts"]["Logon"], pa.Table)
