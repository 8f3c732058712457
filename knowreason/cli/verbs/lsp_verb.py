"""``knowreason lsp``: what an editor starts."""

from __future__ import annotations

from knowreason.errors import ProjectError


def lsp() -> None:
    """Run the language server on stdin and stdout, for an editor: findings, hover, completion.

    Needs `pip install 'knowreason[lsp]'`.
    """
    try:
        from knowreason.editor.language_server import make_server
    except ModuleNotFoundError as error:
        if error.name not in ("pygls", "lsprotocol"):
            raise
        raise ProjectError(
            "the language server needs the package `pygls`, which is not installed",
            code="KR959",
            help="pip install 'knowreason[lsp]'",
        ) from None
    make_server().start_io()
