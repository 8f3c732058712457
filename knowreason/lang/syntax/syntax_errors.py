"""Messages for text that does not parse: what was found, what was expected, what to do."""

from __future__ import annotations

import re

from knowreason.diagnostics import Diagnostic, Source, Span
from knowreason.errors import did_you_mean
from knowreason.lang.syntax import foreign_words as fw
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
    "MONTHS": "months",
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
_WEIGHT = (
    "a weight is written `[1.5]`, `[80%]`, `[odds 4]`, `[?]` to learn it, `[? 1.5 >= 0]`, "
    "`[? * amount(p)]`, `[hard]`"
)
_RULE = "a rule is written `rule name : formula` or `rule name [weight] : formula`"
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[T ][0-9:.]+Z?)?")


def foreign_start(line: list[Token]) -> Diagnostic:
    """A line that begins no statement."""
    first = line[0]
    source = first.source
    span = Span(source, first.start_pos, first.end_pos)
    indented = source.position(first.start_pos)[1] > 1
    word = first.value.lower()
    if indented and first.value in STATEMENT_WORDS:
        help_line = "a statement starts at the left margin; indented lines continue one"
    elif word in STATEMENT_WORDS:
        help_line = f"write `{word}`, in small letters"
    else:
        help_line = (
            _foreign_statement(line)
            or did_you_mean(first.value, STATEMENT_WORDS)
            or (
                "indent it if it continues the line before; a statement begins with one of "
                + ", ".join(STATEMENT_WORDS)
            )
        )
    return Diagnostic(
        "KR102",
        f"`{_shown(first)}` begins no statement",
        span=span,
        label="not the first word of a statement",
        help=help_line,
    )


def _foreign_statement(line: list[Token]) -> str | None:
    """What to write for a line that states something in another language."""
    first, second = line[0], line[1] if len(line) > 1 else line[0]
    symbol = first.source.text[first.start_pos : first.start_pos + 2]
    if symbol in ("--", "//", "/*") or first.value in ("%", ";"):
        return fw.COMMENT
    if first.type in ("NUMBER", "LBRACKET", "PERCENT"):
        return "the weight stands behind the name: `rule name [1.5] : formula`"
    if first.value.lower() in fw.STATEMENTS:
        return fw.STATEMENTS[first.value.lower()]
    if first.value[0].isupper() and second.type == "LPAR":
        return "a rule is written `rule name : A(x) => B(x)`; facts have a file of their own"
    return None


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
        allowed = allowed - _OPERATORS - {"EXPECT"}  # which may follow any rule
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
            help=_number_help(source, token, number.group()),
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


def _number_help(source: Source, token: Token, text: str) -> str:
    """What an odd number was meant to be."""
    if _date_around(source, token.start_pos):
        return 'a time stands in quotes: `"2026-01-31"`'
    plain = text.replace("_", "")
    if plain.isdigit():
        return f"digits are not grouped: `{plain}`"
    amount, unit = re.fullmatch(r"([0-9.]*)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if unit.lower() in fw.UNITS:
        return f"write `{amount}{fw.UNITS[unit.lower()]}`"
    if unit in ("y", "yr", "year", "years"):
        return "a year has twelve months, `12mo`, or 365 days, `365d`"
    if unit in ("k", "K", "M") and amount.isdigit():
        return f"write `{amount}{'000' if unit != 'M' else '000000'}`"
    return (
        "a duration is one number and one of `ms s m h d w`, without a space;"
        " names begin with a letter"
    )


def _date_around(source: Source, place: int) -> bool:
    start, end = source.text.rfind("\n", 0, place) + 1, source.text.find("\n", place)
    line = source.text[start : end if end >= 0 else None]
    return any(m.start() <= place - start <= m.end() for m in _DATE.finditer(line))


def _foreign_symbol(source: Source, line: list[Token], index: int) -> Diagnostic | None:
    """A symbol of another notation, whose first character may be one of ours."""
    for token in line[max(index - 2, 0) : index + 1]:
        for width in (3, 2, 1):
            symbol = source.text[token.start_pos : token.start_pos + width]
            if symbol in fw.SYMBOLS and token.start_pos + width >= line[index].start_pos + 1:
                return Diagnostic(
                    "KR103",
                    f"`{symbol}` is not part of the language",
                    span=Span(source, token.start_pos, token.start_pos + width),
                    help=fw.SYMBOLS[symbol],
                )
    return None


def _help(line: list[Token], index: int, allowed: set[str]) -> str | None:
    """What people who come from Markov logic, PSL, Prolog, SQL and Python write first."""
    token, first = line[index], line[0].value
    before = line[index - 1] if index else token
    after = line[index + 1] if index + 1 < len(line) else token
    if token.type == "PERCENT":
        return _percent_help(before)
    if first == "rule" and _innermost(line[:index])[0] == "LBRACKET":
        plus = token.type == "PLUS" and before.type == "QUESTION" and after.type == "NAME"
        return "write `[? per x]` for one weight per constant" if plus else _WEIGHT
    if first == "rule" and (index == 1 or ("COLON" in allowed and "COMMA" not in allowed)):
        return _RULE
    return (
        _word_help(line, index, allowed)
        or _notation_help(line, index, allowed)
        or _shape_help(line, index, allowed)
    )


def _innermost(line: list[Token]) -> tuple[str, str]:
    """The bracket that is open at the end of some tokens, and the word before it."""
    opened: list[tuple[str, str]] = [("", "")]
    for place, token in enumerate(line):
        if token.type in ("LPAR", "LBRACE", "LBRACKET"):
            opened.append((token.type, line[place - 1].value.lower()))
        elif token.type in ("RPAR", "RBRACE", "RBRACKET") and len(opened) > 1:
            opened.pop()
    return opened[-1]


def _word_help(line: list[Token], index: int, allowed: set[str]) -> str | None:
    """What stands for a word of another language, at the fault or just before it."""
    token, before = line[index], line[index - 1]
    word, last = token.value.lower(), before.value.lower()
    if before.type == "IN":
        return fw.SET
    if before.type == "LBRACE" and token.type == "RBRACE" and line[index - 2].type == "IN":
        return "a set lists one constant or more"
    if _innermost(line[:index])[1] in ("if", "iif", "case"):
        return fw.CHOICE
    if before.type in ("COUNT", "SUM", "AVG", "RATE") and token.type == "LPAR":
        return fw.BEFORE_OPERAND.get(last, "write `rate { F for x : G }`")
    if before.type == "NUMBER" and word in fw.UNITS:
        return f"a duration has no space: `{before.value}{fw.UNITS[word]}`"
    binder = _binder_before(line, index)
    if binder and allowed <= {"COMMA", "DOT", "NAME"} | _soft_types():
        return f"write `{binder} x. F`; the domain of `x` follows from where it stands"
    if "ELSE" in allowed and "NAME" not in allowed:
        return fw.IMPLICATION if line[0].value == "rule" else fw.CHOICE
    chosen = last in ("if", "when") and line[0].value == "define"
    if before.type in ("NAME", "IF") and last in fw.BEFORE_OPERAND:
        return fw.CHOICE if chosen else fw.BEFORE_OPERAND[last]
    if token.type == END and "NAME" in allowed:
        return f"something is missing behind `{before.value}`"
    return fw.BETWEEN_OPERANDS.get(word) if token.value.isalnum() else None


def _soft_types() -> set[str]:
    return {kind for word, kind in grammar().words.items() if word in SOFT_WORDS}


def _binder_before(line: list[Token], index: int) -> str:
    """The binder whose variables end at a token, or nothing."""
    for token in reversed(line[:index]):
        if token.value in ("exists", "forall") or token.type.endswith("_SIGN"):
            return token.value
        if token.type not in ("NAME", "COMMA"):
            return ""
    return ""


def _notation_help(line: list[Token], index: int, allowed: set[str]) -> str | None:
    """What stands for signs that are ours and stand elsewhere."""
    token, before = line[index], line[index - 1]
    first, kind = line[0].value, line[index].type
    after = line[index + 1] if index + 1 < len(line) else token
    near = after.start_pos == token.end_pos and token.start_pos == before.end_pos
    if kind == "DOT" and near and first in ("rule", "define") and after.type == "NAME":
        if before.value[:1].isupper():
            return f'a thing stands in quotes: `"{after.value}"`'
        return f"an attribute is asked of a thing: `{after.value}({before.value})`"
    if kind == "COMMA" and near and before.type == after.type == "NUMBER":
        return f"digits are not grouped: `{before.value}{after.value}`; a decimal point is `.`"
    if kind == "QUESTION" and after.type == "NAME" and before.type in ("LPAR", "COMMA"):
        return f"variables have no mark: `{after.value}`"
    if kind == "QUESTION":
        return fw.CHOICE
    if kind == "NAME" and before.type == "STRING":
        end = token.source.text.find("\n", token.start_pos)
        start = token.source.text.rfind("\n", 0, token.start_pos) + 1
        if token.source.text[start : end if end >= 0 else None].count('"') % 2:
            return 'a `"` is missing on this line'
    if kind == "STAR" and before.type in ("LPAR", "COMMA"):
        return "`_` means some thing, whichever"
    if kind == "PLUS" and "NAME" in allowed:
        return "write `[? per x]` for one weight per constant"
    if first != "rule" or "RBRACE" in allowed:
        return _bracket_help(before, token, allowed)
    if kind == "COMMA" and END in allowed:
        return "a conjunction is written `A & B => C`"
    if kind == "DOT" and END in allowed:
        return "a statement needs no full stop; what must hold is `rule name [hard] : formula`"
    if END in allowed and (kind == "COLON" or (kind == "LBRACKET" and before.type == "RPAR")):
        return "the weight stands behind the name: `rule name [1.5] : formula`"
    if kind == "LPAR" and before.type == "RPAR" and after.type == "NUMBER":
        return "the weight stands behind the name: `rule name [1.5] : formula`"
    if before.type.startswith("DIRECTED") and kind == "NOT":
        return "`~>` ends in an atom; what speaks against it has a negative weight"
    if before.type == "IMPLIES" or (before.type == "COLON" and kind == "IMPLIES"):
        return "a rule is written `rule name : A => B`; what has one side only has no arrow"
    return _bracket_help(before, token, allowed)


def _bracket_help(before: Token, token: Token, allowed: set[str]) -> str | None:
    """What to do about brackets that do not match, and calls without theirs."""
    known = before.value.lower() in fw.BEFORE_OPERAND
    bare = before.type == "NAME" and before.value[:1].isupper() and not known
    if bare and "LPAR" in allowed and token.type in ("LBRACKET", "NAME", "STRING"):
        return f"arguments stand in parentheses: `{before.value}(x)`"
    foreign = token.value.lower() in fw.BETWEEN_OPERANDS
    if token.type == "NAME" and token.value[:1].isupper() and "AND" in allowed and not foreign:
        return f"a predicate stands first, `{token.value}(x, y)`, and `&` between two formulas"
    if token.type == "RPAR" and END in allowed:
        return "one `)` too many"
    if token.type == END and "RPAR" in allowed:
        return "a `(` is not closed"
    if token.type == "COLON" and "FOR" in allowed:
        return "first what is summed, then its variables: `sum { e for x : F }`"
    return None


def _shape_help(line: list[Token], index: int, allowed: set[str]) -> str | None:
    """How the statement is written, where nothing better can be said."""
    token, first = line[index], line[0].value
    if token.value in STATEMENT_WORDS and END in allowed:
        return "each statement starts on a line of its own"
    if first == "model" and allowed == {"LPAR"} and token.type == END:
        return "a model kind is called, even without options: `kind()`"
    if first == "domain" and "STRING" in allowed and token.type == "NAME":
        return f'things stand in double quotes: `"{token.value}"`'
    if {"AND", "PLUS"} <= allowed:
        return "between two formulas stands `&`, `|` or `=>`, between two values `=`, `<`, `+` ..."
    within = first != "define" or "ASSIGN" in allowed or allowed == {"LPAR"}
    return fw.SHAPES.get(first) if within else None


def _percent_help(before: Token) -> str:
    if before.type in ("GE", "LE"):
        return "a learned weight is bounded at 0, which is 50 %: `>= 0` or `<= 0`"
    if before.type == "MINUS":
        return "what speaks against has a chance below 50 %: `[20%]`"
    return "a share is a number, `0.8`; `80%` stands in the weight of a rule only"
