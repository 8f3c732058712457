"""A bank's loans as an analyst has them: other ids, words for labels, dates by day first."""

import json

import pytest

from knowreason.errors import DataError, ProjectError, near_file
from knowreason.project.independent_parts import independent_parts
from knowreason.project.project_check import check_project
from knowreason.project.project_file import load_project, project_toml
from knowreason.project.project_tables import load_data, load_program

RULES = """
domain Loan, Account
observed Of(Loan, Account)
attribute amount(Loan): float
attribute granted(Loan): time clock
attribute opened(Account): time
attribute owner(Account): bool
attribute region(Account): string
query Bad(Loan)
rule seldom [?] : Bad(x)
rule large  [?] : amount(x) > 100 => Bad(x)
"""
PROJECT = """
program = "loans.kr"
[tables.raw]
path = "loans.csv"
[tables.loans]
sql = "select id, account, amount, granted, status from raw where amount > 0"
[tables.accounts]
path = "accounts.csv"
[bind]
Of      = { table = "loans", columns = ["id", "account"] }
amount  = { table = "loans", columns = ["id"], value = "amount" }
granted = { table = "loans", columns = ["id"], value = "granted", format = "%d.%m.%Y" }
opened  = { table = "accounts", columns = ["account"], value = "opened", format = "%y%m%d" }
region  = { table = "accounts", columns = ["account"], value = "region" }
[bind.owner]
table = "accounts"
columns = ["account"]
value = "owner"
true = ["YES"]
false = ["NO"]
unknown = ["?"]
[bind.Bad]
table = "loans"
columns = ["id"]
label = "status"
true = ["B", "D"]
false = ["A"]
unknown = ["C"]
[domains.Account]
table = "accounts"
key = "account"
[report]
by = "region"
"""
STATUS = "AABACADAAB"


def write(folder, *, rules=RULES, status=STATUS, account="a{}", day="{:02}.02.2026", **changes):
    """Ten loans of five accounts."""
    loans = ["id,account,amount,granted,status"]
    loans += [
        f"{i},{account.format(i // 2)},{50 + 10 * i},{day.format(i + 1)},{status[i]}"
        for i in range(10)
    ]
    (folder / "loans.csv").write_text("\n".join(loans) + "\n")
    owners = ["YES", "NO", "YES", "?", ""]
    accounts = [f"a{i},93010{i + 1},{owners[i]},north" for i in range(5)]
    (folder / "accounts.csv").write_text(
        "\n".join(["account,opened,owner,region", *accounts]) + "\n"
    )
    (folder / "loans.kr").write_text(rules)
    text = PROJECT
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "knowreason.toml").write_text(text)
    return folder / "knowreason.toml"


def changed(folder, *pairs, **options):
    path = write(folder, **options)
    text = path.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def data_of(path):
    project = load_project(path)
    return load_data(project, load_program(project))


def test_words_and_dates_are_read_as_the_file_says(tmp_path):
    path = write(tmp_path)
    data = data_of(path)
    assert data.named("Bad").to_pydict() == {
        "a0": ["0", "1", "2", "3", "5", "6", "7", "8", "9"],
        "value": [0, 0, 1, 0, 0, 1, 0, 0, 1],
    }
    assert data.named("owner").to_pydict() == {
        "a0": ["a0", "a1", "a2"],
        "value": [True, False, True],
    }
    day = 86_400_000_000
    assert data.attributes["granted"]["value"][1].as_py() == 20_486 * day  # 2 February, not 2 Jan
    assert data.attributes["opened"]["value"].to_pylist()[:2] == [8_401 * day, 8_402 * day]
    stored = tmp_path / "stored.toml"
    stored.write_text(project_toml(load_project(path)))
    assert data_of(stored).labels == data.labels


def test_a_good_project_is_told_what_matched(tmp_path):
    found = check_project(write(tmp_path))
    assert found.diagnostics == ()  # `region` is used by the report, `owner` is bound
    of_accounts = [row for row in found.coverage if row.domain == "Account"]
    assert [(row.ids, row.matched, row.new, row.missing) for row in of_accounts] == [
        (5, 5, 0, 0)
    ] * 2
    assert "(table `loans`)" in of_accounts[0].table + of_accounts[1].table


def test_a_value_in_no_list_is_one_finding(tmp_path):
    path = write(tmp_path, status="AABACXDAXE")
    (found,) = check_project(path).diagnostics
    assert found.code == "KR513"
    assert found.message == (
        'labels of `Bad` (table `loans`), row 6, column `status`: "X" is not a label (2 rows), nor '
        '"E" (2 values in 3 rows)'
    )
    assert found.help.startswith('true is "B", "D", false is "A"')
    with pytest.raises(DataError, match=r"KR513.*row 6"):
        data_of(path)


def test_dates_of_another_format_are_named(tmp_path):
    (found,) = check_project(write(tmp_path, day="2026.02.{:02}")).diagnostics
    assert found.code == "KR514"
    assert "`granted` (table `loans`), row 1, column `granted`" in found.message
    assert found.help == "times are written as %d.%m.%Y"
    wrong = changed(tmp_path, ("%d.%m.%Y", "%q"))
    (found,) = check_project(wrong).diagnostics
    assert (found.code, '"%q" is no format' in found.message) == ("KR514", True)


@pytest.mark.parametrize("day", ["{:02}/02/2026", "{:02}/02/2026 10:00:00"])
def test_days_and_months_are_not_guessed(tmp_path, day):
    path = changed(tmp_path, (', format = "%d.%m.%Y"', ""), day=day)
    (found,) = check_project(path).diagnostics
    assert (found.code, "is not a time" in found.message) == ("KR514", True)
    assert "`format` in [bind]" in found.help


def test_accounts_of_another_spelling(tmp_path):
    (found,) = check_project(write(tmp_path, account="{}")).diagnostics
    assert found.code == "KR530"
    assert found.help.startswith('"0" may be "a0": with `a` before it, 5 of 5 would be known')


def test_a_closed_domain_leaves_rows_out(tmp_path):
    path = write(tmp_path)
    with (tmp_path / "loans.csv").open("a") as file:
        file.write("10,a7,5,01.01.2026,A\n")
    (found,) = check_project(path).diagnostics
    assert (found.code, found.severity) == ("KR534", "warning")
    with pytest.warns(Warning, match="KR534"):
        data = data_of(path)
    assert len(data.vocabularies["Account"]) == 5
    assert data.facts["Of"].num_rows == 10
    assert len(data.vocabularies["Loan"]) == 11


MISTAKES = {
    "column": (('value = "amount"', 'value = "amuont"'), "KR913", "did you mean `amount`?"),
    "key": (('key = "account"', 'key = "acount"'), "KR913", "did you mean `account`?"),
    "name": (("amount  =", "amout  ="), "KR909", "did you mean `amount`?"),
    "clusters": (("[report]", '[learn]\nclusters = "regoin"\n[report]'), "KR909", "`region`"),
    "domain": (("[domains.Account]", "[domains.Acount]"), "KR909", "did you mean `Account`?"),
    "arity": (('["id", "account"]', '["id"]'), "KR505", "one column an argument"),
    "value": ((', value = "amount"', ""), "KR908", None),
    "vain words": (('value = "amount"', 'value = "amount", true = [1]'), "KR906", "labels"),
    "vain format": (('value = "region"', 'value = "region", format = "%Y"'), "KR906", None),
    "vain value": (('label = "status"', 'label = "status"\nvalue = "id"'), "KR906", "`label`"),
    "word in both": (('false = ["A"]', 'false = ["A", "B"]'), "KR907", None),
    "sql": (("amount > 0", "amout > 0"), "KR522", "Candidate bindings"),
    "grammar": (("select id", "selct id"), "KR522", None),
    "file": (("accounts.csv", "acounts.csv"), "KR520", "did you mean `accounts.csv`?"),
    "folder": (("accounts.csv", "new/accounts.csv"), "KR520", "there is no folder"),
    "empty file": (("accounts.csv", "empty.csv"), "KR522", "names of its columns"),
    "program": (('"loans.kr"', '"loan.kr"'), "KR111", "did you mean `loans.kr`?"),
    "metric": (('by = "region"', 'metrics = ["logloss"]'), "KR801", "did you mean `log_loss`?"),
    "attribute": (('by = "region"', 'by = "weather"'), "KR909", "granted, opened, owner, region"),
    "no list": (('true = ["B", "D"]', 'true = "B"'), "KR907", 'write `["B"]`'),
    "no quotes": (('path = "loans.csv"', "path = loans.csv"), "KR902", '`"loans.csv"`'),
    "no label": (('label = "status"', 'value = "status"'), "KR906", "`label`"),
}


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_has_a_place(tmp_path, mistake, rows):
    change, code, help = MISTAKES[mistake]
    path = changed(tmp_path, change)
    (tmp_path / "empty.csv").touch()
    found = [d for d in check_project(path, rows=rows).diagnostics if d.severity == "error"]
    assert [d.code for d in found] == [code], found
    assert found[0].span is not None
    assert help is None or help in found[0].help


def test_a_date_of_the_split_has_a_place(tmp_path):
    split = '[split]\nby = "granted"\ntrain = "< 05.02.2026"\n[report]'
    path = changed(tmp_path, ("[report]", split))
    (found,) = check_project(path).diagnostics
    place = found.span.source.text[found.span.start : found.span.end]
    assert (found.code, place) == ("KR519", "train")
    assert found.message.startswith('[split] train = "< 05.02.2026": ')


def test_a_table_without_rows_is_told_from_no_table(tmp_path):
    path = changed(tmp_path, ("where amount > 0", "where amount < 0"))
    told = {d.message for d in check_project(path).diagnostics if d.code == "KR518"}
    assert "what fills `amount` has no row: it is missing everywhere" in told
    path = changed(tmp_path, ("amount  =", "# "))
    told = {d.message for d in check_project(path).diagnostics if d.code == "KR518"}
    assert told == {"nothing fills `amount`: it is missing everywhere"}


def test_a_file_of_another_name_is_not_offered(tmp_path):
    assert near_file(write(tmp_path).with_name("names.csv")) is None
    assert near_file(tmp_path / "loan.csv") == "did you mean `loans.csv`?"  # and not loans.kr


def test_a_rule_file_is_no_project(tmp_path):
    write(tmp_path)
    with pytest.raises(ProjectError, match=r"KR901.*rule file.*loans\.kr"):
        load_project(tmp_path / "loans.kr")


def test_mistakes_of_all_kinds_are_told_at_once(tmp_path):
    pairs = [
        ('value = "amount"', 'value = "amuont"'),
        ("accounts.csv", "acounts.csv"),
        ('by = "region"', 'by = "regoin"'),
    ]
    path = changed(tmp_path, *pairs, status="AABACXDAXE", rules=RULES + "rule bad [?] : Bed(x)\n")
    told = {d.code for d in check_project(path).diagnostics if d.severity == "error"}
    assert told == {"KR201", "KR913", "KR520"}  # what rules declare is not known yet
    (tmp_path / "loans.kr").write_text(RULES)
    told = {d.code for d in check_project(path).diagnostics if d.severity == "error"}
    assert told == {"KR913", "KR520", "KR909", "KR513"}


def test_loading_tells_all_mistakes_of_columns_at_once(tmp_path):
    path = changed(
        tmp_path, ('value = "amount"', 'value = "x"'), ('label = "status"', 'label = "y"')
    )
    with pytest.raises(ProjectError) as refused:
        data_of(path)
    assert [d.code for d in refused.value.diagnostics] == ["KR913", "KR913"]


def test_json_lines_and_compressed_files(tmp_path):
    import gzip

    path = changed(tmp_path, ("accounts.csv", "accounts.csv.gz"))
    text = (tmp_path / "accounts.csv").read_bytes()
    (tmp_path / "accounts.csv.gz").write_bytes(gzip.compress(text))
    assert json.dumps([d.message for d in check_project(path).diagnostics]) == "[]"


def test_parts_of_a_closed_domain_are_the_whole(tmp_path):
    path = changed(tmp_path, ("[report]", "[engine]\npartitions = 2\n[report]"))
    with (tmp_path / "loans.csv").open("a") as file:
        file.write("10,a7,5,01.01.2026,A\n")
    project = load_project(path)
    program = load_program(project)
    warned = pytest.warns(Warning, match=r"KR534.*1 of")
    with independent_parts(project, program) as parts, warned:
        read = list(parts)
    with pytest.warns(Warning, match="KR534"):
        whole = load_data(project, program)
    for name in ("Of", "granted", "owner", "Bad"):  # accounts are in every part
        rows = {str(row) for part in read for row in part.named(name).to_pylist()}
        assert rows == set(map(str, whole.named(name).to_pylist()))
    assert {name for part in read for name in part.vocabularies["Account"]} == {
        f"a{i}" for i in range(5)
    }
