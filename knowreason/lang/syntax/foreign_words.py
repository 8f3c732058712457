"""Words and signs of SQL, Python, Prolog, Drools and Markov logic, and what to write for them.

Keys are in small letters.
"""

from __future__ import annotations

from collections.abc import Mapping

CONJUNCTION = "a conjunction is written `A & B`"
DISJUNCTION = "a disjunction is written `A | B`"
NEGATION = "negation is written `!A`"
IMPLICATION = "an implication is written `A => B`"
CHOICE = "one of two values is written `if C then a else b`, in parentheses beside others"
COMMENT = "a comment begins with `#`"
MISSING = "what is not known is asked with `missing(f(x))`, what is known with `!missing(f(x))`"
PATTERN = 'write `starts_with(f(x), "N")`, or `matches(f(x), "N.*")` for a pattern'
SET = 'a set stands in braces: `f(x) in { "a", "b" }`; a range is written `5 <= f(x) <= 10`'
_PREPARE = "do it in the query that binds the table"
_NOW = 'rules know no present: compare with a clock, or with `param today = "2026-01-31"`'
_COUNT = "write `count { x : F }` for things, `count { F1, F2 }` for formulas"
_AVERAGE = "write `avg { e for x : F }`"

BETWEEN_OPERANDS: Mapping[str, str] = {
    "and": CONJUNCTION,
    "or": DISJUNCTION,
    "v": DISJUNCTION,
    "xor": "write `count { A, B } = 1`",
    "over": "a window is a condition: `at(e) - at(f) <= 7d`",
    "within": "a window is a condition: `at(e) - at(f) <= 7d`",
    "distinct": "each setting counts once anyway: `count { x : F }`",
    "implies": IMPLICATION,
    "then": IMPLICATION,
    "iff": "an equivalence is written `A <=> B`",
    "is": MISSING,
    "isnull": MISSING,
    "not": "write `!(f(x) in { ... })`",
    "in": SET,
    "between": "write `5 <= f(x) <= 10`",
    "like": PATTERN,
    "ilike": PATTERN,
    "rlike": PATTERN,
    "regexp": PATTERN,
    "matches": PATTERN,
    "contains": PATTERN,
    "startswith": PATTERN,
    "if": CHOICE,
    "when": CHOICE,
    "where": "conditions stand behind the colon: `count { x : F }`",
    "mod": _PREPARE,
    "div": "write `floor(a / b)`",
}
BEFORE_OPERAND: Mapping[str, str] = {
    "not": NEGATION,
    "if": IMPLICATION,
    "when": IMPLICATION,
    "case": CHOICE,
    "exist": "write `exists x. F`",
    "exists": "write `exists x. F`",
    "some": "write `exists x. F`",
    "forall": "write `forall x. F`",
    "all": "write `forall x. F`",
    "every": "write `forall x. F`",
    "each": "write `forall x. F`",
    "count": _COUNT,
    "sum": "write `sum { e for x : F }`",
    "avg": _AVERAGE,
    "mean": _AVERAGE,
    "average": _AVERAGE,
    "min": "write `min { e for x : F }`",
    "max": "write `max { e for x : F }`",
    "date": 'a time stands in quotes: `"2026-01-31"`',
    "timestamp": 'a time stands in quotes: `"2026-01-31"`',
    "interval": "a duration is one number and one of `ms s m h d w`, without a space: `5d`",
}
FUNCTIONS: Mapping[str, str] = {
    "ln": "the natural logarithm is `log(x)`",
    "log10": "write `log(x) / log(10)`",
    "log2": "write `log(x) / log(2)`",
    "round": "write `floor(x + 0.5)`",
    "ceil": "write `-floor(-x)`",
    "ceiling": "write `-floor(-x)`",
    "int": "write `floor(x)`",
    "pow": "write `x * x`, or `exp(n * log(x))`",
    "power": "write `x * x`, or `exp(n * log(x))`",
    "greatest": "write `max(a, b)`",
    "least": "write `min(a, b)`",
    "mean": _AVERAGE,
    "average": _AVERAGE,
    "coalesce": "write `if missing(f(x)) then 0 else f(x)`",
    "ifnull": "write `if missing(f(x)) then 0 else f(x)`",
    "nvl": "write `if missing(f(x)) then 0 else f(x)`",
    "isnull": MISSING,
    "is_null": MISSING,
    "isna": MISSING,
    "isnan": MISSING,
    "startswith": PATTERN,
    "contains": PATTERN,
    "regexp_matches": PATTERN,
    "now": _NOW,
    "today": _NOW,
    "current_date": _NOW,
    "iif": CHOICE,
    "if": CHOICE,
    "not": NEGATION,
    "exists": "write `exists x. F`",
    "forall": "write `forall x. F`",
    "count": _COUNT,
    "datediff": "time - time is a duration: `at(e) - at(f) <= 7d`",
    "date_diff": "time - time is a duration: `at(e) - at(f) <= 7d`",
    **dict.fromkeys(("len", "length", "lower", "upper", "trim", "substr", "substring"), _PREPARE),
}
SORTS: Mapping[str, str] = {
    **dict.fromkeys(("number", "numeric", "decimal", "money"), "write `float`, or `int`"),
    **dict.fromkeys(("double", "real", "float64", "float32"), "write `float`"),
    **dict.fromkeys(("integer", "long", "bigint", "int64", "int32"), "write `int`"),
    **dict.fromkeys(("str", "text", "varchar", "char", "utf8"), "write `string`"),
    **dict.fromkeys(("category", "enum"), 'declare it: `domain D = { "a", "b" }`'),
    **dict.fromkeys(("date", "datetime", "timestamp"), "write `time`"),
    **dict.fromkeys(("interval", "timedelta"), "write `duration`"),
    **dict.fromkeys(("boolean", "logical", "bit"), "write `bool`"),
}
CONSTANTS: Mapping[str, str] = {
    **dict.fromkeys(("true", "yes"), "write `true`"),
    **dict.fromkeys(("false", "no"), "write `false`"),
    **dict.fromkeys(("null", "none", "nan", "na", "nil", "undefined"), MISSING),
    **dict.fromkeys(("now", "today", "current_date"), _NOW),
}
STATEMENTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("predicate", "relation", "table", "closed", "fact", "facts", "evidence"),
        "what the data say is declared with `observed P(D)`, what is asked with `query P(D)`",
    ),
    **dict.fromkeys(("type", "entity", "class", "sort", "enum"), "things are a `domain`"),
    **dict.fromkeys(("const", "constant", "let", "var", "set"), "a constant is a `param`"),
    **dict.fromkeys(
        ("function", "column", "feature", "field"),
        "values of things are `attribute f(D): float`, what follows from them `define f(x) := ...`",
    ),
    **dict.fromkeys(("def", "fn", "view"), "what follows from data is `define P(x) := ...`"),
    **dict.fromkeys(("if", "when", "weight"), "a rule is written `rule name [weight] : A => B`"),
}
UNITS: Mapping[str, str] = {
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "wk", "week", "weeks"), "w"),
    **dict.fromkeys(("mo", "mon", "month", "months"), "mo"),
}
SHAPES: Mapping[str, str] = {
    "import": 'a file is imported with `import "other.kr"`',
    "domain": 'domains are written `domain D, E` or `domain D = { "a", "b" }`',
    "observed": "a predicate is written `observed P(D, name: E)`",
    "query": "a question is written `query P(D)`, a number that is asked `query f(D): float`",
    "latent": "an unknown is written `latent P(D)`",
    "attribute": "an attribute is written `attribute f(D): float`",
    "define": "a definition is written `define P(x) := formula` or `define f(x) := value`",
    "param": "a parameter is written `param name = 3`",
    "model": "a model is written `model name for P = kind()`",
}
SYMBOLS: Mapping[str, str] = {
    "->": IMPLICATION,
    ">>": IMPLICATION,
    "→": IMPLICATION,
    "⟹": IMPLICATION,
    "<-": "write the conclusion last: `body => head`",
    "←": "write the conclusion last: `body => head`",
    ":-": "write the conclusion last: `body => head`",
    "<->": "an equivalence is written `<=>`",
    "↔": "an equivalence is written `<=>`",
    "==": "equality is written `=`",
    "<>": "inequality is written `!=`",
    "=/=": "inequality is written `!=`",
    "=<": "write `<=`",
    "=~": PATTERN,
    "∈": SET,
    "&&": CONJUNCTION,
    "||": DISJUNCTION,
    "^": f"{CONJUNCTION}, a square `x * x`",
    "**": "a square is written `x * x`",
    "~": "negation is written `!`",
    "//": COMMENT,
    "/*": COMMENT,
    "--": COMMENT,
    "%": "a chance has no space, `80%`, and stands in the weight of a rule; " + COMMENT,
    "$": "an amount has no currency: `500`; a variable is a small name: `p`",
    "@": "a variable is a small name: `p`",
    "“": 'things and texts stand in straight quotes: `"a"`',
    "”": 'things and texts stand in straight quotes: `"a"`',
    "‘": 'things and texts stand in double quotes: `"a"`',
    "`": 'things and texts stand in double quotes: `"a"`; names in none',
    "–": "a minus is written `-`",
    ";": "a statement needs no terminator; the next one starts on its own line",
}
