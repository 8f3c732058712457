"""Names and where they stand: every name of the ready rule files replaced, and nothing else."""

import re
from pathlib import Path

import pytest

from knowreason.diagnostics import Source
from knowreason.editor.occurrences import occurrences
from knowreason.editor.renaming import project_places, renamed
from knowreason.editor.rule_files import RuleFiles, at
from knowreason.lang import check
from knowreason.resources import rulesets_path

RULESETS = sorted(rulesets_path().glob("*.kr"))
SOFT = """\
domain P
observed Seen(P, of: P)
attribute in(P): int
attribute by(P): int clock
query Bad(P)
latent Worse(P) sees Bad [? >= 0]
param limit = 3
define often(x) := count { y : Seen(x, of: y) last 2 by by(y) }
define odd(then) := if in(then) > limit then 2 else 1
rule then [odds 4]        : Bad(odds) & in(odds) in { 1, 2 }
rule most [? per of * 2] : Bad(of) & often(x: of) > limit & odd(of) = 1
rule mean [1] : Bad(x) & Seen(x, of: y) ~> mean Worse(y)
"""


def replaced(texts: dict[Path, str], spans) -> dict[Path, str]:
    """Texts with `_zz` behind each span."""
    ends = {(Path(span.source.name), span.end) for span in spans}
    for path, end in sorted(ends, key=lambda place: -place[1]):
        texts[path] = texts[path][:end] + "_zz" + texts[path][end:]
    return texts


def everything(path: Path, texts: dict[Path, str]) -> dict[Path, str]:
    """The files of a family with every name replaced."""
    files = RuleFiles(dict(texts))
    spans = []
    for one in files.names(path):
        if one.declares or one.what == "variable":
            spans += renamed(files, path, one, one.name + "_zz")
    return replaced(texts, spans)


def plain(program) -> str:
    return str(program).replace("_zz", "")


@pytest.mark.parametrize("path", RULESETS, ids=lambda path: path.stem)
def test_every_name_replaced_is_the_same_program(path):
    files = RuleFiles()
    texts = {file: files.source(file).text for file in files.family(path)}
    after = check(path, texts=everything(path, dict(texts)))
    before = check(path)
    assert after.program is not None, after.diagnostics
    assert plain(after.program) == str(before.program)
    assert len(re.findall(r"_zz\b", str(after.program))) > 10


def test_words_that_are_names_elsewhere(tmp_path):
    path = tmp_path / "soft.kr"
    before = check(text=SOFT, name=str(path))
    assert before.program is not None, before.diagnostics
    after = check(path, texts=everything(path, {path: SOFT}))
    assert after.program is not None, after.diagnostics
    assert plain(after.program) == str(before.program)


def test_a_variable_is_replaced_in_its_rule_only(tmp_path):
    text = "domain P\nquery Q(P)\nrule a [1] : Q(x)\nrule b [1] : Q(x) | !Q(x)\n"
    path = tmp_path / "v.kr"
    files = RuleFiles({path: text})
    source = files.source(path)
    spans = renamed(files, path, at(files.names(path), source, text.rindex("x")), "x_zz")
    assert replaced({path: text}, spans)[path] == text.replace("Q(x) | !Q(x)", "Q(x_zz) | !Q(x_zz)")


@pytest.mark.parametrize(
    ("place", "new", "why"),
    [
        ("Bad(P)", "Seen", "taken"),
        ("Bad(P)", "bad", "capital"),
        ("in(P)", "sum", "cannot be a name"),
        ("in(P)", "3x", "cannot be a name"),
        ("limit =", "x", "taken"),
        ("x: of", "limit", "taken"),
        ("P)", "Bads(", "cannot be a name"),
    ],
)
def test_what_is_refused(tmp_path, place, new, why):
    path = tmp_path / "soft.kr"
    files = RuleFiles({path: SOFT})
    one = at(files.names(path), files.source(path), SOFT.index(place))
    with pytest.raises(ValueError, match=why):
        renamed(files, path, one, new)


PROJECT = """\
program = "r.kr"
[bind]
day = { table = "day", columns = ["id"], value = "day" }
"Pays" = { table = "p", columns = ["Pays", "day"] }
[features.Payment]
table = "p"
[models.signs]
features = ["amount", "day"]
[split]
by = "day"
[learn]
folds = "group:day"
[labels]
prevalence = { Fraud = 0.1 }
[show]
Payment = ["day"]
"""


@pytest.mark.parametrize(
    ("what", "name", "lines"),
    [
        ("symbol", "day", [3, 8, 10, 12, 16]),
        ("symbol", "Pays", [4]),
        ("symbol", "Fraud", [14]),
        ("domain", "Payment", [5, 16]),
        ("model", "signs", [7]),
    ],
)
def test_a_project_file_says_the_names(what, name, lines):
    source = Source("knowreason.toml", PROJECT)
    spans = project_places(source, what, name)
    assert [source.text[span.start : span.end] for span in spans] == [name] * len(lines)
    assert sorted(source.position(span.start)[0] for span in spans) == lines


def test_a_statement_that_does_not_parse_has_names():
    found = occurrences(Source("b", "rule r [1 : Fraud(p) & & Pays(p, card: c"))
    assert [(o.what, o.name) for o in found] == [
        ("rule", "r"),
        ("symbol", "Fraud"),
        ("variable", "p"),
        ("symbol", "Pays"),
        ("variable", "p"),
        ("argument", "card"),
        ("variable", "c"),
    ]
