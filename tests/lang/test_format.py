"""The canonical layout."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowreason.diagnostics import Source
from knowreason.lang import loads
from knowreason.lang.layout.formatter import WIDTH, format_text
from knowreason.lang.syntax.parser import parse_program
from tests.lang.programs import programs

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.kr"))
RELAXED = settings(max_examples=60)

UNTIDY = """
# Intrusion detection


domain Host,Event   # sorts
domain Protocol={"NTLM",
  # the usual one
  "Kerberos"}
observed   Logon( Event,src :Host )symmetric
query Uses(Event,Protocol !)
query Malicious( Event )
   # indented, between statements
attribute at (Event):time clock
param  horizon=1h
model a for Malicious=gnn( hidden = 64,rate_of=-1.5 )
model longer for Malicious,Uses = noisy(gnn( ),passes=10)
define fan_out(h):=count{e:Logon(e,src:h)last 3 by(at(e))}
rule r : Malicious(e)∧ ¬Uses(e,"NTLM")⇒Malicious(e) # why
rule each [?-1.5>=0 per p*-fan_out(h)/2]:Uses(e,p)&Logon(e,h)=>Malicious(e)   # how

rule next[hard]:∃x.(Malicious(x)|Malicious(e))
"""
TIDY = """\
# Intrusion detection

domain Host, Event  # sorts
domain Protocol = { "NTLM",
    # the usual one
    "Kerberos" }
observed Logon(Event, src: Host) symmetric
query Uses(Event, Protocol!)
query Malicious(Event)
# indented, between statements
attribute at(Event): time clock
param horizon = 1h
model a      for Malicious       = gnn(hidden=64, rate_of=-1.5)
model longer for Malicious, Uses = noisy(gnn(), passes=10)
define fan_out(h) := count { e : Logon(e, src: h) last 3 by (at(e)) }
rule r : Malicious(e) & !Uses(e, "NTLM") => Malicious(e) # why
rule each [? -1.5 >= 0 per p * -fan_out(h) / 2] : Uses(e, p) & Logon(e, h) => Malicious(e) # how

rule next [hard] : exists x. (Malicious(x) | Malicious(e))
"""


def squeezed(text):
    return re.sub(r" {2,}", " ", text)


def test_the_layout():
    assert squeezed(format_text(UNTIDY)) == squeezed(TIDY)


def test_heads_of_rules_next_to_one_another_are_aligned():
    text = format_text(
        "rule a : Q(x)\nrule long [1] : Q(x)  # why\nrule b : Q(y)\n\nrule c : Q(x)\n"
    )
    assert text == (
        "rule a        : Q(x)\nrule long [1] : Q(x)  # why\nrule b        : Q(y)\n\nrule c : Q(x)\n"
    )


def test_heads_of_models_and_definitions_are_aligned():
    text = format_text(
        "model a for Q, R = gnn()\nmodel long for Q = gnn()\n"
        "define P(x) := Q(x)\ndefine near(x, y) := count { z : F(x, y, z) }\n"
    )
    assert text == (
        "model a    for Q, R = gnn()\nmodel long for Q    = gnn()\n"
        "define P(x)       := Q(x)\ndefine near(x, y) := count { z : F(x, y, z) }\n"
    )


def test_long_statements_are_broken_before_connectives():
    body = " & ".join(f'Predicate{i}(x, "constant")' for i in range(12))
    text = format_text(f"rule r : {body} => Q(x)\n")
    assert max(map(len, text.split("\n"))) <= WIDTH
    assert text.count("\n    & ") >= 3
    assert format_text(text) == text


def statements_of(text):
    return parse_program(Source("x", text)).statements


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_meaning_comments_and_faulty_statements_stay(path):
    text = path.read_text()
    tidy = format_text(text)
    assert format_text(tidy) == tidy
    assert statements_of(tidy) == statements_of(text)
    assert sorted(re.findall(r"#.*", tidy)) == sorted(re.findall(r"#.*", text))


@RELAXED
@given(programs(), st.randoms(use_true_random=False))
def test_any_program_with_any_spaces(program, random):
    tokens = re.split(r'("(?:[^"\\]|\\.)*"|\s+)', str(program))
    messy = "".join(_mess(random, token) for token in tokens)
    tidy = format_text(messy)
    assert loads(tidy) == program
    assert format_text(tidy) == tidy


def _mess(random, token):
    if token.isspace() and "\n" not in token:
        return random.choice([" ", "   ", "\n  ", "  # note\n ", "\n # alone\n\n\t"])
    return token


def test_nothing_stays_nothing():
    assert format_text("") == ""
    assert format_text("\n\n") == ""
    assert format_text("# only\n") == "# only\n"
    assert format_text("\ufeffdomain A\r\n") == "domain A\n"
