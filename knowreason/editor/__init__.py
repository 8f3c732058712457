"""What an editor asks about rule files, and the language server that answers (extra ``lsp``)."""
