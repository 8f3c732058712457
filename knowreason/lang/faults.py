"""Messages for text that does not parse: what was found, what was expected, what to do."""

from __future__ import annotations

import re

from knowreason.diagnostics import Diagnostic, Source, Span
from knowreason.errors import did_you_mean
from knowreason.lang.actions import Token
from knowreason.lang.tables import END, SOFT_WORDS, STATEMENT_WORDS, UNKNOWN, Reduction, Tables

_SPELLING = {
    "IFF": "`<=>`",
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
    "DURATION": "a duration",
    "STRING": "a quoted string",
    END: "the end of the statement",
}
_EXPRESSION = {"NAME", "LPAR", "STRING", "NUMBER", "COUNT"}
_OPERATORS = {"IFF", "IMPLIES", "OR", "AND", "EQ", "NE", "LT", "LE", "GT", "GE"} | {
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
    ";": "a statement needs no terminator; the next one starts on its own line",
}


def foreign_start(source: Source, line: list[Token]) -> Diagnostic:
    """A line that begins no statement."""
    first = line[0]
    span = Span(source, first.start, first.end)
    indented = source.position(first.start)[1] > 1
    if indented and first.text in STATEMENT_WORDS:
        help_line = "a statement starts at the left margin; indented lines continue one"
    else:
        help_line = did_you_mean(first.text, STATEMENT_WORDS) or (
            "indent it if it continues the line before; a statement begins with one of "
            + ", ".join(STATEMENT_WORDS)
        )
    return Diagnostic(
        "KR102",
        f"`{_shown(source, first)}` begins no statement",
        span=span,
        label="not the first word of a statement",
        help=help_line,
    )


def unexpected(
    known: Tables, source: Source, line: list[Token], index: int, stack: list[int]
) -> Diagnostic:
    """A token that cannot stand where it stands."""
    token = line[index]
    span = Span(source, token.start, token.end)
    special = _foreign_symbol(source, line, index) or (
        _character(source, token) if token.kind == UNKNOWN else None
    )
    if special:
        return special
    allowed = _allowed(known, stack)
    expected = _expected(known, allowed)
    if token.kind == END:
        return Diagnostic(
            "KR101",
            f"the statement ends here, but {expected} was expected",
            span=span,
            label=f"expected {expected}",
            help=_help(line, index, allowed),
        )
    if "NAME" in allowed and token.text in known.reserved and token.text.isalnum():
        return Diagnostic(
            "KR106",
            f"`{token.text}` is a word of the language and cannot be a name",
            span=span,
            label="reserved",
            help=f"call it `{token.text}_` or something else",
        )
    return Diagnostic(
        "KR101",
        f"expected {expected}, found `{_shown(source, token)}`",
        span=span,
        label=f"expected {expected}",
        help=_help(line, index, allowed),
    )


def _allowed(known: Tables, stack: list[int]) -> set[str]:
    """Token kinds that could come next: each is tried out, for a state alone says too much."""
    kinds = (k for k in known.states[stack[-1]] if k == END or k.isupper())
    return {kind for kind in kinds if _accepts(known, list(stack), kind)}


def _accepts(known: Tables, stack: list[int], kind: str) -> bool:
    ends = set(known.end.values())
    while True:
        step = known.states[stack[-1]].get(kind)
        if not isinstance(step, Reduction):
            return step is not None
        if step.size:
            del stack[-step.size :]
        stack.append(known.states[stack[-1]][step.origin])  # type: ignore[arg-type]
        if kind == END and stack[-1] in ends:
            return True


def _expected(known: Tables, allowed: set[str]) -> str:
    """A few words for a set of token kinds."""
    spelled = {kind: f"`{word}`" for word, kind in known.words.items()} | _SPELLING
    words: list[str] = []
    if allowed >= _EXPRESSION:
        words.append("a formula or a term" if "NOT" in allowed else "a term")
        allowed = {kind for kind in allowed if kind in ("RPAR", "RBRACE", "RBRACKET", END)}
    if len(allowed & _OPERATORS) > 3:
        words.append("an operator")
        allowed = allowed - _OPERATORS
    if "NAME" in allowed:
        allowed = allowed - {kind for word, kind in known.words.items() if word in SOFT_WORDS}
    words.extend(sorted(spelled[kind] for kind in allowed if kind in spelled))
    if len(words) > 6:
        words = [*words[:6], "..."]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _shown(source: Source, token: Token) -> str:
    if token.kind != UNKNOWN:
        return token.text
    return token.text if token.text.isprintable() else f"U+{ord(token.text):04X}"


def _character(source: Source, token: Token) -> Diagnostic | None:
    """A character that begins no token: a bad string, a bad number, or a stranger."""
    line_end = source.text.find("\n", token.start)
    rest = source.text[token.start : line_end if line_end >= 0 else len(source.text)]
    span = Span(source, token.start, token.end)
    if token.text == '"':
        closed = rest.count('"') > 1
        return Diagnostic(
            "KR104",
            "a string with an escape that is not known"
            if closed
            else "a string is not closed on its line",
            span=Span(source, token.start, token.start + len(rest.rstrip())),
            help='escapes are `\\"`, `\\\\`, `\\n` and `\\t`' if closed else 'add the closing `"`',
        )
    if token.text == "'":
        quoted = re.match(r"'([^'\n]*)'", rest)
        return Diagnostic(
            "KR103",
            "constants stand in double quotes",
            span=Span(source, token.start, token.start + len(quoted.group())) if quoted else span,
            help=f'write `"{quoted.group(1)}"`' if quoted else 'write `"..."`',
        )
    number = _ODD_NUMBER.match(rest)
    if number and number.group() != ".":
        return Diagnostic(
            "KR107",
            f"`{number.group()}` is no number and no duration",
            span=Span(source, token.start, token.start + number.end()),
            help="a duration is one number and one of `ms s m h d w`, without a space;"
            " names begin with a letter",
        )
    if token.text == "_":
        return Diagnostic(
            "KR103", "a name begins with a letter", span=span, help="`_` alone means *some*"
        )
    return Diagnostic(
        "KR103",
        f"`{_shown(source, token)}` is not part of the language",
        span=span,
    )


def _foreign_symbol(source: Source, line: list[Token], index: int) -> Diagnostic | None:
    """A symbol of another notation, whose first character may be one of ours."""
    for token in line[max(index - 1, 0) : index + 1]:
        for width in (3, 2, 1):
            found = source.text[token.start : token.start + width]
            if found in _FOREIGN and token.start + width >= line[index].start + 1:
                return Diagnostic(
                    "KR103",
                    f"`{found}` is not part of the language",
                    span=Span(source, token.start, token.start + width),
                    help=_FOREIGN[found],
                )
    return None


def _help(line: list[Token], index: int, allowed: set[str]) -> str | None:
    """What people who come from Markov logic, PSL and Prolog write first."""
    token = line[index]
    first = line[0].text
    if first == "rule" and (index == 1 or ("COLON" in allowed and "COMMA" not in allowed)):
        return "a rule is written `rule name : formula` or `rule name [weight] : formula`"
    if token.kind == "PLUS" and "NAME" in allowed:
        return "write `[? per x]` for one weight per constant"
    if first == "rule" and token.kind == "COMMA" and END in allowed:
        return _MARKOV
    if first == "rule" and token.kind == "DOT" and END in allowed:
        return "a rule that must hold is written `rule name [hard] : formula`"
    if token.text in STATEMENT_WORDS and END in allowed:
        return "each statement starts on a line of its own"
    if first == "model" and allowed == {"LPAR"}:
        return "a model kind is called, even without options: `kind()`"
    return None
