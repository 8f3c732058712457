"""Scores by hand, negatives that are never true, what each scorer can and cannot tell apart."""

from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
import torch

from knowreason import lang
from knowreason.data import Dataset
from knowreason.errors import ModelError
from knowreason.models import atoms_of, check_model, make
from knowreason.models.links.link_scorers import Embeddings, Scorer, contrast, link_score
from knowreason.models.links.triples import Negatives, TripleArguments, TripleIndex

SCORERS = get_args(Scorer)
GRAPH = """
domain Entity, Relation
query Holds(head: Entity, relation: Relation, tail: Entity)
"""


def graph_data(triples, text=GRAPH, entities=(), **more):
    columns = dict(zip("hrt", map(pa.array, zip(*triples, strict=True)), strict=True))
    return Dataset.from_frames(
        lang.loads(text),
        labels={"Holds": columns},
        things={"Entity": pa.table({"e": pa.array(entities, pa.string())})},
        **more,
    )


def vectors(*rows):
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    ("scorer", "head", "relation", "tail", "wanted"),
    [
        ("transe", [1, 2], [0.5, -1], [2, 0], -(0.5 + 1)),
        ("distmult", [1, 2], [3, -1], [2, 4], 1 * 3 * 2 - 2 * 1 * 4),
        # (1 + 2i)(3 - i) conj(2 + 4i) = (5 + 5i)(2 - 4i) = 30 - 10i
        ("complex", [1, 2], [3, -1], [2, 4], 30),
        # (1 + 2i) turned by a quarter is -2 + i; less (1 - 3i) it is -3 + 4i
        ("rotate", [1, 2], [np.pi / 2], [1, -3], -5),
    ],
)
def test_scores_by_hand(scorer, head, relation, tail, wanted):
    score = link_score(scorer, vectors(head), vectors(relation), vectors(tail))
    assert score.item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("scorer", SCORERS)
def test_replaced_ends_score_as_triples_do(scorer, inverse):
    torch.manual_seed(0)
    module = Embeddings(scorer, 6, 2, 8, inverse).double()
    triples = torch.tensor([[0, 1, 2], [3, 0, 3], [5, 1, 4]])
    every = torch.arange(6)
    for side in (0, 1):
        replaced = triples[:, None].repeat(1, 6, 1)
        replaced[:, :, 2 * side] = every
        flat = replaced.flatten(0, 1)
        wanted = module.reading(flat, side).reshape(3, 6)
        torch.testing.assert_close(module.against(triples, side, every[None]), wanted)
        torch.testing.assert_close(module.against(triples, side, every.expand(3, -1)), wanted)
        if not inverse:
            torch.testing.assert_close(module(flat).reshape(3, 6), wanted)


@pytest.mark.parametrize("loss", ["softmax", "logistic", "margin", "self_adversarial"])
@pytest.mark.parametrize("scorer", SCORERS)
def test_gradients_are_finite_and_those_of_finite_differences(scorer, loss):
    torch.manual_seed(1)
    module = Embeddings(scorer, 5, 2, 4, True).double()
    triples = torch.tensor([[0, 1, 2], [3, 0, 3]])  # a loop: RotatE's root of nothing
    allowed = torch.tensor([[True, False, True, True, True], [False] * 5])

    def value():
        scores = module.against(triples, 1, torch.arange(5)[None])
        return contrast(loss, module.reading(triples, 1), scores, allowed, 2.0)

    value().backward()
    weights = module.entity.weight
    for place in [(0, 0), (2, 1), (4, 3)]:
        with torch.no_grad():
            ends = []
            for step in (1e-6, -2e-6):
                weights[place] += step
                ends.append(value().item())
            weights[place] += 1e-6
        if loss == "self_adversarial" and place[0] == 4:
            continue  # the weights of its negatives are held fixed on purpose
        slope = (ends[0] - ends[1]) / 2e-6
        if loss != "self_adversarial":
            assert weights.grad[place].item() == pytest.approx(slope, abs=1e-6)
    assert torch.isfinite(weights.grad).all()
    assert torch.isfinite(module.relation.weight.grad).all()


def test_self_adversarial_loss_by_hand():
    positive, negative = vectors(1.0)[0], vectors([0.0, np.log(3)])
    found = contrast("self_adversarial", positive, negative, torch.ones(1, 2, dtype=bool), 2.0)

    def log_sigmoid(x):
        return -np.log1p(np.exp(-x))

    wrong = 0.25 * log_sigmoid(-2.0) + 0.75 * log_sigmoid(-np.log(3) - 2)
    assert found.item() == pytest.approx(-(log_sigmoid(3.0) + wrong) / 2)


@pytest.mark.parametrize("limit", [0, 1 << 20])
@pytest.mark.parametrize("count", [3, 50])
def test_negatives_are_never_known_to_be_true(monkeypatch, count, limit):
    monkeypatch.setattr("knowreason.models.links.triples.TABLE_LIMIT", limit)
    random = np.random.default_rng(0)
    triples = np.unique(random.integers(0, [8, 2, 8], (60, 3)), axis=0)
    names = tuple(map(str, range(8)))
    index = TripleIndex(("E",), (names,), ("r", "s"), np.tile([[[0, 8], [0, 8]]], (2, 1, 1)))
    negatives = Negatives.of(index, triples, count, torch.device("cpu"))
    known, rows = set(map(tuple, triples.tolist())), torch.from_numpy(triples)
    for side in (0, 1):
        others, allowed = negatives.draw(rows, side, torch.Generator().manual_seed(0))
        drawn = rows[:, None].repeat(1, others.shape[1], 1)
        drawn[:, :, 2 * side] = others
        assert not known & set(map(tuple, drawn[allowed].tolist()))
        assert allowed.any(1).float().mean() > 0.9
        if count == 50:  # every candidate that is not known, once
            for triple, mask in zip(triples.tolist(), allowed.tolist(), strict=True):
                free = [
                    e not in {t[2 * side] for t in known if _same(t, triple, side)}
                    for e in range(8)
                ]
                assert mask == free


def _same(one, two, side):
    return one[1] == two[1] and one[2 - 2 * side] == two[2 - 2 * side]


def test_an_end_without_another_candidate_has_no_negative():
    index = TripleIndex(("E",), (("a", "b"),), ("r",), np.array([[[0, 2], [0, 2]]]))
    negatives = Negatives.of(index, np.array([[0, 0, 0], [0, 0, 1]]), 1, torch.device("cpu"))
    _, allowed = negatives.draw(torch.tensor([[0, 0, 0]]), 1, torch.Generator().manual_seed(0))
    assert not allowed.any()


def chain(size=12):
    """Each thing with the next one."""
    forth = [(f"e{i}", "next", f"e{i + 1}") for i in range(size)]
    return graph_data(forth), forth


@pytest.mark.parametrize(
    ("scorer", "tells"),
    [("transe", True), ("complex", True), ("rotate", True), ("distmult", False)],
)
def test_only_distmult_cannot_tell_a_direction(scorer, tells):
    data, forth = chain()
    options = {"dimension": 16, "epochs": 150, "validation": 0.0, "inverse": False,
               "regularisation": 0.0, "loss": "logistic"}  # fmt: skip
    model = make("link_embedding", {"scorer": scorer, **options}).fit(data, "Holds")
    span, score = atoms_of(data, "Holds"), model.log_odds(data, "Holds")
    names = [data.vocabularies[d] for d in ("Entity", "Relation", "Entity")]
    of = dict(zip(map(tuple, span.arguments.tolist()), score, strict=True))
    ids = [tuple(v.id(x) for v, x in zip(names, triple, strict=True)) for triple in forth]
    gaps = np.array([of[h, r, t] - of[t, r, h] for h, r, t in ids])
    if tells:
        assert (gaps > 1).mean() > 0.9
    else:
        np.testing.assert_allclose(gaps, 0, atol=1e-4)


def test_held_out_links_are_calibrated():
    random = np.random.default_rng(0)
    sort = random.integers(0, 3, 40)
    pairs = [(i, j) for i in range(40) for j in range(40) if (sort[j] - sort[i]) % 3 == 1]
    random.shuffle(pairs)
    seen, later = pairs[: len(pairs) // 2], set(pairs[len(pairs) // 2 :])
    data = graph_data([(f"e{i}", "r", f"e{j}") for i, j in seen])
    model = make("link_embedding", {"dimension": 16, "epochs": 40}).fit(data, "Holds")
    odds = model.log_odds(data, "Holds")
    span, entity = (
        atoms_of(data, "Holds"),
        np.array([int(e[1:]) for e in data.vocabularies["Entity"]]),
    )
    ends = entity[span.arguments[:, [0, 2]]]
    true = np.array([tuple(pair) in later for pair in ends.tolist()])
    known = np.array([tuple(pair) in set(seen) for pair in ends.tolist()])
    assert odds[true].mean() > odds[~true & ~known].mean() + 2
    assert model.base_rate_ == pytest.approx(len(seen) / span.count, rel=0.05)
    assert 0.3 < (1 / (1 + np.exp(-odds[true]))).mean() < 1.0
    assert (1 / (1 + np.exp(-odds[~true & ~known]))).mean() < 0.15
    assert "against" in model.report_[0] or "against" in model.report_[1]


BINARY = """
domain Drug, Gene, Disease
observed Binds(Drug, Gene)
observed Causes(Gene, Disease)
query Treats(Drug, Disease)
"""


def drug_data():
    drugs = [(f"drug{i}", f"gene{i % 5}") for i in range(40)]
    causes = [(f"gene{i}", f"ill{i}") for i in range(5)]
    treats = [(f"drug{i}", f"ill{j}", int(j == i % 5)) for i in range(30) for j in range(5)]
    return Dataset.from_frames(
        lang.loads(BINARY),
        facts={
            "Binds": dict(zip("ab", map(list, zip(*drugs, strict=True)), strict=True)),
            "Causes": dict(zip("ab", map(list, zip(*causes, strict=True)), strict=True)),
        },
        labels={"Treats": dict(zip("abc", map(list, zip(*treats, strict=True)), strict=True))},
    )


def test_facts_of_other_predicates_are_relations():
    data = drug_data()
    options = {"dimension": 16, "epochs": 120, "facts": ("Binds", "Causes")}
    odds = make("link_embedding", options).fit(data, "Treats").log_odds(data, "Treats")
    blind = make("link_embedding", {**options, "facts": ()}).fit(data, "Treats")
    span = atoms_of(data, "Treats")
    drug = np.array([int(x[4:]) for x in data.vocabularies["Drug"]])[span.arguments[:, 0]]
    ill = np.array([int(x[3:]) for x in data.vocabularies["Disease"]])[span.arguments[:, 1]]
    new, right = drug >= 30, ill == drug % 5
    assert odds[new & right].mean() > odds[new & ~right].mean() + 1
    without = blind.log_odds(data, "Treats")
    assert without[new & right].mean() < odds[new & right].mean() - 1


def test_facts_that_are_atoms_count_by_their_labels_only():
    text = GRAPH + "observed Known(head: Entity, relation: Relation, tail: Entity)\n"
    triples = [(f"e{i}", "r", f"e{(i + 1) % 6}") for i in range(6)]
    columns = dict(zip("hrt", map(list, zip(*triples, strict=True)), strict=True))
    with_facts = graph_data(
        triples[:4], text, [f"e{i}" for i in range(6)], facts={"Known": columns}
    )
    without = graph_data(triples[:4], text, [f"e{i}" for i in range(6)])
    options = {"dimension": 4, "epochs": 3, "facts": ("Known",)}
    one, two = (make("link_embedding", options).fit(d, "Holds") for d in (with_facts, without))
    np.testing.assert_array_equal(one.log_odds(with_facts, "Holds"), two.log_odds(without, "Holds"))


@pytest.mark.parametrize("predicate", ["Has", "May"])
def test_conforms_on_functional_predicates(predicate):
    check_model(lambda: make("link_embedding", {"epochs": 2, "dimension": 4}), predicate)


def test_weight_noise_wraps_it():
    from knowreason.testing.example_world import example_data

    inner = make("link_embedding", {"epochs": 2, "dimension": 4})
    noisy = make("noisy", {"model": inner, "passes": 3}).fit(example_data(), "Linked")
    mean, spread = noisy.log_odds_and_spread(example_data(), "Linked")
    assert mean.shape == spread.shape
    assert spread.max() > 0


def test_places_of_arguments():
    text = """
    domain A, B, R
    observed One(A, B)
    observed Two(R, A, A)
    observed Three(A, relation: A, A)
    observed Four(A, A, relation: A)
    observed Five(A, B, R)
    observed Six(A)
    """.replace("\n    ", "\n")
    data = Dataset.from_frames(lang.loads(text))
    assert TripleArguments.of(data, "One") == TripleArguments(0, 1)
    assert TripleArguments.of(data, "Two") == TripleArguments(1, 2, 0)
    assert TripleArguments.of(data, "Three") == TripleArguments(0, 2, 1)
    assert TripleArguments.of(data, "Four") == TripleArguments(0, 1, 2)
    assert TripleArguments.of(data, "Five") == TripleArguments(0, 2, 1)
    with pytest.raises(ModelError) as caught:
        TripleArguments.of(data, "Six")
    assert caught.value.code == "KR880"


def test_odd_dimensions_are_refused():
    with pytest.raises(ModelError) as caught:
        make("link_embedding", {"dimension": 5}).fit(chain()[0], "Holds")
    assert caught.value.code == "KR881"
