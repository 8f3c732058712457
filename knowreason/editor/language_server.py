"""The language server: what an editor asks, answered over stdio; needs the extra ``lsp``."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from knowreason.diagnostics import Diagnostic, Source, Span
from knowreason.editor.completions import Offer, Shape, completions
from knowreason.editor.hover_texts import hover_text, rule_at
from knowreason.editor.occurrences import Occurrence, occurrences, stretches
from knowreason.editor.quick_fixes import replacement
from knowreason.editor.renaming import RENAMED, renamed
from knowreason.editor.rule_files import RuleFiles, at, same
from knowreason.lang import format_text
from knowreason.version import __version__

PAUSE = 0.01  # seconds without a keystroke before rules are checked
_SEVERITIES = {
    "error": lsp.DiagnosticSeverity.Error,
    "warning": lsp.DiagnosticSeverity.Warning,
    "hint": lsp.DiagnosticSeverity.Hint,
}
_SHAPES: dict[Shape, lsp.CompletionItemKind] = {
    "word": lsp.CompletionItemKind.Keyword,
    "predicate": lsp.CompletionItemKind.Function,
    "attribute": lsp.CompletionItemKind.Field,
    "variable": lsp.CompletionItemKind.Variable,
    "domain": lsp.CompletionItemKind.Class,
    "model": lsp.CompletionItemKind.Module,
    "option": lsp.CompletionItemKind.Property,
    "file": lsp.CompletionItemKind.File,
}
_SYMBOLS = {
    "observed": lsp.SymbolKind.Function,
    "query": lsp.SymbolKind.Function,
    "latent": lsp.SymbolKind.Function,
    "define": lsp.SymbolKind.Method,
    "attribute": lsp.SymbolKind.Field,
    "param": lsp.SymbolKind.Constant,
    "domain": lsp.SymbolKind.Class,
    "rule": lsp.SymbolKind.Event,
    "model": lsp.SymbolKind.Module,
}


class RuleServer(LanguageServer):
    """A language server for rule files and the project files beside them.

    Attributes:
        files: the rule files, open ones as the editor has them.
    """

    def __init__(self) -> None:
        super().__init__(
            "knowreason", __version__, text_document_sync_kind=lsp.TextDocumentSyncKind.Full
        )
        self.files = RuleFiles()
        self._told: dict[str, list[tuple[Diagnostic, lsp.Diagnostic]]] = {}
        self._waiting: asyncio.TimerHandle | None = None
        self._uris: dict[Path, str] = {}

    # ------------------------------------------------------------ places

    def path(self, uri: str) -> Path:
        """The file of a document; of one that was never saved, a file that is not there."""
        path = Path(to_fs_path(uri) or uri).resolve()
        self._uris.setdefault(path, uri)
        return path

    def uri(self, source: Source) -> str:
        """The address of a text, as the editor wrote it."""
        path = Path(source.name).resolve()
        return self._uris.get(path) or path.as_uri()

    def offset(self, source: Source, place: lsp.Position) -> int:
        """The character at a place, which counts in the client's units (UTF-16 as a rule)."""
        if place.line >= len(source.line_starts):
            return len(source.text)
        start, left = source.line_starts[place.line], place.character
        for index, char in enumerate(source.line(place.line + 1)):
            if left <= 0:
                return start + index
            left -= self.workspace.position_codec.client_num_units(char)
        return start + len(source.line(place.line + 1))

    def range(self, span: Span) -> lsp.Range:
        """A stretch of text in the client's units."""
        ends = []
        for offset in (span.start, span.end):
            line, column = span.source.position(offset)
            before = span.source.line(line)[: column - 1]
            units = self.workspace.position_codec.client_num_units(before)
            ends.append(lsp.Position(line - 1, units))
        return lsp.Range(*ends)

    def location(self, span: Span) -> lsp.Location:
        """A stretch of text and its document."""
        return lsp.Location(self.uri(span.source), self.range(span))

    def named(self, params: Any) -> tuple[Path, Occurrence | None]:
        """The file and the name that a request is about; a project file has none."""
        path = self.path(params.text_document.uri)
        if path.suffix == ".toml":
            return path, None
        source = self.files.source(path)
        offset = self.offset(source, params.position)
        return path, at(self.files.names(path), source, offset)

    # ------------------------------------------------------------ findings

    def changed(self, path: Path, text: str | None) -> None:
        """Take the text of a document, ``None`` once it is closed; it is checked soon."""
        if text is None:
            self.files.buffers.pop(path, None)
        else:
            self.files.buffers[path] = text.removeprefix("\ufeff")
        if self._waiting:
            self._waiting.cancel()
        self._waiting = asyncio.get_running_loop().call_later(PAUSE, self.check)

    def check(self) -> None:
        """Tell what is wrong with each open document's project, and no longer what was."""
        roots = dict.fromkeys(map(self.files.root, self.files.buffers))
        checked = {root: self.files.check(root) for root in roots}
        told: dict[str, dict[Diagnostic, None]] = {}
        for root, result in checked.items():
            for file in result.files:
                told.setdefault(self.uri(self.files.source(file)), {})
            for finding in result.findings:
                source = finding.span.source if finding.span else self.files.source(root)
                told.setdefault(self.uri(source), {})[finding] = None
        before = set(self._told)
        self._told = {uri: [(f, self._diagnostic(f)) for f in found] for uri, found in told.items()}
        for uri in before.union(told):
            found = [diagnostic for _, diagnostic in self._told.get(uri, ())]
            self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, found))

    def fixes(self, uri: str, wanted: lsp.Range) -> list[lsp.CodeAction]:
        """Edits that the findings within a range suggest."""
        self.check()
        found = [
            (diagnostic, text)
            for finding, diagnostic in self._told.get(uri, ())
            if (text := replacement(finding))
            and diagnostic.range.start <= wanted.end
            and wanted.start <= diagnostic.range.end
        ]
        return [
            lsp.CodeAction(
                f"write `{text}`",
                lsp.CodeActionKind.QuickFix,
                [diagnostic],
                is_preferred=True,
                edit=lsp.WorkspaceEdit({uri: [lsp.TextEdit(diagnostic.range, text)]}),
            )
            for diagnostic, text in found
        ]

    def _diagnostic(self, finding: Diagnostic) -> lsp.Diagnostic:
        first = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
        said = finding.message + (f"\nhelp: {finding.help}" if finding.help else "")
        related = [
            lsp.DiagnosticRelatedInformation(self.location(other.span), other.message)
            for other in finding.related
        ]
        return lsp.Diagnostic(
            self.range(finding.span) if finding.span else first,
            said,
            _SEVERITIES[finding.severity],
            finding.code,
            source="knowreason",
            related_information=related or None,
        )

    def item(self, offer: Offer, source: Source, offset: int) -> lsp.CompletionItem:
        """A completion as the client can take it."""
        capable = self.client_capabilities.text_document
        kind = capable.completion.completion_item if capable and capable.completion else None
        item = lsp.CompletionItem(offer.text, kind=_SHAPES[offer.shape], detail=offer.detail)
        if offer.arguments is None or source.text[offset : offset + 1] == "(":
            return item
        if kind and kind.snippet_support:
            places = [f"${{{n}:{name}}}" for n, name in enumerate(offer.arguments, 1)]
            item.insert_text = f"{offer.text}({', '.join(places) or '$1'})"
            item.insert_text_format = lsp.InsertTextFormat.Snippet
        else:
            item.insert_text = f"{offer.text}({', '.join(offer.arguments)})"
        return item


def _is_no_refusal(record: logging.LogRecord) -> bool:
    """Whether a line of the log is not about a rename that was refused, which the user is told."""
    return not (record.exc_info and isinstance(record.exc_info[1], JsonRpcInvalidParams))


def make_server() -> RuleServer:
    """A server that answers everything an editor may ask."""
    server = RuleServer()
    logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_no_refusal)

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        server.changed(server.path(params.text_document.uri), params.text_document.text)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.changed(server.path(uri), server.workspace.get_text_document(uri).source)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: lsp.DidSaveTextDocumentParams) -> None:
        server.check()

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        server.changed(server.path(params.text_document.uri), None)

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hover(params: lsp.HoverParams) -> lsp.Hover | None:
        path, name = server.named(params)
        source = server.files.source(path)
        name = name or rule_at(server.files, path, server.offset(source, params.position))
        text = hover_text(server.files, path, name) if name else ""
        if not name or not text:
            return None
        shown = lsp.MarkupContent(lsp.MarkupKind.Markdown, text)
        return lsp.Hover(shown, server.range(name.span))

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def definition(params: lsp.DefinitionParams) -> list[lsp.Location]:
        path, name = server.named(params)
        if name and name.what == "import":
            file = server.files.source((path.parent / name.name).resolve())
            return [server.location(Span(file, 0, 0))]
        found = list(same(server.files.names(path), name)) if name else []
        declared = [one for one in found if one.declares] or found[:1]
        return [server.location(one.span) for one in declared]

    @server.feature(lsp.TEXT_DOCUMENT_REFERENCES)
    def references(params: lsp.ReferenceParams) -> list[lsp.Location]:
        path, name = server.named(params)
        found = same(server.files.names(path), name) if name else ()
        declared = params.context.include_declaration
        return [server.location(one.span) for one in found if declared or not one.declares]

    @server.feature(lsp.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepare_rename(params: lsp.PrepareRenameParams) -> lsp.PrepareRenamePlaceholder | None:
        _, name = server.named(params)
        if name is None or name.what not in RENAMED:
            return None
        return lsp.PrepareRenamePlaceholder(server.range(name.span), name.name)

    @server.feature(lsp.TEXT_DOCUMENT_RENAME, lsp.RenameOptions(prepare_provider=True))
    def rename(params: lsp.RenameParams) -> lsp.WorkspaceEdit:
        path, name = server.named(params)
        try:
            spans = renamed(server.files, path, name, params.new_name) if name else []
        except ValueError as error:
            raise JsonRpcInvalidParams(str(error)) from None
        edits: dict[str, list[lsp.TextEdit]] = {}
        for span in spans:
            edit = lsp.TextEdit(server.range(span), params.new_name)
            edits.setdefault(server.uri(span.source), []).append(edit)
        return lsp.WorkspaceEdit(changes=edits)

    @server.feature(
        lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=["(", "[", '"'])
    )
    def complete(params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
        path = server.path(params.text_document.uri)
        source = server.files.source(path)
        offset = server.offset(source, params.position)
        offers = completions(server.files, path, offset) if path.suffix != ".toml" else []
        return [server.item(offer, source, offset) for offer in offers]

    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit]:
        path = server.path(params.text_document.uri)
        source = server.files.source(path)
        text = source.text if path.suffix == ".toml" else format_text(source.text, source.name)
        whole = server.range(Span(source, 0, len(source.text)))
        return [] if text == source.text else [lsp.TextEdit(whole, text)]

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def symbols(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        path = server.path(params.text_document.uri)
        if path.suffix == ".toml":
            return []
        source = server.files.source(path)
        names = [o for o in occurrences(source) if o.declares and o.what != "argument"]
        return [
            lsp.DocumentSymbol(
                one.name,
                _SYMBOLS[stretch.tokens[0].value],
                server.range(stretch.span),
                server.range(one.span),
                stretch.tokens[0].value,
            )
            for stretch in stretches(source)
            for one in names
            if stretch.start <= one.span.start < stretch.end and stretch.tokens[0].value in _SYMBOLS
        ]

    @server.feature(
        lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix])
    )
    def fixes(params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        return server.fixes(params.text_document.uri, params.range)

    return server
