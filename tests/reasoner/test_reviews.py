"""Past cases as if nobody knew, and beliefs on changed data, against learning's own inference."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

import knowreason as kr
from knowreason.data.id_tables import id_columns
from knowreason.errors import DataError, ProgramError, ProjectError
from knowreason.grounding.arrays.array_tables import BeyondArrays
from knowreason.reasoner.reviews import changed_beliefs
from knowreason.reasoner.reviews.changed_beliefs import ChangedBeliefs
from knowreason.reasoner.reviews.data_edits import Edit, edited, parse_edit
from knowreason.reasoner.reviews.past_cases import case_of

TEXT = """
domain Pay, Card, Shop, Land
observed Pays(Pay, card: Card, shop: Shop)
observed Near(Shop, Shop) symmetric
attribute amount(Pay): float
attribute kind(Pay): string
attribute home(Card): Land
attribute place(Shop): Land
query Fraud(Pay)
latent Bad(Shop)
define Abroad(p) := Pays(p, card: c, shop: s) & home(c) != place(s)
model signs for Fraud = sklearn(estimator="logistic", features=["kind", "Abroad"])
rule rare  [-1]   : Fraud(p)
rule big   [3]    : amount(p) > 80 => Fraud(p)
rule shop  [2]    : Bad(s) & Pays(p, _, s) => Fraud(p)
rule few   [-1]   : Bad(s)
rule round [0.5]  : Bad(s) & Near(s, t) => Bad(t)
"""


def world(seed=0, pays=60):
    rng = np.random.default_rng(seed)
    names = [f"p{i}" for i in range(pays)]
    shops, cards = [f"s{i}" for i in range(8)], [f"c{i}" for i in range(12)]
    shop = rng.integers(0, 8, pays)
    amount = rng.random(pays) * 100
    fraud = (shop < 3) & (amount > 40)
    facts = {
        "Pays": {
            "p": names,
            "c": [cards[i] for i in rng.integers(0, 12, pays)],
            "s": [shops[i] for i in shop],
        },
        "Near": {"s": shops[:-1:2], "t": shops[1::2]},
        "amount": {"p": names, "v": amount},
        "kind": {"p": names, "v": [["chip", "web"][i] for i in rng.integers(0, 2, pays)]},
        "home": {"c": cards, "v": [["north", "south"][i % 2] for i in range(12)]},
        "place": {"s": shops, "v": [["north", "south"][i % 2] for i in range(8)]},
    }
    program = kr.loads(TEXT)
    labels = {"Fraud": {"p": names[:40], "fraud": fraud[:40]}}
    return program, kr.Dataset.from_frames(program, facts=facts, labels=labels)


@pytest.fixture(scope="module")
def fitted():
    program, data = world()
    reasoner = kr.Reasoner(program).fit(data)
    return reasoner, data, reasoner.infer(data)


EDITS = [
    "amount(p50) = 99.5",
    "kind(p50) = web",
    "!Pays(p50, _, _)",
    "Pays(p50, c1, s7)",
    "home(c3) = south",
    "!Near(s1, s0)",
    "Fraud(p51)",
    "!Fraud(p1)",
]


@pytest.mark.parametrize("text", EDITS)
def test_beliefs_on_changed_data_are_those_of_inference_on_them(fitted, text):
    reasoner, data, beliefs = fitted
    edit = parse_edit(data.program, text)
    whole = reasoner.infer(edited(data, edit))
    for name in ("p50", "p45"):
        atom = whole.grounding.atom_index("Fraud", name)
        (told,) = reasoner.what_if(beliefs, f'Fraud("{name}")', [text])
        assert told.log_odds == pytest.approx(float(whole.log_odds[atom]), abs=1e-3)
        assert told.what == edit.text(data.program)


def test_a_part_of_the_data_is_read(fitted):
    reasoner, data, beliefs = fitted
    case = case_of(reasoner, beliefs, 'Fraud("p50")')
    part = case.changed.now().grounding.data
    assert part.facts["Pays"].num_rows < data.facts["Pays"].num_rows
    assert case.changed.log_odds(case.changed.now()) == pytest.approx(
        case.changed.expected, abs=1e-3
    )


def test_arrays_that_do_not_suffice_are_tried_once_a_question(fitted, monkeypatch):
    reasoner, _, beliefs = fitted
    changes = ["amount(p50) = 99.5", "kind(p50) = web", "home(c3) = south"]
    expected = [c.log_odds for c in reasoner.what_if(beliefs, 'Fraud("p50")', changes)]
    tried = []

    @contextmanager
    def too_few(*_):
        tried.append(1)
        raise BeyondArrays
        yield

    monkeypatch.setattr(changed_beliefs, "in_arrays", too_few)
    found = [c.log_odds for c in reasoner.what_if(beliefs, 'Fraud("p50")', changes)]
    assert found == pytest.approx(expected, abs=1e-6)
    assert len(tried) == 1


def test_without_a_part_that_says_the_same_all_data_are_judged(fitted):
    reasoner, data, beliefs = fitted
    changed = ChangedBeliefs(reasoner, beliefs, data, "Fraud", ("p50",), expected=77.0)
    now = changed.now()
    assert now.grounding.data.facts["Pays"].num_rows == data.facts["Pays"].num_rows
    atom = beliefs.grounding.atom_index("Fraud", "p50")
    assert changed.log_odds(now) == pytest.approx(float(beliefs.log_odds[atom]), abs=1e-6)


def test_single_changes_turn_it_around_when_they_are_made(fitted):
    reasoner, data, beliefs = fitted
    asked = beliefs.asked("Fraud")
    order = asked[np.argsort(np.abs(beliefs.log_odds[asked]))]
    turned = 0
    for atom in order[:3].tolist():
        name = beliefs.grounding.atom_name(atom)
        now = float(beliefs.log_odds[atom])
        for change in reasoner.what_if(beliefs, name, most=9):
            assert change.log_odds * now < 0
            whole = reasoner.infer(edited(data, parse_edit(data.program, change.what)))
            again = whole.log_odds[whole.grounding.atom_index("Fraud", name.split('"')[1])]
            assert change.log_odds == pytest.approx(float(again), abs=1e-3)
            turned += 1
    assert turned


def test_a_labelled_atom_is_explained_as_if_nobody_knew(fitted):
    reasoner, data, beliefs = fitted
    atom = beliefs.grounding.atom_index("Fraud", "p3")
    assert abs(beliefs.log_odds[atom]) > 100
    found = reasoner.explain(beliefs, 'Fraud("p3")')
    row = int(np.flatnonzero(id_columns(data.labels["Fraud"])[0] == atom)[0])
    hidden = data.hide("Fraud", np.array([row]))
    model = next(m for m in reasoner.models_ if m.name == "signs")
    assert model.fitted.out_of_fold[atom]

    def out_of_fold(outputs):
        return tuple(
            replace(o, llr=np.where(np.arange(len(o.llr)) == atom, said[o.model], o.llr))
            if o.model in said
            else o
            for o in outputs
        )

    said = {
        m.name: m.fitted.output.llr[atom] for m in (*reasoner.models_, *reasoner.answers_.beside)
    }
    whole = reasoner.infer_as(hidden, beliefs, out_of_fold)
    assert found.log_odds == pytest.approx(float(whole.log_odds[atom]), abs=1e-3)
    assert sum(s.log_odds for s in found.shares) == pytest.approx(found.log_odds, abs=1e-3)
    assert found.label is bool(data.labels["Fraud"].column("value")[row].as_py())
    assert f"labelled {'true' if found.label else 'false'}; explained as if nobody" in str(found)
    assert {field.name for field in found.fields} == {"amount", "kind", "card", "shop"}
    (told,) = reasoner.what_if(beliefs, 'Fraud("p3")', ["amount(p3) = 1"])
    assert abs(told.log_odds) < 100


def test_a_fact_is_there_or_not_in_both_directions():
    _, data = world()
    gone = edited(data, Edit("Near", ("s1", "s0"), False))
    assert gone.facts["Near"].num_rows == data.facts["Near"].num_rows - 2
    back = edited(gone, Edit("Near", ("s0", "s1"), True))
    rows = {tuple(row.values()) for row in back.facts["Near"].to_pylist()}
    assert rows == {tuple(row.values()) for row in data.facts["Near"].to_pylist()}


@pytest.mark.parametrize(
    ("text", "error", "code"),
    [
        ("amount(p999) = 1", DataError, "KR509"),
        ("Pays(p1, _, s1)", ProjectError, "KR941"),
        ("amount(p1) = 1 amount(p2) = 2", ProjectError, "KR941"),
        ("amunt(p1) = 1", ProgramError, "KR201"),
    ],
)
def test_changes_that_cannot_be_made(fitted, text, error, code):
    reasoner, _, beliefs = fitted
    with pytest.raises(error) as caught:
        reasoner.what_if(beliefs, 'Fraud("p50")', [text])
    assert caught.value.code == code
