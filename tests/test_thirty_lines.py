"""The thirty lines of Python that the design promises, as they stand there."""

from inspect import isfunction, ismodule
from pkgutil import iter_modules

import numpy as np
import polars as pl
import pytest

import knowreason as kr

RULES = """
domain Event, User, Host
domain AuthType = {"Kerberos", "NTLM"}
observed Logon(Event, user: User, src: Host, dst: Host)
attribute at(Event): time clock
query Malicious(Event)
query Uses(Event, AuthType!)
latent Compromised(Host)
model degree for Malicious = mean_degree()
model auth for Uses = sklearn(estimator="logistic", features=["traffic"])
define traffic(e) := count { f, h : Logon(e, src: h) & Logon(f, src: h) }
rule foothold [? 2 >= 0] : Compromised(h) & Logon(e, src: h) => Malicious(e)
rule betrays  [? 2 >= 0] : Malicious(e) & Logon(e, src: h) => Compromised(h)
rule ntlm     [?]        : Malicious(e) => Uses(e, "NTLM")
rule rare     [-2]       : Compromised(h)
"""


def write_events(path):
    rng = np.random.default_rng(0)
    count, hosts = 400, 20
    source = rng.integers(0, hosts, count)
    bad = rng.random(count) < np.where(source < 3, 0.6, 0.03)
    pl.DataFrame(
        {
            "id": [f"e{i}" for i in range(count)],
            "user": [f"u{i}" for i in rng.integers(0, 30, count)],
            "src": [f"h{i}" for i in source],
            "dst": [f"h{i}" for i in rng.integers(0, hosts, count)],
            "time": pl.datetime_range(
                pl.datetime(2026, 1, 1), pl.datetime(2026, 1, 29), eager=True, interval="101m"
            )[:count],
            "redteam": bad,
            "auth_type": np.where(rng.random(count) < 0.2 + 0.6 * bad, "NTLM", "Kerberos"),
            "bytes": rng.normal(size=count) + bad,
            "failures": rng.integers(0, 3, count),
        }
    ).write_parquet(path)


@kr.models.register("mean_degree")  # a model of one's own
class MeanDegree(kr.KnowledgeModel):
    """Log-odds by how often an event's source logs on."""

    def fit(self, data, predicate): ...

    def log_odds(self, data, predicate):
        table = data.facts["Logon"]
        source = table.column("a2").to_numpy()
        degree = np.bincount(source, minlength=data.count("Host"))
        found = np.zeros(data.count("Event"), dtype=np.float32)
        found[table.column("a0").to_numpy()] = np.log1p(degree[source]) - 4
        return found


def test_thirty_lines(tmp_path, capsys):
    (tmp_path / "intrusion.kr").write_text(RULES)
    write_events(tmp_path / "events.parquet")

    program = kr.load(tmp_path / "intrusion.kr")
    events = pl.read_parquet(tmp_path / "events.parquet")
    data = kr.Dataset.from_frames(
        program,
        facts={"Logon": events["id", "user", "src", "dst"], "at": events["id", "time"]},
        labels={"Malicious": events["id", "redteam"], "Uses": events["id", "auth_type"]},
        graph=kr.EdgeList(
            events,
            source="src",
            target="dst",
            time="time",
            features=["bytes", "failures"],
        ),
    )
    past, future = data.split_by("at", before="2026-01-20")

    reasoner = kr.Reasoner(program, method="variational_em", seed=0).fit(past)
    posterior = reasoner.infer(future)
    print(posterior.info)
    frame = posterior.marginals("Malicious").to_polars()
    print(reasoner.score(future, metrics=["average_precision", "ece"]))
    print(reasoner.explain(posterior, f'Malicious("{frame["event"][0]}")'))

    grounding = kr.ground(program, future)
    exact = kr.infer(grounding.graph, engine="exact")

    said = capsys.readouterr().out
    assert "components" in said
    assert "why (parts of the log-odds; they add up)" in said
    assert frame.columns == ["event", "probability", "log_odds"]
    assert frame["probability"].is_between(0, 1).all()
    assert len(exact.log_odds) == grounding.graph.atom_count
    scores = reasoner.score(future, metrics=["average_precision"])
    assert scores["Malicious.average_precision"].value > 0.3
    assert scores["Uses.average_precision"].value > 0.5
    alone = reasoner.score(future, metrics=["average_precision"], predicate="Malicious")
    assert alone["average_precision"] == scores["Malicious.average_precision"]


def test_every_public_name_is_there():
    for name in kr.__all__:
        assert getattr(kr, name) is not None
        assert name in dir(kr)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = kr.nothing


def test_functions_are_functions_however_packages_were_imported():
    import knowreason.explanation
    import knowreason.inference.messages.bp

    for name in ("ground", "infer", "learn", "explain", "plan"):
        assert isfunction(getattr(kr, name))
    assert kr.infer is knowreason.inference.infer
    assert kr.explain is knowreason.explanation.explain


@pytest.mark.parametrize("name", [name for name in kr.__all__ if ismodule(getattr(kr, name))])
def test_packages_show_what_they_offer(name):
    package = getattr(kr, name)
    inner = {module.name for module in iter_modules(package.__path__)}
    shown = {shown for shown in dir(package) if not shown.startswith("__")}
    assert shown - inner <= set(package.__all__)
