"""What editors, pre-commit and GitHub read of the repository: it says what is so."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from knowreason.lang.syntax.grammar import grammar
from knowreason.resources import grammar_path, rulesets_path
from tests.document_pages import blocks_of

ROOT = Path(__file__).parents[2]
EXTENSION = ROOT / "editors" / "vscode"
RULES = "domain P\nquery Q(P)\nrule a [1]  :  Q(x)\n"


def run(command, folder, **more):
    """A command as its user would start it, with the `knowreason` of these tests."""
    bin = folder / "bin"
    if not bin.exists():
        bin.mkdir()
        (bin / "knowreason").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m knowreason "$@"\n')
        (bin / "knowreason").chmod(0o755)
    paths = {"PYTHONPATH": str(ROOT), "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"}
    environment = os.environ | paths | more
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_colouring_colours_every_word_where_it_acts():
    text = grammar_path().with_name("knowreason.tmLanguage.json").read_text(encoding="utf-8")
    found = json.loads(text)["repository"]
    groups = [found[name] for name in ("statement", "word", "literal", "weight")]
    ones = [one for group in groups for one in group.get("patterns", [group])]
    patterns = [re.compile(one["match"]) for one in ones]
    for word in grammar().words:
        places = (f"{word} Name", f"a {word} b", f"a {word} {{", f"a {word}(b)", f"[{word}]")
        coloured = [m.group() for text in places for p in patterns for m in p.finditer(text)]
        assert any(word in re.split(r"\W+", match) for match in coloured), word


def test_the_extension_names_files_that_are_there():
    package = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
    told = package["contributes"]
    made = {"knowreason.tmLanguage.json"}  # copied when it is packaged
    copied = package["scripts"]["vscode:prepublish"]
    assert all(f"'../../grammar/{name}'" in copied for name in made)
    named = {package["main"], told["languages"][0]["configuration"], told["grammars"][0]["path"]}
    named |= set(package["files"]) - {"node_modules"}
    assert all(
        (EXTENSION / name).is_file() for name in {n.removeprefix("./") for n in named} - made
    )
    word = re.compile(
        json.loads((EXTENSION / "language-configuration.json").read_text())["wordPattern"]
    )
    assert word.findall("Händler(x_1, 2) & a") == ["Händler", "x_1", "a"]


STARTED = """
const asked = [];
class LanguageClient {
  constructor(name, server, options) { Object.assign(this, { server, options }); }
  async start() {
    const { spawn } = require("child_process");
    const server = spawn(this.server.command, this.server.args);
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize",
      params: { processId: null, rootUri: null, capabilities: {} } });
    server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\\r\\n\\r\\n${body}`);
    const answer = await new Promise((done) => server.stdout.once("data", (d) => done(`${d}`)));
    console.log(JSON.stringify({ selector: this.options.documentSelector, answer }));
    server.kill();
  }
}
const vscode = {
  workspace: { getConfiguration: () => ({ get: (key) => defaults[`knowreason.${key}`].default }) },
  window: { showErrorMessage: (text) => console.log(text) },
};
const folder = process.argv[1];
const defaults = require(`${folder}/package.json`).contributes.configuration.properties;
const Module = require("module");
const load = Module._load;
Module._load = (name, ...rest) =>
  ({ vscode, "vscode-languageclient/node": { LanguageClient } })[name] ?? load(name, ...rest);
require(`${folder}/extension.js`).activate();
"""


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node")
def test_the_extension_starts_the_server(tmp_path):
    pytest.importorskip("pygls", reason="the extra `lsp` is not installed")
    done = run(["node", "-e", STARTED, str(EXTENSION)], tmp_path)
    said = json.loads(done.stdout)
    assert '"hoverProvider"' in said["answer"]
    assert {"language": "knowreason", "pattern": "**/*.kr"} in said["selector"]


DRIVE = """
local function wait(what) assert(vim.wait(30000, what, 50), "nothing came") end
local function ask(method, params)
  local answer = vim.lsp.buf_request_sync(0, method, params, 30000)
  for _, one in pairs(answer) do return one.result end
end
vim.cmd("edit r.kr")
wait(function() return #vim.diagnostic.get(0) > 0 end)
local found = vim.diagnostic.get(0)[1]
local said = { code = found.code, found = found.message }
vim.fn.search("Böse(x)")
local params = vim.lsp.util.make_position_params(0, "utf-16")
said.hover = ask("textDocument/hover", params).contents.value
params.newName = "Arg"
vim.lsp.util.apply_workspace_edit(ask("textDocument/rename", params), "utf-16")
vim.cmd("write")
io.stdout:write(vim.json and vim.json.encode(said) or vim.fn.json_encode(said))
vim.cmd("qall!")
"""


@pytest.mark.skipif(not shutil.which("nvim"), reason="Neovim is not installed")
def test_neovim_finds_shows_and_renames(tmp_path):
    pytest.importorskip("pygls", reason="the extra `lsp` is not installed")
    page = ROOT / "docs" / "how-to" / "editor.md"
    (snippet,) = [block.text for block in blocks_of(page) if block.language == "lua"]
    (tmp_path / "init.lua").write_text(snippet)
    (tmp_path / "drive.lua").write_text(DRIVE)
    head = "domain P\nattribute art(P): string\nquery Böse(P)\n"
    text = head + 'rule a [1] : art(x) = "💳" & Böse(x) => Q(x)\n'
    (tmp_path / "r.kr").write_text(text)
    done = run(
        ["nvim", "--headless", "-u", "init.lua", "-c", "luafile drive.lua", "-c", "cq"], tmp_path
    )
    said = json.loads(done.stdout)
    assert "query predicate" in said["hover"]
    assert (said["code"], "unknown predicate `Q`" in said["found"]) == ("KR201", True)
    assert (tmp_path / "r.kr").read_text() == text.replace("Böse", "Arg")


def hooks():
    yaml = pytest.importorskip("yaml")
    return {
        hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    }


def test_the_hooks_check_and_format(tmp_path):
    check, fmt = hooks()["knowreason-check"], hooks()["knowreason-fmt"]
    assert re.search(check["files"], "fraud/knowreason.toml")
    assert re.search(check["files"], "fraud/rules.kr")
    assert not re.search(check["files"], "pyproject.toml")
    assert not re.search(fmt["files"], "fraud/knowreason.toml")
    file = tmp_path / "rules.kr"
    file.write_text(RULES)
    assert run([*fmt["entry"].split(), "rules.kr"], tmp_path).returncode == 0
    assert file.read_text() == RULES.replace("  :  ", " : ")
    assert run([*check["entry"].split(), "rules.kr"], tmp_path).returncode == 0
    file.write_text(RULES.replace("Q(x)", "R(x)"))
    failed = run([*check["entry"].split(), "rules.kr"], tmp_path)
    assert (failed.returncode, "KR201" in failed.stderr) == (1, True)


def test_the_action_runs_check_with_annotations(tmp_path):
    yaml = pytest.importorskip("yaml")
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    step = action["runs"]["steps"][-1]
    inputs = {f"${{{{ inputs.{key} }}}}": one["default"] for key, one in action["inputs"].items()}
    given = {name: inputs[value] for name, value in step["env"].items()}
    shutil.copy(rulesets_path() / "smokers.kr", tmp_path)
    assert run(["bash", "-c", step["run"]], tmp_path, **given).returncode == 0
    (tmp_path / "wrong.kr").write_text(RULES.replace("Q(x)", "R(x)"))
    failed = run(["bash", "-c", step["run"]], tmp_path, **given)
    assert failed.returncode == 1
    assert "::error file=wrong.kr,line=3,col=16" in failed.stdout
