"""Files, imports, parameters, and large files."""

import gc
import subprocess
import sys
from datetime import timedelta

import pytest

from knowreason.errors import ProgramError
from knowreason.lang import check, load, loads
from knowreason.logic import Constant

SMALL = "domain A\nquery Q(A)\nrule r : Q(x)\n"


def test_a_file_with_a_byte_order_mark_and_carriage_returns(tmp_path):
    path = tmp_path / "a.kr"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert load(path) == loads(SMALL)


def test_imports_are_relative_textual_and_read_once(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "base.kr").write_text('import "../main.kr"\ndomain A\nquery Q(A)\n')
    (tmp_path / "sub" / "more.kr").write_text('import "base.kr"\nobserved P(A)\n')
    main = tmp_path / "main.kr"
    main.write_text('import "sub/base.kr"\nimport "sub/more.kr"\nrule r : P(x) => Q(x)\n')
    program = load(main)
    assert [predicate.name for predicate in program.predicates] == ["Q", "P"]


def test_a_name_declared_in_two_files_names_both_places(tmp_path):
    (tmp_path / "base.kr").write_text("domain A\n")
    main = tmp_path / "main.kr"
    main.write_text('import "base.kr"\ndomain A\nquery Q(A)\nrule r : Q(x)\n')
    with pytest.raises(ProgramError) as caught:
        load(main)
    (finding,) = caught.value.diagnostics
    assert finding.code == "KR207"
    assert finding.span.source.name.endswith("main.kr")
    assert finding.related[0].span.source.name.endswith("base.kr")


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.kr", tmp_path):
        with pytest.raises(ProgramError) as caught:
            load(path)
        assert caught.value.code == "KR111"


def test_errors_are_told_all_at_once_and_in_order():
    text = "domain A\nrule b : Z(x)\nquery Q(A\nrul c\nrule d : Q(x) & Y(x)\n"
    with pytest.raises(ProgramError) as caught:
        loads(text)
    found = [(d.code, d.span.source.position(d.span.start)[0]) for d in caught.value.diagnostics]
    assert found == [("KR201", 2), ("KR101", 3), ("KR102", 4), ("KR201", 5)]


def test_a_broken_declaration_is_not_told_again_at_its_uses():
    result = check(text="domain A\nquery Q(A\nrule r : Q(x)\nrule s : Q(x) & Q(x)\n")
    assert [d.code for d in result.diagnostics if d.severity == "error"] == ["KR101"]


def test_a_faulty_definition_is_not_told_again_at_its_uses():
    text = """domain A
observed F(A, A)
query Q(A) within Odd
define Odd(x) := F(x, y) & Nothing(y)
define far(x) := count { y : F(x, y) } + Nothing(x)
rule r : Odd(x) & far(x) > 3 => Q(x)
"""
    found = [d.code for d in check(text=text).diagnostics if d.severity == "error"]
    assert found == ["KR201", "KR201", "KR212"]


PARAMETERS = """domain A
query Q(A)
attribute at(A): time
param horizon = 1h
param limit = 3
param rate_of = 0.5
param who = "a"
param on = true
param since = "2026-01-01"
rule r : Q(x) & at(x) > since & x != who
"""


def test_parameters_take_the_sort_of_their_use():
    program = loads(PARAMETERS)
    assert program.parameter_value("since") == Constant(1_767_225_600_000_000, "time")
    assert program.parameter_value("who") == Constant("a", "A")
    assert loads(str(program)) == program


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("horizon", "2h", 7_200_000_000),
        ("horizon", timedelta(seconds=1), 1_000_000),
        ("limit", "4", 4),
        ("limit", 4.0, 4),
        ("rate_of", "1e-3", 0.001),
        ("who", "bob", "bob"),
        ("on", "False", False),
        ("on", False, False),
        ("since", "1970-01-01T00:00:01Z", 1_000_000),
    ],
)
def test_parameters_may_be_replaced(name, given, value):
    program = loads(PARAMETERS, parameters={name: given})
    assert program.parameter_value(name).value == value


@pytest.mark.parametrize(
    ("name", "given", "code"),
    [
        ("horizon", "soon", "KR211"),
        ("horizon", 3, "KR211"),
        ("limit", "many", "KR211"),
        ("who", 3, "KR211"),
        ("on", "perhaps", "KR211"),
        ("horizn", "2h", "KR201"),
        ("since", "never", "KR107"),
    ],
)
def test_parameters_of_another_sort_are_refused(name, given, code):
    with pytest.raises(ProgramError) as caught:
        loads(PARAMETERS, parameters={name: given})
    assert caught.value.code == code


def test_ten_errors_in_ten_thousand_rules_are_all_found():
    lines = ["domain A", "observed F(A, A)", "query Q(A)", "query V(A, A)"]
    lines += [f'rule r{i} [1.5] : Q(x) & F(x, y) & !V(x, "t{i}") => Q(y)' for i in range(10_000)]
    wrong = {
        500: "rule e0 : Q(x) & => Q(x)",
        1500: "rule e1 : Z(x)",
        2500: "rule e2 : Q(x, y)",
        3500: "rul e3 : Q(x)",
        4500: "rule e4 : Q(X)",
        5500: "rule e5 : Q(x) & x = z",
        6500: 'rule e6 : Q("a)',
        7500: "rule e7 [? >= 1] : Q(x)",
        8500: "rule r17 : Q(x)",
        9500: "rule e9 : forall x. Q(x) => Q(x)",
    }
    for place, line in wrong.items():
        lines[place] = line
    found = check(text="\n".join(lines)).diagnostics
    errors = [d.span.source.position(d.span.start)[0] for d in found if d.severity == "error"]
    assert errors == [place + 1 for place in wrong]


def test_the_garbage_collector_is_left_as_it_was():
    loads(SMALL)
    assert gc.isenabled()
    gc.disable()
    try:
        loads(SMALL)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_importing_the_language_imports_nothing_heavy():
    code = (
        "import sys, knowreason.lang, knowreason.lang.diagnostic_rendering\n"
        "heavy = {'torch', 'pandas', 'polars', 'duckdb', 'pyarrow', 'numpy', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
