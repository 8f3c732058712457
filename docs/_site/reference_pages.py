"""Reference pages made from the program: commands, keys, codes, names of the packages."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer

import knowreason
from knowreason.cli.app import app
from knowreason.codes import catalogue
from knowreason.project.schema import PROJECT

HUNDREDS = {
    "1": "Syntax",
    "2": "Names and sorts",
    "3": "Style",
    "4": "Logic",
    "5": "Data",
    "6": "Grounding",
    "7": "Inference",
    "8": "Models and learning",
    "9": "Projects, runs and the command line",
}


def pages() -> dict[str, str]:
    """Markdown by its place under `docs`."""
    made = {
        "reference/cli.md": "".join(_commands()),
        "reference/project-keys.md": "".join(_keys()),
        "reference/codes.md": "".join(_codes()),
    }
    return made | dict(_names())


def _commands() -> Iterator[str]:
    group: Any = typer.main.get_command(app)
    context = group.context_class(group, info_name="knowreason")
    yield "# The command line\n\n"
    yield f"{group.callback.__doc__.strip().splitlines()[0]}\n"
    yield "Exit codes: 0 good, 1 findings or a failed check, 2 wrong usage or input.\n\n"
    yield "| command | what it does |\n|---|---|\n"
    verbs = [group.get_command(context, name) for name in group.list_commands(context)]
    for verb in verbs:
        first = inspect.cleandoc(verb.help or "").split("\n\n")[0].replace("\n", " ")
        yield f"| [`{verb.name}`](#{verb.name}) | {_cell(first)} |\n"
    yield "\nBefore the command:\n\n" + _options(context, group)
    for verb in verbs:
        inner = verb.context_class(verb, info_name=f"knowreason {verb.name}")
        usage = " ".join(verb.collect_usage_pieces(inner))
        yield f"\n## {verb.name}\n\n```text\nknowreason {verb.name} {usage}\n```\n\n"
        yield _plain(inspect.cleandoc(verb.help or "")) + "\n\n" + _options(inner, verb)


def _options(context: Any, command: Any) -> str:
    rows = ["| option | what it does |\n|---|---|\n"]
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record:
            rows.append(f"| `{record[0]}` | {_cell(record[1])} |\n")
    return "".join(rows)


def _keys() -> Iterator[str]:
    schema = PROJECT.json_schema()
    kinds = schema["$defs"]
    yield "# Every key of the project file\n\n"
    yield "[The project file](project.md) says how they go together. "
    yield "`knowreason schema` prints the same as a JSON schema, for an editor.\n"
    sections = {key: _kind_of(value, kinds) for key, value in schema["properties"].items()}
    plain = {key: schema["properties"][key] for key, kind in sections.items() if kind is None}
    yield "\n## Outside of sections\n\n" + _key_rows(plain, schema.get("required", ()))
    for key, (place, kind) in ((k, v) for k, v in sections.items() if v is not None):
        entry = kinds[kind]
        title = {"many": f"[{key}.NAME]", "one": f"[{key}]"}[place]
        about = entry.get("description", "") or schema["properties"][key].get("description", "")
        yield f"\n## `{title}`\n\n{_plain(about)}\n\n"
        yield _key_rows(entry["properties"], entry.get("required", ()))
        for name, value in entry["properties"].items():
            inner = _kind_of(value, kinds)
            if inner is not None:
                yield f"\n### Each of `{key}.{name}`\n\n"
                yield _key_rows(kinds[inner[1]]["properties"], kinds[inner[1]].get("required", ()))


def _kind_of(value: Mapping[str, Any], kinds: Mapping[str, Any]) -> tuple[str, str] | None:
    """Whether a key holds one section, or many by name, and of what kind."""
    if "$ref" in value:
        place, reference = "one", value["$ref"]
    else:
        inner = value.get("additionalProperties") or value.get("items") or {}
        place, reference = "many", inner.get("$ref", "") if isinstance(inner, dict) else ""
    kind = reference.rsplit("/", 1)[-1]
    return (place, kind) if kind in kinds and "properties" in kinds[kind] else None


def _key_rows(properties: Mapping[str, Any], required: Iterable[str]) -> str:
    rows = ["| key | takes | default | meaning |\n|---|---|---|---|\n"]
    for key, value in properties.items():
        default = "required" if key in required else f"`{_toml(value.get('default'))}`"
        shown = "" if default in ("`None`", '`""`', "`{}`", "`[]`") else default
        said = _cell(_plain(value.get("description", "")))
        rows.append(f"| `{key}` | {_cell(_takes(value))} | {shown} | {said} |\n")
    return "".join(rows)


def _takes(value: Mapping[str, Any]) -> str:
    if "enum" in value:
        return " or ".join(f"`{_toml(each)}`" for each in value["enum"])
    if "const" in value:
        return f"`{_toml(value['const'])}`"
    if "anyOf" in value:
        kinds = [_takes(each) for each in value["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    names = {
        "array": "list",
        "boolean": "`true` or `false`",
        "integer": "whole number",
        "null": "nothing",
        "object": "table",
        "string": "text",
    }
    return names.get(value.get("type", "object"), value.get("type", "table"))


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _codes() -> Iterator[str]:
    yield "# Codes\n\nEvery error, warning and hint has a code. "
    yield "`knowreason explain-code KR201` prints the same in the terminal.\n"
    hundred = ""
    for code, entry in catalogue().items():
        if code[2] != hundred:
            hundred = code[2]
            yield f"\n## KR{hundred}xx: {HUNDREDS[hundred]}\n"
        yield f"\n### {code}: {entry.title} {{ #{code} }}\n\n{entry.explanation.strip()}\n"
        for label, example in (("Wrong", entry.wrong), ("Right", entry.right)):
            if example:
                yield f"\n{label}:\n\n```{_language(example)}\n{example.strip()}\n```\n"


def _language(example: str) -> str:
    """What an example of the catalogue is written in."""
    if re.match(r"\s*(knowreason|python|pip|\$)\s", example):
        return "sh"
    return "toml" if re.match(r"\s*(\[[\w.]+\]$|[\w.]+ *= )", example, re.MULTILINE) else "kr"


def _names() -> Iterator[tuple[str, str]]:
    """A page for the package and one for each public package inside."""
    top = [name for name in knowreason.__all__ if name != "__version__"]
    packages = [name for name in top if inspect.ismodule(getattr(knowreason, name))]
    own = [name for name in top if name not in packages]
    homes = {id(getattr(knowreason, name)) for name in own}
    lead = "# knowreason\n\nWhat `import knowreason as kr` gives.\n\n"
    yield "reference/api/knowreason.md", lead + _entries("knowreason", own)
    for package in packages:
        module = getattr(knowreason, package)
        names = [n for n in getattr(module, "__all__", ()) if id(getattr(module, n)) not in homes]
        first = (module.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
        lead = f"# knowreason.{package}\n\n{_plain(first)}\n\n"
        yield f"reference/api/{package}.md", lead + _entries(f"knowreason.{package}", names)


def _entries(module: str, names: Iterable[str]) -> str:
    home = sys.modules[module]
    entries = []
    for name in names:
        value = getattr(home, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            entries.append(f"::: {module}.{name}\n\n")
        else:
            plain = isinstance(value, (str, int, float, tuple))
            shown = repr(value) if plain else type(value).__name__
            entries.append(f"## {name}\n\n`{module}.{name}`: `{shown}`\n\n")
    return "".join(entries)


def _plain(text: str) -> str:
    """Words of docstrings without the marks of another language."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text)
    return text.replace("``", "`")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
