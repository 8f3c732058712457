"""The server as an editor meets it: started as a command, spoken with over stdio."""

import asyncio
import json
import re
import sys

import pytest

from knowreason.cli import main
from knowreason.lang import check, format_text, load
from knowreason.project.manifests import RULES as RULES_OF_RUN
from knowreason.project.manifests import write_manifest
from knowreason.reasoner.rule_weights import RuleWeight, RuleWeights
from knowreason.reasoner.stored_fit import weights_toml

pytest.importorskip("pygls", reason="the extra `lsp` is not installed")
pytest_lsp = pytest.importorskip("pytest_lsp", reason="no client that speaks with the server")
lsp = pytest.importorskip("lsprotocol.types")

pytestmark = pytest.mark.asyncio(loop_scope="module")
BASE = """\
# Käufe 💳 und Händler
domain Händler, Person
observed Kauft(Person, händler: Händler)   # wer kauft wo
attribute alter(Person): int
attribute art(Person): string
"""
RULES = """\
import "base.kr"
query Betrug(Person)
param grenze = 20
define Jung(p) := alter(p) < grenze
model bäume for Betrug = trees(features=["alter", "Jung"])
rule selten [-2] : Betrug(p)
rule kauf [? 1] : art(p) = "💳💳" & Kauft(p, händler: h) & Kauft(q, h) & Jung(p: q) => Betrug(p)
"""
PROJECT = """\
program = "rules.kr"
[tables.kauf]
path = "kauf.csv"
[bind]
Kauft = { table = "kauf", columns = ["person", "shop"] }
alter = { table = "kauf", columns = ["person"], value = "age" }
[split]
by = "alter"
"""


def units(text):
    """Code units of UTF-16, in which an editor counts."""
    return len(text.encode("utf-16-le")) // 2


class Editor:
    """An editor's side: buffers, and places by the text that stands there."""

    def __init__(self, client, folder):
        self.client, self.folder, self.texts, self.version = client, folder, {}, 0

    def uri(self, name):
        return (self.folder / name).as_uri()

    async def open(self, name, text):
        self.version += 1
        self.texts[name] = text
        item = lsp.TextDocumentItem(self.uri(name), "knowreason", self.version, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        await self.checked(self.uri(name))

    async def checked(self, uri):
        """Ask for quick fixes, which are answered when all findings were told."""
        start = lsp.Position(0, 0)
        params = lsp.CodeActionParams(
            lsp.TextDocumentIdentifier(uri), lsp.Range(start, start), lsp.CodeActionContext([])
        )
        await self.client.text_document_code_action_async(params)

    async def change(self, name, text):
        self.version += 1
        self.texts[name] = text
        there = lsp.VersionedTextDocumentIdentifier(self.version, self.uri(name))
        whole = lsp.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(there, [whole]))
        await self.checked(self.uri(name))

    def findings(self, name):
        return self.client.diagnostics.get(self.uri(name), ())

    def at(self, name, text, inside=0):
        """Document and position of a text, or of a character inside of it."""
        index = self.texts[name].index(text) + inside
        line = self.texts[name].rfind("\n", 0, index) + 1
        place = lsp.Position(
            self.texts[name].count("\n", 0, index), units(self.texts[name][line:index])
        )
        return lsp.TextDocumentIdentifier(self.uri(name)), place

    def text(self, name, there):
        """What stands in a range."""
        row = self.texts[name].split("\n")[there.start.line].encode("utf-16-le")
        return row[2 * there.start.character : 2 * there.end.character].decode("utf-16-le")

    async def hover(self, *place):
        found = await self.client.text_document_hover_async(lsp.HoverParams(*self.at(*place)))
        return found.contents.value if found else ""

    async def offers(self, *place):
        params = lsp.CompletionParams(*self.at(*place))
        found = await self.client.text_document_completion_async(params)
        return {item.label: item.insert_text or item.label for item in found}

    async def rename(self, name, text, new):
        document, place = self.at(name, text)
        edit = await self.client.text_document_rename_async(lsp.RenameParams(document, place, new))
        return self.edited(edit)

    def edited(self, edit):
        """The texts after an edit, by file name."""
        after = dict(self.texts)
        for uri, edits in edit.changes.items():
            name = uri.rpartition("/")[2]
            rows = [row.encode("utf-16-le") for row in self.texts[name].split("\n")]
            for one in sorted(edits, key=lambda e: (e.range.start.line, -e.range.start.character)):
                line, start, end = one.range.start.line, one.range.start, one.range.end
                row = rows[line]
                new = one.new_text.encode("utf-16-le")
                rows[line] = row[: 2 * start.character] + new + row[2 * end.character :]
            after[name] = "\n".join(row.decode("utf-16-le") for row in rows)
        return after


@pytest_lsp.fixture(
    config=pytest_lsp.ClientServerConfig(
        server_command=[sys.executable, "-m", "knowreason", "lsp"]
    ),
    scope="module",
)
async def client(lsp_client: pytest_lsp.LanguageClient):
    capabilities = pytest_lsp.client_capabilities("visual-studio-code")
    await lsp_client.initialize_session(lsp.InitializeParams(capabilities))
    yield
    await lsp_client.shutdown_session()


@pytest.fixture
def folder(tmp_path):
    for name, text in (("base.kr", BASE), ("rules.kr", RULES), ("knowreason.toml", PROJECT)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def editor(client, folder):
    made = Editor(client, folder)
    made.texts = {"base.kr": BASE, "knowreason.toml": PROJECT}
    return made


async def test_findings_come_and_go_as_one_types(editor):
    await editor.open("rules.kr", RULES)
    assert [d.code for d in editor.findings("rules.kr")] == []
    await editor.change("rules.kr", RULES.replace("händler: h) &", "händler: h) & Kaufd(q, h) &"))
    (found,) = editor.findings("rules.kr")
    assert (found.code, editor.text("rules.kr", found.range)) == ("KR201", "Kaufd")
    assert found.message.endswith("help: did you mean `Kauft`?")
    related = found.related_information[0].location
    assert related.uri == editor.uri("base.kr")
    await editor.change("rules.kr", RULES)
    assert [d.code for d in editor.findings("rules.kr")] == []


async def test_findings_come_unasked(editor):
    text = "domain P\nquery Q(P)\nrule a [1] : R(x)\n"
    uri = "untitled:Untitled-1"  # never saved
    item = lsp.TextDocumentItem(uri, "knowreason", 1, text)
    editor.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
    async with asyncio.timeout(20):
        while "KR201" not in [d.code for d in editor.client.diagnostics.get(uri, ())]:
            await asyncio.sleep(0.02)


async def test_an_import_is_read_from_its_buffer(editor):
    await editor.open("rules.kr", RULES)
    await editor.open("base.kr", BASE.replace("Kauft(", "Kaufte("))
    assert {d.code for d in editor.findings("rules.kr")} == {"KR201"}
    assert {d.code for d in editor.findings("knowreason.toml")} == set()
    await editor.change("base.kr", BASE + "observed Leer(")
    assert {d.code for d in editor.findings("base.kr")} == {"KR101"}
    await editor.change("base.kr", BASE)
    assert not editor.findings("base.kr")
    assert not editor.findings("rules.kr")


async def test_a_project_file_is_checked_with_the_rules(editor):
    await editor.open("knowreason.toml", PROJECT.replace("Kauft =", "Kaufd ="))
    (found,) = editor.findings("knowreason.toml")
    assert (found.code, editor.text("knowreason.toml", found.range)) == ("KR909", "Kaufd")
    await editor.change("knowreason.toml", PROJECT + "[learn]\nfold_cuont = 3\n")
    assert [d.code for d in editor.findings("knowreason.toml")] == ["KR906"]
    await editor.change("knowreason.toml", PROJECT + "[learn\n")
    assert [d.code for d in editor.findings("knowreason.toml")] == ["KR902"]
    await editor.change("knowreason.toml", PROJECT)
    assert not editor.findings("knowreason.toml")


async def test_a_suggestion_is_a_quick_fix(editor):
    await editor.open("rules.kr", RULES.replace("=> Betrug(p)", "=> Betruk(p)"))
    document, place = editor.at("rules.kr", "Betruk")
    params = lsp.CodeActionParams(document, lsp.Range(place, place), lsp.CodeActionContext([]))
    (action,) = await editor.client.text_document_code_action_async(params)
    assert action.title == "write `Betrug`"
    assert editor.edited(action.edit)["rules.kr"] == RULES


async def test_hover_says_the_role_and_the_declaration(editor):
    await editor.open("rules.kr", RULES)
    shown = await editor.hover("rules.kr", "Kauft(q")
    assert "observed predicate" in shown
    assert "observed Kauft(Person, händler: Händler)" in shown
    assert "wer kauft wo" in shown
    assert "table `kauf`: person, shop" in shown
    assert await editor.hover("rules.kr", "h) & Kauft(q") == "variable `h`: Händler"
    assert await editor.hover("rules.kr", "q) =>") == "variable `q`: Person"
    assert "param grenze = 20" in await editor.hover("rules.kr", "grenze\n")
    assert "gradient boosting" in await editor.hover("rules.kr", "trees")
    assert "argument `händler` of `Kauft`" in await editor.hover("rules.kr", "händler: h")
    assert await editor.hover("rules.kr", '💳💳"') == ""


async def test_hover_says_what_the_last_run_learned(editor, folder):
    run = folder / "runs" / "first"
    run.mkdir(parents=True)
    write_manifest(run, {"finished": "2026-01-31T12:00:00Z"})
    (run / RULES_OF_RUN).write_text(str(load(folder / "rules.kr")), encoding="utf-8")
    learned = RuleWeight("kauf", "rule", 1.234, 0.25, 1.0, 2.0, "learned")
    scale = RuleWeight("scale bäume", "scale", 0.9, 0.1, 1.0, 0.5, "learned")
    (run / "weights.toml").write_text(weights_toml(RuleWeights((learned, scale))))
    counts = {"rule": "kauf", "candidate": 1234, "satisfied": 200, "violated": 34, "open": 1000}
    (run / "grounding.json").write_text(json.dumps([counts]))
    await editor.open("rules.kr", RULES)
    shown = await editor.hover("rules.kr", "[? 1]")
    assert "last run `first`, 2026-01-31T12:00:00Z" in shown
    assert "weight **1.23** ± 0.25 (learned)" in shown
    assert "1,234 groundings: 200 satisfied, 34 violated, 1,000 open" in shown
    assert "changed since" not in shown
    assert "`scale bäume`: weight **0.9** ± 0.1" in await editor.hover("rules.kr", "bäume")
    await editor.change("rules.kr", RULES.replace("& Kauft(q, h)", "| Kauft(q, h)"))
    assert "changed since" in await editor.hover("rules.kr", "kauf [")


async def test_definition_and_references_cross_files(editor):
    await editor.open("rules.kr", RULES)
    place = editor.at("rules.kr", "Kauft(q")
    (found,) = await editor.client.text_document_definition_async(lsp.DefinitionParams(*place))
    assert (found.uri, editor.text("base.kr", found.range)) == (editor.uri("base.kr"), "Kauft")
    params = lsp.ReferenceParams(lsp.ReferenceContext(False), *place)
    used = await editor.client.text_document_references_async(params)
    assert [editor.text("rules.kr", one.range) for one in used] == ["Kauft"] * 2
    place = editor.at("rules.kr", "base.kr")
    (found,) = await editor.client.text_document_definition_async(lsp.DefinitionParams(*place))
    assert found.uri == editor.uri("base.kr")


@pytest.mark.parametrize(
    ("text", "new", "pattern", "times"),
    [
        ("Kauft(q", "Nimmt", r"\bKauft\b", {"base.kr": 1, "rules.kr": 2, "knowreason.toml": 1}),
        ("alter(p)", "jahre", r"\balter\b", {"base.kr": 1, "rules.kr": 2, "knowreason.toml": 2}),
        ("Jung(p)", "Unreif", r"\bJung\b", {"rules.kr": 3}),
        ("kauf [", "einkauf", r"\bkauf\b(?= \[)", {"rules.kr": 1}),
        ("grenze =", "limit", r"\bgrenze\b", {"rules.kr": 2}),
        ("händler: h", "bei", r"\bhändler\b", {"base.kr": 1, "rules.kr": 1}),
        ("h) & Kauft(q", "wo", r"\bh\b", {"rules.kr": 2}),
        ("p) := ", "wer", r"(?<=Jung\()p|(?<=alter\()p", {"rules.kr": 3}),
    ],
)
async def test_rename(editor, text, new, pattern, times):
    await editor.open("rules.kr", RULES)
    after = await editor.rename("rules.kr", text, new)
    files = {name: editor.texts[name] for name in ("base.kr", "rules.kr", "knowreason.toml")}
    wanted = {n: re.sub(pattern, new, t) if n in times else t for n, t in files.items()}
    assert after == wanted
    assert {n: len(re.findall(pattern, files[n])) for n in times} == times
    texts = {editor.folder / n: t for n, t in after.items()}
    assert check(editor.folder / "rules.kr", texts=texts).ok


async def test_a_rename_that_cannot_be_is_refused_with_its_reason(editor):
    await editor.open("rules.kr", RULES)
    with pytest.raises(Exception, match="`Jung` is taken"):
        await editor.rename("rules.kr", "Kauft(q", "Jung")
    params = lsp.PrepareRenameParams(*editor.at("rules.kr", "trees"))
    assert await editor.client.text_document_prepare_rename_async(params) is None
    (editor.folder / "knowreason.toml").write_text("program = rules.kr")
    with pytest.raises(Exception, match="is not TOML"):
        await editor.rename("rules.kr", "Kauft(q", "Nimmt")


COMPLETIONS = [
    ("", "", {"rule": "rule", "observed": "observed"}, {"Kauft", "forall"}),
    ("rule a [", "", {"hard": "hard", "odds": "odds", "per": "per"}, {"Kauft", "within"}),
    ("rule a [1] : Ka", "", {"Kauft": "Kauft(${1:person}, ${2:händler})"}, {"hard", "rule"}),
    ("rule a [1] : Kauft(p, ", "", {"p": "p", "händler: ": "händler: "}, {"hard"}),
    ("rule a [1] : Kau", "(p, h)", {"Kauft": "Kauft"}, {"hard"}),
    ("rule a [1] : exists ", "", set(), {"exists"}),
    ("rule a [1] : count { x : Kauft(x, _) ", "", {"last": "last", "in": "in"}, {"Kauft"}),
    ("define f(x) := if alter(x) > 3 ", "", {"then": "then"}, {"else"}),
    ("define f(x) := al", "", {"alter": "alter(${1:person})", "count": "count"}, set()),
    ("latent L(Person) ", "", {"within": "within", "sees": "sees"}, {"Kauft"}),
    ("latent L(Person) within ", "", {"Jung": "Jung"}, {"alter", "Person"}),
    ("latent L(P", "", {"Person": "Person"}, {"Kauft", "int"}),
    ("attribute f(Person): ", "", {"float": "float", "Händler": "Händler"}, {"Kauft"}),
    ("model m for ", "", {"Betrug": "Betrug"}, {"Kauft"}),
    ("model m for Betrug = t", "", {"trees": "trees($1)", "gnn": "gnn($1)"}, {"Kauft"}),
    ('model m for Betrug = trees(features=["', '"])', {"alter": "alter"}, {"trees"}),
    ("model m for Betrug = column(", "", {"kind=": "kind="}, {"Kauft"}),
    ('import "', '"', {"base.kr": "base.kr"}, {"rules.kr"}),
    ("rule a [1] : Betrug(p) # Ka", "", set(), {"Kauft"}),
    ("rule a [1] : & & ) Kauft(p, ", "", {"Kauft": "Kauft(${1:person}, ${2:händler})"}, {"rule"}),
]


@pytest.mark.parametrize(("before", "behind", "offered", "not_offered"), COMPLETIONS)
async def test_completion(editor, before, behind, offered, not_offered):
    await editor.open("rules.kr", RULES + before + behind)
    place = ("rules.kr", RULES[-10:] + before, 10 + len(before))
    found = await editor.offers(*place)
    assert dict(offered).items() <= found.items()
    assert not not_offered & set(found)


async def test_a_broken_file_still_answers(editor):
    broken = RULES.replace("define Jung(p) :=", "define Jung(p) := := (")
    broken = broken.replace("rule selten [-2] :", "rule selten [-2 Betrug(")
    await editor.open("rules.kr", broken)
    assert {d.code for d in editor.findings("rules.kr")} == {"KR101"}
    assert "observed predicate" in await editor.hover("rules.kr", "Kauft(q")
    assert "defined" in await editor.hover("rules.kr", "Jung(p: q)")
    assert await editor.hover("rules.kr", "h) & Kauft(q") == "variable `h`: Händler"
    assert "Betrug" in await editor.offers("rules.kr", "=> Bet", 6)
    after = await editor.rename("rules.kr", "Kauft(q", "Nimmt")
    assert after["rules.kr"] == broken.replace("Kauft", "Nimmt")


async def test_format_and_outline(editor):
    text = RULES.replace("query Betrug(Person)", "query   Betrug( Person )")
    await editor.open("rules.kr", text)
    here = lsp.TextDocumentIdentifier(editor.uri("rules.kr"))
    options = lsp.FormattingOptions(4, True)
    (edit,) = await editor.client.text_document_formatting_async(
        lsp.DocumentFormattingParams(here, options)
    )
    assert edit.new_text == format_text(text)
    assert (edit.range.start.line, edit.range.end.line) == (0, text.count("\n"))
    await editor.change("rules.kr", edit.new_text)
    again = lsp.DocumentFormattingParams(here, options)
    assert not await editor.client.text_document_formatting_async(again)
    symbols = await editor.client.text_document_document_symbol_async(
        lsp.DocumentSymbolParams(here)
    )
    assert [one.name for one in symbols] == ["Betrug", "grenze", "Jung", "bäume", "selten", "kauf"]
    for one in symbols:
        assert editor.text("rules.kr", one.selection_range) == one.name


async def test_without_pygls_it_says_what_to_install(monkeypatch, capsys):
    for name in [n for n in sys.modules if n.startswith("lsprotocol")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "knowreason.editor.language_server", raising=False)
    monkeypatch.setitem(sys.modules, "lsprotocol", None)
    monkeypatch.setattr(sys, "argv", ["knowreason", "lsp"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert "KR959" in said.err
    assert "pip install 'knowreason[lsp]'" in said.err
