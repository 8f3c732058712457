"""``knowreason init``: what is guessed from tables, and that what is written runs."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from knowreason.cli.app import app
from knowreason.errors import DataError, ProjectError
from knowreason.lang import format_text, load
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_data
from knowreason.run.from_tables import table_profiles
from knowreason.run.from_tables.schema_guesses import domain_name, singular
from knowreason.run.from_tables.starter_project import InitOptions, project_from_tables
from knowreason.run.from_tables.table_profiles import words
from knowreason.run.run_prediction import predict_run
from knowreason.run.run_training import train

COUNT = 600
DAY = np.timedelta64(1, "D")


def named(prefix, numbers):
    return [f"{prefix}{number}" for number in numbers]


@pytest.fixture
def shop(tmp_path):
    """Payments, of cards at terminals of which two are bad; cards with a region."""
    rng = np.random.default_rng(0)
    terminal = rng.integers(0, 30, COUNT)
    amount = rng.lognormal(3, 1, COUNT).round(2)
    odds = 3 * (terminal < 3) + 1.5 * (amount > 60) - 3
    payments = {
        "payment_id": named("p", range(COUNT)),
        "card_id": named("k", rng.integers(0, 80, COUNT)),
        "terminal": named("t", terminal),
        "booked_at": np.datetime64("2026-01-01T08:30:00", "s") + np.arange(COUNT) * 3 * 3600,
        "amount": amount,
        "entry": rng.choice(["chip", "swipe", "web"], COUNT),
        "hour": np.arange(COUNT) * 3 % 24,  # a function of the language is called so
        "comment": named("said ", range(COUNT)),
        "is_fraud": (rng.random(COUNT) < 1 / (1 + np.exp(-odds))).astype(int),
    }
    cards = {"id": named("k", range(80)), "region": rng.choice(["north", "south"], 80)}
    return write(tmp_path, payments=payments, cards=cards)


def write(folder, **tables):
    files = {}
    for name, columns in tables.items():
        files[name] = folder / f"{name}.csv"
        csv.write_csv(pa.table(columns), files[name])
    return files


def made(files, folder, **corrections):
    """Guesses as (table, column) -> what, and the program; all that is written fits the tables."""
    found = project_from_tables(list(files.values()), folder, InitOptions(**corrections))
    text = (folder / "rules.kr").read_text(encoding="utf-8")
    assert format_text(text, "rules.kr") == text
    checked = CliRunner().invoke(app, ["check", str(folder)])
    assert (checked.exit_code, "error" in checked.stderr) == (0, False), checked.stderr
    guesses = {}
    for guess in found.guesses:
        guesses.setdefault((guess.table, guess.column), []).append(guess.what)
    return guesses, text


def test_what_tables_hold_is_guessed(shop, tmp_path):
    guesses, text = made(shop, tmp_path / "project")
    assert guesses["payments", "payment_id"] == ["key"]
    assert guesses["payments", "booked_at"] == ["clock"]
    assert guesses["payments", "card_id"] == ["names a Card"]
    assert guesses["payments", "terminal"] == ["names a Terminal"]
    assert guesses["payments", "is_fraud"][0] == "label of Fraud"
    assert guesses["payments", "comment"] == ["not read"]
    assert "observed Payments(Payment, card_id: Card, terminal: Terminal)" in text
    assert "attribute booked_at(Payment): time clock" in text
    assert "define card_id_region(e) := region(card_id(e))" in text
    assert 'by = "booked_at"' in (tmp_path / "project" / "knowreason.toml").read_text()
    assert "latent RiskyTerminal(Terminal)" in text  # fraud goes with terminals, not with cards
    assert "hour(booked_at(e))" in text
    assert "attribute hour_(Payment): int" in text


def test_what_is_written_trains_and_predicts(shop, tmp_path):
    made(shop, tmp_path / "project")
    train(load_project(tmp_path / "project"), tmp_path / "run")
    predictions = predict_run(tmp_path / "run")
    assert predictions.counts.asked == predictions.table.num_rows > 100


def test_definitions_look_back_only(shop, tmp_path):
    _, text = made(shop, tmp_path / "project")
    history = [line for line in text.split("\ndefine ") if "for f :" in line or "{ f :" in line]
    assert len(history) >= 6
    assert all("booked_at(f) < booked_at(e)" in " ".join(line.split()) for line in history)


def test_labels_in_a_table_of_their_own(tmp_path):
    rng = np.random.default_rng(1)
    files = write(
        tmp_path,
        events={
            "id": range(300),
            "host": named("h", rng.integers(0, 20, 300)),
            "size": rng.random(300),
            "day": np.arange(300) // 3,
        },
        labels={"id": range(100), "malicious": ["yes", "no", "no", "unknown"] * 25},
    )
    guesses, text = made(files, tmp_path / "project")
    assert guesses["labels", "id"] == ["key", "names a Event"]
    assert guesses["labels", "malicious"][1] == "true: yes; 25 of 75 known; unknown: unknown"
    assert "query Malicious(Event)" in text
    project = load_project(tmp_path / "project")
    data = load_data(project, load(tmp_path / "project" / "rules.kr"))
    assert data.labels["Malicious"].num_rows == 75
    assert project.split.by == "day"  # the clock of the other table


def test_accounts_and_transfers(tmp_path):
    rng = np.random.default_rng(2)
    fraud = np.arange(200) < 20
    ends = rng.integers(0, 200, (2, 500))
    ends[:, :60] = rng.integers(0, 20, (2, 60))  # the guilty deal with each other
    files = write(
        tmp_path,
        nodes={"node": range(200), "fraud": fraud.astype(int), "caught": np.where(fraud, 5, -1)},
        transfers={"source": ends[0], "target": ends[1], "value": rng.random(500)},
    )
    guesses, text = made(files, tmp_path / "project")
    assert guesses["transfers", "source"] == guesses["transfers", "target"] == ["names a Node"]
    assert guesses["transfers", "(row number)"] == ["key"]
    assert guesses["nodes", "caught"][0] == "left out of the model"
    assert "(Fraud(a) <~> Fraud(b))" in text
    assert '"caught"' not in text


def test_cells_that_are_not_what_they_say(tmp_path):
    count = 60
    files = write(
        tmp_path,
        loans={
            "loan": named("l", range(count)),
            "opened": [f"{1 + i % 28:02d}.{1 + i % 12:02d}.2025" for i in range(count)],
            "seen_time": 1_700_000_000 + np.arange(count) * 3600,
            "rate": ["NA" if i % 5 == 0 else f"{7 * i % 13}.5" for i in range(count)],
            "bad": np.arange(count) % 3 == 0,
        },
    )
    guesses, text = made(files, tmp_path / "project", times=("loans.seen_time",))
    assert "attribute opened(Loan): time" in text
    assert "attribute rate_(Loan): float" in text  # `rate` is a word of the language
    assert guesses["loans", "rate"] == ["attributes: float", "cleaned"]
    assert "attribute seen_time(Loan): time clock" in text
    settings = (tmp_path / "project" / "knowreason.toml").read_text()
    assert all(read in settings for read in ("TRY_CAST", "strptime", "to_timestamp"))


def test_references_with_gaps(shop, tmp_path):
    payments = csv.read_csv(shop["payments"]).to_pydict()
    payments["card_id"] = [None if i % 4 == 0 else c for i, c in enumerate(payments["card_id"])]
    pq.write_table(pa.table(payments), tmp_path / "pays.parquet")
    files = {"pays": tmp_path / "pays.parquet", "cards": shop["cards"]}
    _, text = made(files, tmp_path / "project")
    assert "observed Pays(Pay, terminal: Terminal)" in text
    assert "observed PaysCard(Pay, card_id: Card)" in text


def test_a_drawn_part_of_a_long_table(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(table_profiles, "ROWS", 200)
    guesses, _ = made(shop, tmp_path / "project")
    assert guesses["payments", "payment_id"] == ["key"]
    assert guesses["payments", "card_id"] == ["names a Card"]


def test_corrections(shop, tmp_path):
    guesses, text = made(
        shop,
        tmp_path / "project",
        label="payments.entry",
        true=("web",),
        unknown=("chip",),
        keys=("payments.comment",),
        same=("payments.terminal=payments.card_id",),
    )
    assert guesses["payments", "entry"][0] == "label of Entry"
    assert guesses["payments", "entry"][1].startswith("true: web; ")
    assert guesses["payments", "comment"] == ["key"]
    assert "observed Payments(Payment, card_id: Card, terminal: Card)" in text


def test_without_a_label_nothing_is_learned(shop, tmp_path):
    payments = csv.read_csv(shop["payments"]).drop_columns(["is_fraud"])
    csv.write_csv(payments, shop["payments"])
    guesses, text = made(shop, tmp_path / "project")
    assert guesses["", ""] == ["no label"]
    assert "query Suspicious(Payment)" in text
    assert "trees(" not in text
    train(load_project(tmp_path / "project"), tmp_path / "run")
    assert predict_run(tmp_path / "run").table.num_rows == COUNT


def test_the_command_says_what_it_guessed(shop, tmp_path):
    files = [str(file) for file in shop.values()]
    done = CliRunner().invoke(app, ["init", *files, "-o", str(tmp_path / "p")])
    assert done.exit_code == 0
    assert "label of Fraud" in done.stdout
    commands = [line for line in done.stdout.splitlines() if line.startswith("  knowreason ")]
    assert [line.split()[1] for line in commands] == ["check", "train", "predict"]
    told = CliRunner().invoke(app, ["init", *files, "-o", str(tmp_path / "q"), "--json"])
    assert {"table", "column", "what", "why", "sure"} == set(json.loads(told.stdout)["guesses"][0])


def test_what_cannot_be_read_or_guessed(shop, tmp_path):
    def refused(code, *files, error=ProjectError, **corrections):
        with pytest.raises(error, match=code):
            project_from_tables(files, tmp_path / "project", InitOptions(**corrections))
        assert not (tmp_path / "project").exists()

    payments = shop["payments"]
    (tmp_path / "sub").mkdir()
    other = tmp_path / "sub" / "payments.csv"
    other.write_bytes(payments.read_bytes())
    (tmp_path / "empty.csv").write_text("a,b\n")
    (tmp_path / "broken.parquet").write_text("no parquet")
    (tmp_path / "text.docx").write_text("?")
    refused("KR951", payments, other)
    refused("KR952", tmp_path / "empty.csv")
    refused("KR953.*\n?.*did you mean", payments, label="payments.is_fraut")
    refused("KR954", payments, label="payments.entry")
    refused("KR954", payments, label="payments.is_fraud", true=("yes",))
    refused("KR520", tmp_path / "none.csv", error=DataError)
    refused("KR521", tmp_path / "text.docx", error=DataError)
    refused("KR522", tmp_path / "broken.parquet", error=DataError)


def test_nothing_is_overwritten(shop, tmp_path):
    with pytest.raises(ProjectError, match="KR914"):
        project_from_tables(list(shop.values()), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cards.csv", "payments.csv"]


@pytest.mark.parametrize(
    ("name", "domain"),
    [("bank_accounts", "BankAccount"), ("card_id", "Card"), ("2024_sales", "T2024Sale")],
)
def test_names_of_domains(name, domain):
    assert domain_name(name) == domain


def test_words_and_their_singular():
    assert words("srcIP_v4") == ["src", "ip", "v", "4"]
    plural = ["countries", "boxes", "status", "nodes", "analysis", "classes"]
    assert [singular(w) for w in plural] == [
        "country",
        "box",
        "status",
        "node",
        "analysis",
        "class",
    ]
