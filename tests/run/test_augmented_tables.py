"""Tables with generated things: what they hold, what stays, and what is refused."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from knowreason.errors import ModelError, ProjectError
from knowreason.lang import loads
from knowreason.project.project_file import load_project
from knowreason.project.project_tables import load_data, load_parts, load_program
from knowreason.run.augmented_tables import augment_project
from knowreason.run.generated_rows import times_of_column
from tests.shop_project import RULES, write_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return write_shop(tmp_path_factory.mktemp("augment") / "shop")


@pytest.fixture(scope="module")
def made(shop):
    return augment_project(load_project(shop), shop.parent / "more")


@pytest.fixture
def read(shop, made):
    def table(name):
        whole = pq.read_table(shop.parent / "more" / f"{name}.parquet")
        return whole, whole.filter(whole["generated"])

    return table


def test_real_rows_stay_as_they_are(shop, read):
    for name, file in (("accounts", "accounts"), ("labels", "labels"), ("buys", "buys")):
        whole, _ = read(name)
        before = pq.read_table(shop / f"{file}.parquet")
        after = whole.filter(pc.invert(whole["generated"])).select(before.column_names)
        assert after.to_pydict() == before.to_pydict()


def test_what_was_written_is_counted(made, read):
    counted = {grown.table: (grown.holds, grown.before, grown.generated) for grown in made.tables}
    assert counted["accounts"] == ("things", 100, 8)
    assert counted["labels"] == ("labels", 100, 8)
    assert counted["buys"][0] == "links"
    assert "raw_buys" not in counted, "the table it is selected from has no row of its own"
    for name, (_, _, generated) in counted.items():
        assert read(name)[1].num_rows == generated
    assert [(c.state, c.before, c.generated) for c in made.classes][1] == ("true", 16, 8)
    assert made.shift == (0.0, pytest.approx(np.log(24 / 16)))


def test_generated_things_are_new_in_all_tables(read):
    _, accounts = read("accounts")
    names = accounts["id"].to_pylist()
    assert names == list(range(100, 108)), "past the test part's too"
    assert read("labels")[1]["id"].to_pylist() == names
    assert set(read("labels")[1]["bad"].to_pylist()) == {1}
    buys = read("buys")[1]
    assert set(buys["who"].to_pylist()) <= set(names)
    assert buys.num_rows > 8
    assert not set(buys["buy"].to_pylist()) & {f"b{i}" for i in range(300)}
    assert set(read("listed")[1]["id"].to_pylist()) <= set(names)
    profiles = read("profiles")[1].to_pydict()
    assert set(profiles["who"]) <= set(names)
    assert set(profiles["since"]) <= set(range(1901, 1980)), "those of things they are like"


def test_columns_that_nothing_reads_are_null_and_others_are_not(read):
    _, accounts = read("accounts")
    assert accounts["note"].null_count == accounts.num_rows
    for column in ("joined", "kind", "age", "rank"):
        assert accounts[column].null_count == 0
    assert max(accounts["joined"].to_pylist()) < 80, "as a thing of the training part"
    buys = read("buys")[1]
    assert all(buys[column].null_count == 0 for column in buys.column_names)


def test_labels_say_which_part_they_are_of(read):
    labels = read("labels")[0].to_pydict()
    for thing, bad, part in zip(labels["id"], labels["bad"], labels["part"], strict=True):
        expected = None if bad == -1 else "train" if thing < 80 or thing >= 100 else "held back"
        assert part == expected


def test_the_project_over_them_learns_from_more(shop, made):
    before, after = load_parts(load_project(shop)), load_parts(load_project(made.project))
    assert after.train.count("Account") == before.train.count("Account") + 8
    assert after.train.labels["Bad"].num_rows == before.train.labels["Bad"].num_rows + 8
    assert len(after.train.graph.relations[0]) > len(before.train.graph.relations[0])
    assert after.test.hidden["Bad"].num_rows == before.test.hidden["Bad"].num_rows


def test_copies_are_things_without_labels(shop):
    target = shop.parent / "copied"
    made = augment_project(load_project(shop), target, links="copied", count=3, seed=1)
    grown = {table.table: table.generated for table in made.tables}
    assert grown["labels"] == 3
    assert grown["accounts"] > 3
    assert made.classes[1].generated == 3
    shops = pq.read_table(target / "buys.parquet").filter(pc.field("generated"))["shop"]
    assert min(shops.to_pylist()) >= 8, "none is a real one"


def test_the_seed_decides(shop, made, read):
    again = shop.parent / "again"
    augment_project(load_project(shop), again)
    for name in ("accounts", "buys"):
        assert pq.read_table(again / f"{name}.parquet").equals(read(name)[0])
    augment_project(load_project(shop), again, seed=5, force=True)
    assert not pq.read_table(again / "accounts.parquet").equals(read("accounts")[0])
    assert json.loads((again / "manifest.json").read_text())["augment"]["predicate"] == "Bad"


def test_a_random_split_gets_no_project_file(tmp_path):
    shop = write_shop(tmp_path / "shop", split="[split]\nshare = 0.3\n")
    made = augment_project(load_project(shop), tmp_path / "more", links="none")
    assert made.project is None
    labels = pq.read_table(tmp_path / "more" / "labels.parquet")
    held = pc.sum(pc.equal(labels["part"], "held back")).as_py()
    assert held == pytest.approx(27, abs=2)
    assert pc.all(pc.equal(labels.filter(labels["generated"])["part"], "train")).as_py()


def test_what_is_there_stays(shop, made):
    with pytest.raises(ProjectError, match="is there already") as refused:
        augment_project(load_project(shop), shop.parent / "more")
    assert refused.value.diagnostics[0].code == "KR914"
    with pytest.raises(ProjectError) as refused:
        augment_project(load_project(shop), shop, force=True)
    assert refused.value.diagnostics[0].code == "KR924"


@pytest.mark.parametrize(
    ("rules", "options", "code", "help"),
    [
        (RULES.split("model")[0], {}, "KR936", "model more for Bad = diffusion"),
        (RULES, {"predicate": "Bda"}, "KR936", "Bad"),
        (RULES + "model b for Late = diffusion(classifier=trees())\n", {}, "KR936", "--predicate"),
        (RULES, {"predicate": "Late"}, "KR865", "by itself"),
        (RULES.replace("Late(Buy)", "Late(Account)"), {"predicate": "Late"}, "KR937", "at least"),
    ],
)
def test_errors_say_what_to_write(tmp_path, rules, options, code, help):
    shop = write_shop(tmp_path / "shop", rules=rules)
    with pytest.raises((ProjectError, ModelError)) as refused:
        augment_project(load_project(shop), tmp_path / "more", **options)
    (found,) = refused.value.diagnostics
    assert found.code == code
    assert help in (found.help or "")
    assert not (tmp_path / "more").exists()


def test_labels_keep_their_words_and_a_closed_domain_gains_its_things(tmp_path):
    shop = write_shop(tmp_path / "shop")
    labels = pq.read_table(shop / "labels.parquet").to_pydict()
    words = {1: "yes", 0: "no", -1: "?"}
    labels["bad"] = [words[label] for label in labels["bad"]]
    pq.write_table(pa.table(labels), shop / "labels.parquet")
    path = shop / "knowreason.toml"
    text = path.read_text().replace(
        "unknown = [-1]", 'unknown = ["?"], true = ["yes"], false = ["no"]'
    )
    path.write_text(text + '[domains.Account]\ntable = "accounts"\nkey = "id"\n')
    augment_project(load_project(shop), tmp_path / "more")
    whole = pq.read_table(tmp_path / "more" / "labels.parquet")
    assert set(whole.filter(whole["generated"])["bad"].to_pylist()) == {"yes"}
    project = load_project(tmp_path / "more")
    data = load_data(project, load_program(project))
    assert len(data.vocabularies["Account"]) == 108
    assert pc.sum(data.labels["Bad"]["value"]).as_py() == 20 + 8


def test_times_are_written_as_the_column_has_them():
    noon = 12 * 3_600_000_000
    times = pa.array([noon, None])
    vienna = loads("domain P", zone="Europe/Vienna")
    for kind in (pa.string(), pa.timestamp("s")):
        (shown, missing) = times_of_column(times, kind, vienna).to_pylist()
        assert (shown.hour, missing) == (13, None)
    aware = times_of_column(times, pa.timestamp("s", "America/New_York"), vienna)
    cast = aware.cast(pa.timestamp("s", "America/New_York"))
    assert cast.cast(pa.int64()).to_pylist() == [noon // 1_000_000, None]
