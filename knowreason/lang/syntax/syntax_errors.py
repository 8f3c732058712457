"""Messages for text that does not parse: what was found, what was expected, what to do."""

from __future__ import annotations

import re

from knowreason.diagnostics import Diagnostic, Source, Span
from knowreason.errors import did_you_mean
from knowreason.lang.syntax.grammar import END, SOFT_WORDS, STATEMENT_WORDS, UNKNOWN, grammar
from knowreason.lang.syntax.node_builders import Token

_SPELLING = {
    "IFF": "`<=>`",
    "NEUTRAL": "`<~>`",
    "DIRECTED": "`~>`",
    "IMPLIES": "`=>`",
    "ASSIGN": "`:=`",
    "OR": "`|`",
    "AND": "`&`",
    "NOT": "`!`",
    "STAR": "`*`",
    "QUESTION": "`?`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "LBRACKET": "`[`",
    "RBRACKET": "`]`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "DOT": "`.`",
    "EQ": "`=`",
    "GE": "`>=`",
    "LE": "`<=`",
    "NAME": "a name",
    "NUMBER": "a number",
    "PERCENT": "a percentage",
    "DURATION": "a duration",
    "STRING": "a quoted string",
    END: "the end of the statement",
}
_EXPRESSION = {"NAME", "LPAR", "STRING", "NUMBER", "COUNT"}
_OPERATORS = {
    "IFF",
    "NEUTRAL",
    "DIRECTED",
    "IMPLIES",
    "OR",
    "AND",
    "EQ",
    "NE",
    "LT",
    "LE",
    "GT",
    "GE",
    "IN",
} | {
    "PLUS",
    "MINUS",
    "STAR",
    "SLASH",
}
_ODD_NUMBER = re.compile(r"[\d.]\w*(?:\.\w*)?")
_MARKOV = "a conjunction is written `A & B => C`"
_FOREIGN = {
    "->": "an implication is written `=>`",
    ">>": "an implication is written `=>`",
    "<-": "write the conclusion last: `body => head`",
    ":-": "write the conclusion last: `body => head`",
    "<->": "an equivalence is written `<=>`",
    "==": "equality is written `=`",
    "&&": "a conjunction is written `A & B`",
    "||": "a disjunction is written `A | B`",
    "^": "a conjunction is written `A & B`",
    "~": "negation is written `!`",
    "=/=": "inequality is written `!=`",
    "//": "a comment begins with `#`",
    "/*": "a comment begins with `#`",
    "%": "a chance has no space, `80%`, and stands in the weight of a rule",
    ";": "a statement needs no terminator; the next one starts on its own line",
}


def foreign_start(line: list[Token]) -> Diagnostic:
    """A line that begins no statement."""
    first = line[0]
    source = first.source
    span = Span(source, first.start_pos, first.end_pos)
    indented = source.position(first.start_pos)[1] > 1
    if indented and first.value in STATEMENT_WORDS:
        help_line = "a statement starts at the left margin; indented lines continue one"
    else:
        help_line = did_you_mean(first.value, STATEMENT_WORDS) or (
            "indent it if it continues the line before; a statement begins with one of "
            + ", ".join(STATEMENT_WORDS)
        )
    return Diagnostic(
        "KR102",
        f"`{_shown(first)}` begins no statement",
        span=span,
        label="not the first word of a statement",
        help=help_line,
    )


def unexpected(line: list[Token], index: int, allowed: set[str]) -> Diagnostic:
    """A token that cannot stand where it stands, and the token types that could."""
    token, source = line[index], line[index].source
    span = Span(source, token.start_pos, token.end_pos)
    special = _foreign_symbol(source, line, index) or (
        _character(source, token) if token.type == UNKNOWN else None
    )
    if special:
        return special
    expected = _expected(allowed)
    if token.type == END:
        return Diagnostic(
            "KR101",
            f"the statement ends here, but {expected} was expected",
            span=span,
            label=f"expected {expected}",
            help=_help(line, index, allowed),
        )
    if "NAME" in allowed and token.value in grammar().reserved and token.value.isalnum():
        return Diagnostic(
            "KR106",
            f"`{token.value}` is a word of the language and cannot be a name",
            span=span,
            label="reserved",
            help=f"call it `{token.value}_` or something else",
        )
    return Diagnostic(
        "KR101",
        f"expected {expected}, found `{_shown(token)}`",
        span=span,
        label=f"expected {expected}",
        help=_help(line, index, allowed),
    )


def _expected(allowed: set[str]) -> str:
    """A few words for a set of token kinds."""
    words_of_language = grammar().words
    spelled = {kind: f"`{word}`" for word, kind in words_of_language.items()} | _SPELLING
    words: list[str] = []
    if allowed >= _EXPRESSION:
        words.append("a formula or a term" if "NOT" in allowed else "a term")
        allowed = {kind for kind in allowed if kind in ("RPAR", "RBRACE", "RBRACKET", END)}
    if len(allowed & _OPERATORS) > 3:
        words.append("an operator")
        allowed = allowed - _OPERATORS
    if "NAME" in allowed:
        allowed = allowed - {kind for word, kind in words_of_language.items() if word in SOFT_WORDS}
    words.extend(sorted(spelled[kind] for kind in allowed if kind in spelled))
    if len(words) > 6:
        words = [*words[:6], "..."]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _shown(token: Token) -> str:
    if token.type != UNKNOWN:
        return token.value
    return token.value if token.value.isprintable() else f"U+{ord(token.value):04X}"


def _character(source: Source, token: Token) -> Diagnostic | None:
    """A character that begins no token: a bad string, a bad number, or a stranger."""
    line_end = source.text.find("\n", token.start_pos)
    rest = source.text[token.start_pos : line_end if line_end >= 0 else len(source.text)]
    span = Span(source, token.start_pos, token.end_pos)
    if token.value == '"':
        closed = rest.count('"') > 1
        return Diagnostic(
            "KR104",
            "a string with an escape that is not known"
            if closed
            else "a string is not closed on its line",
            span=Span(source, token.start_pos, token.start_pos + len(rest.rstrip())),
            help='escapes are `\\"`, `\\\\`, `\\n`, `\\r`, `\\t` and `\\u{1f600}`'
            if closed
            else 'add the closing `"`',
        )
    if token.value == "'":
        quoted = re.match(r"'([^'\n]*)'", rest)
        width = len(quoted.group()) if quoted else 1
        return Diagnostic(
            "KR103",
            "constants stand in double quotes",
            span=Span(source, token.start_pos, token.start_pos + width),
            help=f'write `"{quoted.group(1)}"`' if quoted else 'write `"..."`',
        )
    number = _ODD_NUMBER.match(rest)
    if number and number.group() != ".":
        return Diagnostic(
            "KR107",
            f"`{number.group()}` is no number and no duration",
            span=Span(source, token.start_pos, token.start_pos + number.end()),
            help="a duration is one number and one of `ms s m h d w`, without a space;"
            " names begin with a letter",
        )
    if token.value == "_":
        return Diagnostic(
            "KR103", "a name begins with a letter", span=span, help="`_` alone means *some*"
        )
    return Diagnostic(
        "KR103",
        f"`{_shown(token)}` is not part of the language",
        span=span,
    )


def _foreign_symbol(source: Source, line: list[Token], index: int) -> Diagnostic | None:
    """A symbol of another notation, whose first character may be one of ours."""
    for token in line[max(index - 1, 0) : index + 1]:
        for width in (3, 2, 1):
            symbol = source.text[token.start_pos : token.start_pos + width]
            if symbol in _FOREIGN and token.start_pos + width >= line[index].start_pos + 1:
                return Diagnostic(
                    "KR103",
                    f"`{symbol}` is not part of the language",
                    span=Span(source, token.start_pos, token.start_pos + width),
                    help=_FOREIGN[symbol],
                )
    return None


def _percent_help(before: Token) -> str:
    if before.type in ("GE", "LE"):
        return "a learned weight is bounded at 0, which is 50 %: `>= 0` or `<= 0`"
    if before.type == "MINUS":
        return "what speaks against has a chance below 50 %: `[20%]`"
    return "a share is a number, `0.8`; `80%` stands in the weight of a rule only"


def _help(line: list[Token], index: int, allowed: set[str]) -> str | None:
    """What people who come from Markov logic, PSL and Prolog write first."""
    token = line[index]
    first = line[0].value
    if first == "rule" and (index == 1 or ("COLON" in allowed and "COMMA" not in allowed)):
        return "a rule is written `rule name : formula` or `rule name [weight] : formula`"
    if token.type == "PERCENT":
        return _percent_help(line[index - 1])
    if token.type == "PLUS" and "NAME" in allowed:
        return "write `[? per x]` for one weight per constant"
    if first == "rule" and token.type == "COMMA" and END in allowed:
        return _MARKOV
    if first == "rule" and token.type == "DOT" and END in allowed:
        return "a rule that must hold is written `rule name [hard] : formula`"
    if token.value in STATEMENT_WORDS and END in allowed:
        return "each statement starts on a line of its own"
    if first == "model" and allowed == {"LPAR"}:
        return "a model kind is called, even without options: `kind()`"
    return None
