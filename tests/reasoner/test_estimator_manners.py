"""What of scikit-learn's `check_estimator` needs no array: a reasoner reads data sets."""

import pytest
from sklearn.utils import estimator_checks

import knowreason as kr

CHECKS = [
    "check_estimator_cloneable",
    "check_no_attributes_set_in_init",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_mixin_order",
]


@pytest.mark.parametrize("name", CHECKS)
def test_a_reasoner_is_an_estimator(name):
    check = getattr(estimator_checks, name, None)
    if check is None:
        pytest.skip("an older scikit-learn does not check this")
    check("Reasoner", kr.Reasoner(kr.loads("domain P\nquery Bad(P)")))
