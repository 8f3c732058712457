import sys
import types

import pytest

from knowreason.errors import ModelError, UnknownNameError
from knowreason.logic import ModelCall
from knowreason.models import make, register
from knowreason.models.base.model_registry import MODELS


def test_makes_models_from_a_call():
    model = make(ModelCall("trees", (), (("max_iter", 7), ("features", ("one", "*")))))
    assert (model.max_iter, model.features) == (7, ("one", "*"))


def test_positional_options_take_the_first_names():
    assert make(ModelCall("column", ("score",), (("kind", "anomaly"),))).column == "score"


def test_overrides_replace_options_and_lists_become_tuples():
    call = ModelCall("trees", (), (("max_iter", 7),))
    assert make(call, {"max_iter": 9, "features": ["one"]}).features == ("one",)
    assert make(call, {"max_iter": 9}).max_iter == 9


def test_an_instance_is_copied():
    model = make("sklearn", {"estimator": "random_forest", "n_estimators": 3})
    copy = make(model)
    assert copy is not model
    assert copy.params == {"n_estimators": 3}


@pytest.mark.parametrize(
    ("what", "overrides", "code", "text"),
    [
        ("trees", {"max_itr": 3}, "KR802", "did you mean `max_iter`?"),
        ("trees", {"zzz": 3}, "KR802", "its options: features, hops"),
        ("trees", {"max_iter": "many"}, "KR803", 'is "many", not an integer'),
        ("trees", {"class_weight": "even"}, "KR803", 'one of "none", "balanced"'),
        ("trees", {"hops": True}, "KR803", "is True, not an integer"),
        ("trees", {"features": "one"}, "KR803", "not a list"),
        ("column", {}, "KR804", "needs the option `column`"),
        ("gnn", {"hidden": 0}, "KR861", "is 0; it is at least 1"),
        ("gnn", {"dropout": 1.5}, "KR861", "is 1.5; it is between 0 and 1"),
        ("gnn", {"hidden": 2.5}, "KR803", "is 2.5, not an integer"),
        ("gnn", {"weight_decay": -1.0}, "KR861", "is -1.0; it is at least 0"),
        (ModelCall("column", ("a", "b", 1.0, 2.0, "platt", 0.5, 7)), {}, "KR804", "6 options"),
    ],
)
def test_wrong_options_are_named(what, overrides, code, text):
    with pytest.raises(ModelError) as caught:
        make(what, overrides)
    assert caught.value.code == code
    assert text in str(caught.value)


def test_inherited_options_are_checked_in_modules_of_others():
    """A plug-in need not import the types of the options it inherits."""
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from knowreason.models.graph.gnn import GNN\n"
        "@dataclass(eq=False, repr=False)\nclass Own(GNN):\n    depth: int = 1\n"
    )
    plugin = sys.modules["plugin_of_gnn"] = types.ModuleType("plugin_of_gnn")
    exec(source, vars(plugin))
    assert make(plugin.Own, {"depth": 3, "weight_decay": 0.5}).weight_decay == 0.5
    for option in ("weight_decay", "batch_size"):
        with pytest.raises(ModelError, match="at least 0"):
            make(plugin.Own, {option: -1})


def test_unknown_kinds_get_the_nearest_name():
    with pytest.raises(UnknownNameError, match="did you mean `trees`"):
        make("tree")


def test_built_in_names_cannot_be_taken():
    with pytest.raises(ValueError, match="built in"):
        register("trees")(type("Other", (), {}))


def test_own_models_are_registered_by_decorator():
    base = type(make("trees"))
    try:
        own = register("own_trees")(type("OwnTrees", (base,), {}))
        assert type(make("own_trees", {"max_iter": 3})) is own
        assert own.registered_as == "own_trees"
    finally:
        MODELS._things.pop("own_trees", None)
