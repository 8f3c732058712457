"""Canonical text of values, terms and programs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowreason.lang import loads
from knowreason.lang.syntax.literal_values import parse_duration, parse_time
from knowreason.logic import Constant, Operation, ParameterTerm
from knowreason.logic.canonical_text import (
    duration_text,
    number_text,
    string_text,
    term_text,
    time_text,
)

INTRUSION = """
# Intrusion detection on authentication events (KnowGraph, Tables 1-3).
domain Host, User, Event
domain Protocol = { "NTLM", "Kerberos", "Negotiate" }

observed Logon(Event, user: User, src: Host, dst: Host)   # closed world
attribute at(Event): time                                 # one value per event
attribute failures(Event): int

query Malicious(Event)                 # open world
query Uses(Event, Protocol!)           # `!`: exactly one protocol per event
latent Compromised(Host)               # open world; never labelled, inferred jointly

param horizon = 1h

model euler   for Malicious   = temporal_link(hidden=64)
model twohop  for Malicious   = enclosing_subgraph(hops=2)
model auth    for Uses        = gnn(level="edge")
model density for Compromised = gad_ebm()

define Pivot(e, f) := Logon(e, user: u, dst: h) & Logon(f, user: u, src: h) \
& 0s < at(f) - at(e) <= horizon
define fan_out(h)  := count { e : Logon(e, src: h) }

rule auth_rule                    : Malicious(e) => Uses(e, "NTLM")
rule per_protocol [? per p]       : Uses(e, p) => Malicious(e)
rule pivot        [? 0.8]         : Malicious(e) & Pivot(e, f) => Malicious(f)
rule foothold                     : Compromised(h) & Logon(e, src: h) => Malicious(e)
rule noisy        [? * log1p(failures(e))] : Malicious(e)
rule rare         [-4]            : Malicious(e)
rule contained    [hard]          : Malicious(e) & Logon(e, src: h) => Compromised(h)
"""
CANONICAL = """\
domain Host
domain User
domain Event
domain Protocol = { "NTLM", "Kerberos", "Negotiate" }

observed Logon(Event, user: User, src: Host, dst: Host)
query Malicious(Event)
query Uses(Event, Protocol!)
latent Compromised(Host)

attribute at(Event): time
attribute failures(Event): int

param horizon = 1h

model euler for Malicious = temporal_link(hidden=64)
model twohop for Malicious = enclosing_subgraph(hops=2)
model auth for Uses = gnn(level="edge")
model density for Compromised = gad_ebm()

define Pivot(e, f) := Logon(e, u, _, h) & Logon(f, u, h, _) & 0s < at(f) - at(e) \
& at(f) - at(e) <= horizon
define fan_out(h) := count { e : Logon(e, _, h, _) }

rule auth_rule : Malicious(e) => Uses(e, "NTLM")
rule per_protocol [? per p] : Uses(e, p) => Malicious(e)
rule pivot [? 0.8] : Malicious(e) & Pivot(e, f) => Malicious(f)
rule foothold : Compromised(h) & Logon(e, _, h, _) => Malicious(e)
rule noisy [? * log1p(failures(e))] : Malicious(e)
rule rare [-4] : Malicious(e)
rule contained [hard] : Malicious(e) & Logon(e, _, h, _) => Compromised(h)
"""


def test_the_example_of_the_language():
    program = loads(INTRUSION)
    assert str(program) == CANONICAL
    assert loads(CANONICAL) == program


@given(st.integers(-(10**18), 10**18))
def test_durations_and_their_text(microseconds):
    assert parse_duration(duration_text(microseconds)) == microseconds


@given(st.integers(-(10**16), 10**16))
def test_times_and_their_text(microseconds):
    assert parse_time(time_text(microseconds)) == microseconds


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(0, "0s"), (3_600_000_000, "1h"), (5_400_000_000, "90m"), (-1500, "-1.5ms"), (1, "0.001ms")],
)
def test_the_largest_whole_unit(microseconds, text):
    assert duration_text(microseconds) == text


@pytest.mark.parametrize(
    "text", ["", "h", "1", "1 h", "1hour", "-h", "--1h", "1e3h", "\u0663h", "9" * 400 + "h"]
)
def test_what_is_no_duration(text):
    assert parse_duration(text) is None


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01", "31.01.2026", "0001-01-01T00:00+23:00"])
def test_what_is_no_time(text):
    assert parse_time(text) is None


def test_strings_are_escaped():
    assert string_text('a "b" \\ \n\t') == '"a \\"b\\" \\\\ \\n\\t"'


@pytest.mark.parametrize(
    ("value", "text"), [(2.0, "2"), (-0.5, "-0.5"), (1e-7, "1e-07"), (1e22, "1e+22")]
)
def test_numbers(value, text):
    assert number_text(value) == text


def test_parentheses_only_where_they_are_needed():
    limit, three = ParameterTerm("limit", "int"), Constant(3, "int")
    total = Operation("+", (limit, three), "int")
    assert term_text(Operation("*", (total, total), "int")) == "(limit + 3) * (limit + 3)"
    assert term_text(Operation("-", (total, total), "int")) == "limit + 3 - (limit + 3)"
    assert term_text(Operation("neg", (total,), "int")) == "-(limit + 3)"
