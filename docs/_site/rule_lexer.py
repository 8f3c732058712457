"""Rule files in colour."""

from typing import ClassVar

from pygments.lexer import RegexLexer, words
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text

__all__ = ["RuleLexer"]
STATEMENTS = (
    *("import", "domain", "observed", "query", "latent", "attribute", "define", "param"),
    *("model", "rule"),
)
WORDS = (
    *(
        "within",
        "sees",
        "for",
        "per",
        "hard",
        "shadow",
        "expect",
        "forall",
        "exists",
        "if",
        "symmetric",
        "clock",
    ),
    *("count", "sum", "min", "max", "avg", "rate", "last", "by", "prior", "of", "true", "false"),
)


class RuleLexer(RegexLexer):
    """Tokens of the rule language."""

    name = "knowreason"
    aliases: ClassVar = ["kr"]
    filenames: ClassVar = ["*.kr"]
    url = ""
    tokens: ClassVar = {
        "root": [
            (r"#.*$", Comment.Single),
            (r'"(\\.|[^"\\])*"', String),
            (words(STATEMENTS, prefix=r"^", suffix=r"\b"), Keyword),
            (words(WORDS, prefix=r"\b", suffix=r"\b"), Keyword.Pseudo),
            (r"\d+(\.\d+)?(e-?\d+)?(ms|mo|[smhdwy])?\b", Number),
            (r"[A-Z]\w*", Name.Class),
            (r"[a-z_]\w*(?=\()", Name.Function),
            (r"[a-z_]\w*", Name),
            (r"<=>|<~>|~>|=>|:=|[-+*/<>=!&|?~]+", Operator),
            (r"[\[\](){}.,:]", Punctuation),
            (r"\s+|.", Text),
        ]
    }
