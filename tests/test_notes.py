"""The page of notes has every note that training gives, and no other."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reference/notes.md"
FOLDERS = ("learning", "reasoner", "models")  # what training runs
NAMES = re.compile(
    r"notes?|line|status|headline|sentence|said|reports?_?|judgement|nothing|unheld|silent|why|origin|differs"
)
GIVES = re.compile(r"note|report|headline|[Ss]entence|^Why ")  # functions that return notes


def page_notes():
    """What stands in the first columns of the tables, between backticks."""
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    code = r"(?<!`)(`+)(?!`) ?(.+?) ?(?<!`)\1(?!`)"
    return [note for row in rows for _, note in re.findall(code, row)]


def gives(text, note):
    """Whether a text is a note or holds it; one word alone is a note, and no part of one."""
    return note == text if " " not in note else note.replace("...", "{}") in text


def templates(tree):
    """Texts of an expression; what is filled in is ``{}``."""
    inside = set()
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.JoinedStr):
            inside.update(id(part) for part in ast.walk(node))
            yield "".join(p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def called(tree):
    """Names of functions that make parts of ``self.report_``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "attr", "") == "report_":
            calls = (n.func for n in ast.walk(node.value) if isinstance(n, ast.Call))
            yield from (getattr(call, "attr", getattr(call, "id", "")) for call in calls)


def expressions(tree):
    """What is named, passed, added or returned as a note."""
    parts = set(called(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = [getattr(t, "id", getattr(t, "attr", "")) for t in targets]
            if any(NAMES.fullmatch(name) for name in named):
                yield node.value
        elif isinstance(node, ast.keyword) and NAMES.fullmatch(node.arg or ""):
            yield node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            held = node.func.value
            if node.func.attr == "append" and isinstance(held, ast.Name):
                yield from node.args if NAMES.fullmatch(held.id) else ()
        elif isinstance(node, ast.FunctionDef) and (
            node.name in parts
            or GIVES.search(node.name)
            or GIVES.search(ast.get_docstring(node) or "")
        ):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value:
                    yield inner.value


def source_notes():
    trees = [
        (path, ast.parse(path.read_text(encoding="utf-8")))
        for folder in FOLDERS
        for path in sorted((ROOT / "knowreason" / folder).rglob("*.py"))
        if path.parent.name not in ("serving", "reviews")  # what is asked of a run later
    ]
    constants = {
        target.id: node.value
        for _, tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for path, tree in trees:
        for found in expressions(tree):
            named = {n.id for n in ast.walk(found) if isinstance(n, ast.Name)}
            for each in (found, *(constants[n] for n in sorted(named & set(constants)))):
                for text in templates(each):
                    if len(re.findall(r"[a-z]{2,}", text)) > 1:
                        yield path.relative_to(ROOT), text


NO_NOTES = {  # errors, columns and the like that stand where notes are
    "pseudo_likelihood",
    "`{}` is no numeric query",
    "say which numeric query",
    "standard_error = {}",
    "prior_mean = {}",
    "prior_sd = {}",
}


def test_each_note_is_on_the_page():
    notes = page_notes()
    missing = {
        f"{path}: {text}"
        for path, text in source_notes()
        if text not in NO_NOTES and not any(gives(text, note) for note in notes)
    }
    assert not missing, "\n".join(sorted(missing))


def test_each_note_of_the_page_is_given():
    files = (ROOT / "knowreason").rglob("*.py")
    texts = {text for file in files for text in templates(ast.parse(file.read_text("utf-8")))}
    unknown = [note for note in page_notes() if not any(gives(text, note) for text in texts)]
    assert not unknown
    assert len(page_notes()) == len(set(page_notes()))
