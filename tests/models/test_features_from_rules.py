"""What models see of definitions, and the codes that models raise."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import knowreason.lang as lang
import knowreason.models
from knowreason.codes import catalogue
from knowreason.data import Dataset
from knowreason.models import columns_of, cross_fit, make, rows_of

PROGRAM = """
domain Account, Payment
observed Pays(Payment, source: Account)
attribute at(Payment): time clock
attribute amount(Payment): float
define n_before(e) := count { f, a : Pays(e, a) & Pays(f, a) & at(f) < at(e) }
define mean_before(e) := avg { amount(f) for f, a : Pays(e, a) & Pays(f, a) & at(f) < at(e) }
define Large(e) := amount(e) > 2.0
query Fraud(Payment)
"""


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    n = 200
    source = random.integers(0, 20, n)
    frame = pl.DataFrame(
        {
            "id": [f"p{i}" for i in range(n)],
            "source": [f"a{i}" for i in source],
            "at": pl.Series(np.arange(n) * 60_000_000).cast(pl.Datetime("us")),
            "amount": random.gamma(2, 1, n),
        }
    )
    before = np.array([(source[:i] == source[i]).sum() for i in range(n)])
    labels = frame.select("id").with_columns(label=pl.Series((before > 4).astype(int)))
    data = Dataset.from_frames(
        lang.loads(PROGRAM),
        facts={
            "Pays": frame.select("id", "source"),
            "at": frame.select("id", "at"),
            "amount": frame.select("id", "amount"),
        },
        labels={"Fraud": labels},
    )
    return data, frame, before


def test_definitions_become_columns(data):
    data, frame, before = data
    rows = rows_of(data, "Fraud")
    columns = columns_of(data, rows, ("n_before", "mean_before", "Large", "amount"))
    order = [int(name[1:]) for name in data.vocabularies["Payment"]]
    np.testing.assert_array_equal(columns.values[:, 0], before[order])
    assert np.isnan(columns.values[:, 1]).sum() == (before == 0).sum()
    amount = frame["amount"].to_numpy()[order]
    np.testing.assert_array_equal(columns.values[:, 2], amount > 2)
    np.testing.assert_allclose(columns.values[:, 3], amount, rtol=1e-6)


def test_history_definitions_make_the_model(data):
    data, _, _ = data

    def made():
        return make("trees", {"features": ["n_before", "amount"], "min_samples_leaf": 5})

    found = cross_fit(made, data, "Fraud", kind="forward")
    labels = rows_of(data, "Fraud").labels
    scored = found.out_of_fold
    assert ((found.output.llr[scored] > 0) == labels[scored]).mean() > 0.9


def test_every_code_that_models_raise_is_documented():
    folder = Path(knowreason.models.__file__).parent
    raised = {
        code
        for file in folder.rglob("*.py")
        for code in re.findall(r'"(KR8\d\d)"', file.read_text(encoding="utf-8"))
    }
    assert raised
    assert raised <= catalogue().keys()
