"""Programs built in Python are the programs written in text."""

from datetime import UTC, datetime, timedelta

import pytest

from knowreason.errors import ProgramError
from knowreason.lang import loads
from knowreason.lang.python.program_builder import (
    HARD,
    Expression,
    aggregate,
    anything,
    at_most_one,
    attribute,
    choose,
    count,
    count_of,
    define,
    domain,
    exactly_one,
    exists,
    exp,
    floor,
    forall,
    given,
    greatest,
    iff,
    implies,
    kind,
    latent,
    learned,
    least,
    log,
    log1p,
    model,
    observed,
    param,
    program,
    query,
    rate,
    rule,
    sqrt,
    var,
)

x, y, e, f, h, p, u = var("x y e f h p u")


def test_the_smokers():
    Person = domain("Person")
    Friends = observed("Friends", Person, Person)
    Smokes, Cancer = query("Smokes", Person), query("Cancer", Person)
    built = program(
        Person,
        Friends,
        Smokes,
        Cancer,
        rule("peers", (Smokes(x) & Friends(x, y)) >> Smokes(y), weight=1.1),
        rule("harm", Smokes(x) >> Cancer(x), weight=1.5),
    )
    assert built == loads("""
domain Person
observed Friends(Person, Person)
query Smokes(Person)
query Cancer(Person)
rule peers [1.1] : Smokes(x) & Friends(x, y) => Smokes(y)
rule harm  [1.5] : Smokes(x) => Cancer(x)
""")


INTRUSION = """
domain Host
domain User
domain Event
domain Protocol = { "NTLM", "Kerberos", 3 }
observed Logon(Event, user: User, src: Host, dst: Host)
observed Near(Host, Host) symmetric
attribute at(Event): time clock
attribute failures(Event): int
attribute owner(Host): User
query Malicious(Event)
query Uses(Event, Protocol!)
latent Kept(Event, Protocol?)
latent Compromised(Host)
latent Linked(Host, Host) within Near
param horizon = 1h
model main for Malicious, Linked = noisy(gnn(level="edge", layers=[1, 2]), passes=10, deep=true)
define Pivot(e, f) := Logon(e, user: u, dst: h) & Logon(f, user: u, src: h)
    & at(f) - at(e) > 0s & at(f) - at(e) <= horizon
define fan_out(h) := count { e : Logon(e, src: h) last 30 by at(e) }
define total(h) := sum { failures(e) for e : Logon(e, src: h) }
define share(h) := rate { failures(e) > 3 for e : Logon(e, src: h) prior 0.15 of 2 }
rule per_protocol [? per p] : Uses(e, p) => Malicious(e)
rule pivot [? 0.8 >= 0] : Malicious(e) & Pivot(e, f) => Malicious(f)
rule noisy_one [? * log1p(failures(e)) / 2] : Malicious(e)
rule rare [-4] : Malicious(e)
rule scaled [0.5 * (failures(e) + 1)] : Malicious(e)
rule contained [hard] : Malicious(e) & Logon(e, src: h) => Compromised(h)
rule some : Malicious(e) & (exists f. (Pivot(e, f) & Malicious(f))) | !(forall h. Compromised(h))
rule few [hard] : count { h : Compromised(h) } <= 3
rule either : count { Compromised(h), Linked(h, _) } != 1
rule same : Malicious(e) <=> Uses(e, "NTLM")
rule partly : Malicious(e) & (Uses(e, 3) => Kept(e, "NTLM"))
rule late : Malicious(e) & at(e) > "2026-01-31T00:00:00+00:00" & failures(e) >= -1 - 2 * 3
rule maths : Malicious(e) & max(abs(-failures(e)), 1) - min(exp(1), floor(sqrt(2))) < log(3)
rule stated : Malicious(e) => Uses(e, "Kerberos")
"""


def test_everything_the_language_has():
    Host, User, Event = domain("Host"), domain("User"), domain("Event")
    Protocol = domain("Protocol", ["NTLM", "Kerberos", 3])
    Logon = observed("Logon", Event, user=User, src=Host, dst=Host)
    Near = observed("Near", Host, Host, symmetric=True)
    at = attribute("at", Event, sort="time", clock=True)
    failures = attribute("failures", Event, sort="int")
    owner = attribute("owner", Host, sort=User)
    Malicious = query("Malicious", Event)
    Uses = query("Uses", Event, exactly_one(Protocol))
    Kept = latent("Kept", Event, at_most_one(Protocol))
    Compromised = latent("Compromised", Host)
    Linked = latent("Linked", Host, Host, within=Near)
    horizon = param("horizon", timedelta(hours=1))
    gap = at(f) - at(e)
    Pivot = define(
        "Pivot",
        [e, f],
        Logon(e, user=u, dst=h) & Logon(f, user=u, src=h) & (timedelta(0) < gap) & (gap <= horizon),
    )
    logon = Logon(e, src=h)
    call = kind("noisy", kind("gnn", level="edge", layers=[1, 2]), passes=10, deep=True)
    late = datetime(2026, 1, 31, tzinfo=UTC)
    built = program(
        *(Host, User, Event, Protocol, Logon, Near, at, failures, owner),
        *(Malicious, Uses, Kept, Compromised, Linked, horizon),
        model("main", [Malicious, Linked], call),
        Pivot,
        define("fan_out", [h], count(e, logon, last=30, by=at(e))),
        define("total", [h], aggregate("sum", failures(e), e, logon)),
        define("share", [h], rate(failures(e) > 3, e, logon, prior=0.15, strength=2)),
        rule("per_protocol", Uses(e, p) >> Malicious(e), learned(per=[p])),
        rule("pivot", (Malicious(e) & Pivot(e, f)) >> Malicious(f), learned(0.8, ">=")),
        rule("noisy_one", Malicious(e), learned(feature=log1p(failures(e)) / 2)),
        rule("rare", Malicious(e), -4),
        rule("scaled", Malicious(e), given(0.5, feature=failures(e) + 1)),
        rule("contained", (Malicious(e) & logon) >> Compromised(h), HARD),
        rule(
            "some",
            Malicious(e) & exists(f, Pivot(e, f) & Malicious(f)) | ~forall([h], Compromised(h)),
        ),
        rule("few", count(h, Compromised(h)) <= 3, HARD),
        rule("either", count_of(Compromised(h), Linked(h, anything)) != 1),
        rule("same", iff(Malicious(e), Uses(e, "NTLM"))),
        rule("partly", Malicious(e) & implies(Uses(e, 3), Kept(e, "NTLM"))),
        rule("late", Malicious(e) & (at(e) > late) & (failures(e) >= -1 - 2 * Expression("3"))),
        rule(
            "maths",
            Malicious(e)
            & (greatest(abs(-failures(e)), 1) - least(exp(1), floor(sqrt(2))) < log(3)),
        ),
        rule("stated", Malicious(e) >> Uses(e, "Kerberos")),
    )
    assert built == loads(INTRUSION)


def test_an_implication_beside_and_is_refused():
    A = query("A", domain("D"))
    for build in (
        lambda: A(x) & A(y) >> A(x),
        lambda: A(x) | A(y) >> A(x),
        lambda: A(x) >> A(y) >> A(x),
    ):
        with pytest.raises(ProgramError) as caught:
            build()
        assert caught.value.code == "KR113"


def test_expressions_are_neither_true_nor_false():
    n = attribute("n", "D", sort="int")
    with pytest.raises(ProgramError):
        bool(1 < n(x) < 3)
    with pytest.raises(ProgramError):
        param("p", float("nan"))


def test_errors_show_the_text_of_the_rule():
    Person = domain("Person")
    Smokes = query("Smokes", Person)
    with pytest.raises(ProgramError) as caught:
        program(Person, Smokes, rule("r", Smokes(x, y)))
    (finding,) = caught.value.diagnostics
    assert finding.code == "KR203"
    assert finding.span.source.line(3) == "rule r : Smokes(x, y)"


def test_chances_sets_and_choices():
    Pay = domain("Pay")
    amount = attribute("amount", Pay, sort="float")
    country = attribute("country", Pay, sort="string")
    Fraud, risk = query("Fraud", Pay), define("risk", [p], choose(amount(p) > 5, 2, 1))
    built = program(
        Pay,
        amount,
        country,
        Fraud,
        risk,
        rule("one", Fraud(p) & country(p).is_in("NG", "RU"), given("80%")),
        rule("two", Fraud(p) & (choose(amount(p) > 5, 2, 1) * 2 > 3), learned("odds 4", ">=")),
        rule("three", exists(e, Fraud(e) & Fraud(p)) & Fraud(p) | exists(e, Fraud(e)), 1),
    )
    assert built == loads("""
domain Pay
attribute amount(Pay): float
attribute country(Pay): string
query Fraud(Pay)
define risk(p) := if amount(p) > 5 then 2 else 1
rule one [80%] : Fraud(p) & country(p) in { "NG", "RU" }
rule two [? odds 4 >= 0] : Fraud(p) & (if amount(p) > 5 then 2 else 1) * 2 > 3
rule three [1] : (exists e. (Fraud(e) & Fraud(p))) & Fraud(p) | (exists e. Fraud(e))
""")
