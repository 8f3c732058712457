"""Rules about accounts on a handful of facts, at their prior weights."""

from knowreason.data import Dataset
from knowreason.grounding import ground
from knowreason.inference import infer
from knowreason.lang import load, parse_facts
from knowreason.resources import rulesets_path


def log_odds(name, facts):
    program = load(rulesets_path() / name)
    grounding = ground(program, Dataset.from_facts(program, parse_facts(program, facts)))
    odds = infer(grounding.graph).log_odds.tolist()
    return {grounding.atom_name(atom): value for atom, value in enumerate(odds)}


def test_partners_of_a_known_fraud_are_suspected():
    facts = """
    Rates("a", "x") Rates("x", "a") Rates("b", "y") Rates("y", "b")
    Fraud("a") !Fraud("b")
    """
    odds = log_odds("accounts_trust_rules.kr", facts.replace("\n    ", "\n"))
    assert odds['Fraud("x")'] > odds['Fraud("y")'] + 1


def test_whom_nobody_answers_is_suspected():
    facts = " ".join(f'Rates("{i}", "lone") Rates("{i}", "met") Rates("met", "{i}")' for i in "abc")
    odds = log_odds("accounts_trust_rules.kr", facts)
    assert odds['Fraud("lone")'] > odds['Fraud("met")'] + 1


def test_whom_an_honest_user_distrusts_is_suspected():
    facts = 'Rates("h", "x") Rates("f", "y") Distrusts("h", "x") Distrusts("f", "y")'
    odds = log_odds("accounts_ratings_rules.kr", facts + ' !Fraud("h") Fraud("f")')
    assert odds['Fraud("x")'] > odds['Fraud("y")'] + 0.5


def transfers(*moves):
    return " ".join(
        f'Transfer("{i}", "{a}", "{b}") step("{i}") = {step}'
        for i, (a, b, step) in enumerate(moves)
    )


def test_circles_count_in_time_order_only():
    rules = "accounts_transfers_rules.kr"
    round_ = log_odds(rules, transfers(("a", "b", 1), ("b", "c", 5), ("c", "a", 9)))
    back = log_odds(rules, transfers(("a", "b", 9), ("b", "c", 5), ("c", "a", 1)))
    late = log_odds(rules, transfers(("a", "b", 1), ("b", "c", 5), ("c", "a", 90)))
    for account in "abc":
        name = f'Laundering("{account}")'
        assert round_[name] > late[name] + 1
        assert round_[name] > back[name] + 1


def test_who_shares_a_circle_with_a_launderer_is_suspected():
    rules = "accounts_transfers_rules.kr"
    circle = transfers(("a", "b", 1), ("b", "c", 5), ("c", "a", 9))
    assert (
        log_odds(rules, circle + ' Laundering("a")')['Laundering("b")']
        > log_odds(rules, circle)['Laundering("b")'] + 0.2
    )
