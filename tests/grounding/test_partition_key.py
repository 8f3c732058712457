"""Which programs fall into parts, by which key, and what stands in the way of others."""

import pytest

from knowreason import loads
from knowreason.grounding.plan.partition_key import Owner, partition_keys


@pytest.fixture(autouse=True, scope="module")
def engine():
    """No relational engine takes part: once is enough."""


DECLARED = """
domain Payment, Account, Shop
domain Day = { "d0", "d1" }
observed Pays(Payment, Account, Account)
observed At(Payment, Shop)
observed Next(Day, Day)
observed Safe(Shop)
attribute payer(Payment): Account
attribute amount(Payment): int
query Bad(Payment)
"""


def test_a_shop_may_belong_to_a_payment_if_the_data_say_so():
    keys, _ = keys_of("latent Odd(Shop)\nrule odd [1] : At(x, s) & Bad(x) => Odd(s)")
    assert (Owner("At", 1, 0),) in [key.owners.get("Shop") for key in keys]


def keys_of(rules, declared=DECLARED):
    return partition_keys(loads(declared + rules))


def test_payments_alone_need_no_owner():
    keys, _ = keys_of("rule big [1] : amount(x) > 3 => Bad(x)")
    assert (keys[0].domain, dict(keys[0].owners)) == ("Payment", {})
    assert keys[0].places["Pays"] == 0


def test_payments_of_an_account_go_together():
    keys, refused = keys_of("""
define paid(a) := count { x : Pays(x, a, _) }
rule busy [1] : Pays(x, a, _) & paid(a) > 3 => Bad(x)
""")
    by_account = [key for key in keys if key.domain == "Account"]
    assert (Owner("Pays", 0, 1),) in [key.owners["Payment"] for key in by_account]
    assert any(text.startswith("by `Payment`: definition `paid`") for text in refused)


def test_an_attribute_may_say_whose_a_payment_is():
    keys, _ = keys_of("""
define before(x) := count { y : Pays(y, payer(x), _) & amount(y) < amount(x) }
rule first [1] : before(x) = 0 => Bad(x)
""")
    owners = [key.owners["Payment"] for key in keys if key.domain == "Account"]
    assert owners == [(Owner("Pays", 0, 1), Owner("payer", 0, 1))]


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (
            "rule on [1] : Pays(x, a, _) & Pays(y, a, _) & Bad(x) => Bad(y)",
            "by `Payment`: rule `on` joins rows of `x` and `y`, which may lie in two parts",
        ),
        (
            "rule in [1] : Pays(x, _, b) & Pays(y, b, _) & Bad(x) => Bad(y)",
            "by `Account`: rule `in`",
        ),
        (
            "define busy(s) := count { x : At(x, s) }\n"
            "rule shop [1] : At(x, s) & busy(s) > 2 => Bad(x)",
            "by `Payment`: definition `busy` reads rows of every `Payment` (`x`)",
        ),
        (
            "rule one [1] : exists y. (Bad(y) & amount(y) > 2) => Bad(x)",
            "by `Payment`: rule `one`",
        ),
        (
            'rule named [1] : Bad(x) & amount("p1") > 3',
            "by `Payment`: `Bad` is any `Payment`, and the rules name one",
        ),
        (
            "latent Odd(Payment, Shop)\nrule odd [1] : At(x, s) & Bad(x) => Odd(x, s)",
            "by `Payment`: `Odd` is any `Shop`, and `At` names some beside those of a part",
        ),
        (
            "rule off [1] : At(x, s) & !Safe(t) => Bad(x)",
            "by `Payment`: rule `off`: `t` is any `Shop`, and `At` names some beside those of a "
            "part",
        ),
        (
            "rule like [1] : At(x, s) & At(y, s) & (Bad(x) <~> Bad(y))",
            "rule `like` keeps base rates",
        ),
        ("model m for Bad = trees()", "model `m` may read other rows than its own"),
        (
            "observed Twin(Payment, Payment) symmetric\nlatent Odd(Payment) within Paid\n"
            "define Paid(x) := Pays(x, _, _)\nrule t [1] : Twin(x, _) => Odd(x)",
            "by `Payment`: `Twin` is symmetric: a row is of two parts",
        ),
    ],
)
def test_what_stands_in_the_way(rules, reason):
    keys, refused = keys_of(rules)
    assert not [key for key in keys if key.domain == "Payment"]
    assert any(reason in text for text in refused), refused


def test_a_table_that_names_things_of_other_parts_does_not_list_them():
    """Rows of accounts that are paid, and not of those that pay, would be in two parts."""
    declared = DECLARED.replace("query Bad(Payment)", "query Bad(Account)")
    _, refused = keys_of("rule any [1] : Bad(a)", declared)
    assert any("`Bad` is any `Account`, and `Pays` names some" in text for text in refused)
    keys, _ = keys_of(
        "rule pays [1] : Pays(_, a, _) => Bad(a)\ndefine Payer(a) := Pays(_, a, _)",
        declared.replace("query Bad(Account)", "query Bad(Account) within Payer"),
    )
    assert [key.places["Bad"] for key in keys if key.domain == "Account"] == [0]
