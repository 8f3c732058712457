"""Random well-sorted programs, for print-and-parse tests."""

import math
from dataclasses import replace
from string import ascii_letters

from hypothesis import strategies as st

from knowreason.logic import (
    Aggregate,
    And,
    Argument,
    Atom,
    Attribute,
    AttributeTerm,
    BooleanTerm,
    Comparison,
    Conditional,
    Constant,
    ConstantSet,
    CountList,
    Definition,
    Directed,
    Domain,
    Exists,
    Expectation,
    ForAll,
    Iff,
    Implies,
    ModelCall,
    ModelDeclaration,
    Neutral,
    Not,
    Operation,
    Or,
    Parameter,
    ParameterTerm,
    Predicate,
    Program,
    Rule,
    Truth,
    Variable,
    Weight,
    Wildcard,
)
from knowreason.logic.canonical_text import chance_text
from knowreason.logic.traversal import free_variables

MEMBERS = ("a", "b", '3 "q"')
HORIZON = Parameter("horizon", Constant(3_600_000_000, "duration"))
LIMIT = Parameter("limit", Constant(3, "int"))
BASE = Program(
    domains=(Domain("A"), Domain("B"), Domain("K", MEMBERS)),
    predicates=(
        Predicate("P", "observed", (Argument("A"), Argument("A", "to")), symmetric=True),
        Predicate("R", "observed", (Argument("A"), Argument("B"))),
        Predicate("Q", "query", (Argument("A"),)),
        Predicate("U", "query", (Argument("A"), Argument("K", None, "!"))),
        Predicate("L", "latent", (Argument("A"), Argument("B")), within="R"),
        Predicate("Rain", "query", ()),
    ),
    attributes=(
        Attribute("at", (Argument("A"),), "time", clock=True),
        Attribute("age", (Argument("A"),), "int"),
        Attribute("size", (Argument("A"), Argument("B")), "float"),
        Attribute("ok", (Argument("B"),), "bool"),
        Attribute("note", (Argument("B"),), "string"),
        Attribute("owner", (Argument("A"),), "B"),
    ),
    parameters=(HORIZON, LIMIT),
)
FREE = (Variable("x", "A"), Variable("y", "A"), Variable("u", "B"), Variable("k", "K"))
TEXT = st.text(ascii_letters + '0123456789 "\\\n\té⇒#', max_size=6)
INTS = st.integers(-(10**6), 10**6).map(lambda value: Constant(value, "int"))
FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(lambda v: Constant(v, "float"))
DURATIONS = st.integers(-(10**12), 10**12).map(lambda value: Constant(value, "duration"))
TIMES = st.integers(-(10**15), 10**15).map(lambda value: Constant(value, "time"))


@st.composite
def things(draw, sort, scope, wild=False):
    """A term of a domain."""
    options = [st.just(variable) for variable in scope if variable.sort == sort]
    options.append(st.sampled_from(MEMBERS) if sort == "K" else TEXT)
    if wild:
        options.append(st.just(Wildcard(sort)))
    if sort == "B" and any(variable.sort == "A" for variable in scope):
        inner = next(variable for variable in scope if variable.sort == "A")
        options.append(st.just(AttributeTerm("owner", (inner,), "B")))
    thing = draw(st.one_of(options))
    return Constant(thing, sort) if isinstance(thing, str) else thing


@st.composite
def atoms(draw, scope, observed=False):
    predicates = [p for p in BASE.predicates if not (observed and p.is_open)]
    predicate = draw(st.sampled_from(predicates))
    arguments = tuple(draw(things(sort, scope, wild=True)) for sort in predicate.sorts)
    return Atom(predicate.name, arguments)


@st.composite
def numbers(draw, scope, depth=2):
    """A number that is more than a literal."""
    holder = next(variable for variable in scope if variable.sort == "A")
    simple = [AttributeTerm("age", (holder,), "int"), ParameterTerm("limit", "int")]
    gap = Operation(
        "-",
        (AttributeTerm("at", (holder,), "time"), AttributeTerm("at", (holder,), "time")),
        "duration",
    )
    simple.append(Operation("/", (gap, ParameterTerm("horizon", "duration")), "float"))
    term = draw(st.sampled_from(simple))
    if depth == 0:
        return term
    other = draw(st.one_of(numbers(scope, depth - 1), INTS, FLOATS))
    if draw(st.integers(0, 4)) == 0:
        truth = draw(comparisons(scope, depth - 1))
        whole = term.sort == other.sort == "int"
        return Conditional(truth, term, other, "int" if whole else "float")
    kind = draw(st.sampled_from(["", "+", "-", "*", "/", "neg", "log", "floor", "max"]))
    if kind in ("+", "-", "*", "/", "max"):
        pair = (term, other) if draw(st.booleans()) else (other, term)
        whole = kind != "/" and all(part.sort == "int" for part in pair)
        return Operation(kind, pair, "int" if whole else "float")
    if kind == "neg":
        return Operation("neg", (term,), term.sort)
    if kind:
        return Operation(kind, (term,), "int" if kind == "floor" else "float")
    return term


@st.composite
def memberships(draw, scope):
    holder = next(variable for variable in scope if variable.sort == "A")
    owner = AttributeTerm("owner", (holder,), "B")
    pairs = [
        (
            AttributeTerm("note", (owner,), "string"),
            TEXT.map(lambda text: Constant(text, "string")),
        ),
        (AttributeTerm("age", (holder,), "int"), INTS | st.just(ParameterTerm("limit", "int"))),
        (AttributeTerm("size", (holder, owner), "float"), FLOATS),
        (AttributeTerm("at", (holder,), "time"), TIMES),
        (owner, TEXT.map(lambda text: Constant(text, "B"))),
    ]
    term, constants = draw(st.sampled_from(pairs))
    members = draw(st.lists(constants, min_size=1, max_size=3))
    return Comparison("in", term, ConstantSet(tuple(members), term.sort))


@st.composite
def comparisons(draw, scope, depth=2):
    holder = next(variable for variable in scope if variable.sort == "A")
    if draw(st.integers(0, 4)) == 0:
        return draw(memberships(scope))
    at = AttributeTerm("at", (holder,), "time")
    gap = Operation("-", (at, at), "duration")
    pairs = [
        (numbers(scope, depth), st.one_of(INTS, FLOATS, numbers(scope, depth))),
        (st.just(at), TIMES),
        (st.just(gap), DURATIONS),
        (things("B", scope), st.just(AttributeTerm("owner", (holder,), "B"))),
    ]
    left, right = draw(st.sampled_from(pairs))
    equal = draw(st.booleans())
    ordered = left is not pairs[3][0]
    operator = draw(
        st.sampled_from(["=", "!="] if equal or not ordered else ["<", "<=", ">", ">="])
    )
    sides = (draw(left), draw(right))
    sides = sides if draw(st.booleans()) else sides[::-1]
    return Comparison(operator, *sides)


def joined(kind, parts):
    """``&`` or ``|`` as the parser builds it: never nested in itself."""
    flat = [inner for part in parts for inner in (part.operands if type(part) is kind else (part,))]
    return kind(tuple(flat))


@st.composite
def formulas(draw, scope=FREE, depth=3, observed=False):
    kinds = ["atom", "compare", "bool", "truth"]
    if depth:
        kinds += ["not", "and", "or", "implies", "iff", "quantifier", "count", "list"]
    kind = draw(st.sampled_from(kinds))
    if kind in ("and", "or", "implies", "iff"):
        left, right = (draw(formulas(scope, depth - 1, observed)) for _ in range(2))
        if kind in ("implies", "iff"):
            return (Implies if kind == "implies" else Iff)(left, right)
        return joined(And if kind == "and" else Or, (left, right))
    if kind == "not":
        return Not(draw(formulas(scope, depth - 1, observed)))
    if kind in ("quantifier", "count"):
        return draw(binders(kind, scope, depth, observed))
    if kind == "list":
        parts = draw(st.lists(formulas(scope, depth - 1, observed), min_size=1, max_size=3))
        return Comparison("<=", CountList(tuple(parts)), draw(INTS))
    if kind == "bool":
        return BooleanTerm(AttributeTerm("ok", (draw(things("B", scope)),), "bool"))
    if kind == "truth":
        return Truth(draw(st.booleans()))
    return draw(atoms(scope, observed) if kind == "atom" else comparisons(scope))


@st.composite
def binders(draw, kind, scope, depth, observed):
    name = f"q{len(scope)}"
    variable = Variable(name, draw(st.sampled_from(["A", "B"])))
    anchor = Atom("P", (variable, Wildcard("A")))
    if variable.sort == "B":
        anchor = Atom("R", (Wildcard("A"), variable))
    inside = (*scope, variable)
    body = joined(And, (anchor, draw(formulas(inside, depth - 1, observed))))
    if kind == "quantifier":
        return draw(st.sampled_from([ForAll, Exists]))((variable,), body)
    count = Aggregate("count", None, (variable,), body, "int")
    pair = (count, draw(INTS)) if draw(st.booleans()) else (draw(INTS), count)
    return Comparison(draw(st.sampled_from(["<", "<=", ">", ">=", "=", "!="])), *pair)


@st.composite
def weights(draw):
    kind = draw(st.sampled_from(["stated", "open", "given", "hard", "shadow"]))
    if kind in ("stated", "hard", "shadow"):
        return Weight(kind)
    finite = st.floats(-1e6, 1e6)
    if draw(st.integers(0, 3)) == 0:
        amount = draw(st.floats(1e-3, 99.99) | st.integers(1, 99).map(float))
        form = draw(st.sampled_from(["%", "odds"]))
        odds = amount / (100 - amount) if form == "%" else amount
        return Weight(kind, math.log(odds), written=chance_text(form, amount))
    feature = draw(st.none() | numbers(FREE[:1]))
    if kind == "given":
        return Weight(kind, draw(finite), feature=feature)
    value = draw(st.none() | finite)
    per = (FREE[3],) if draw(st.booleans()) else ()
    return Weight(kind, value, draw(st.sampled_from(["", ">=", "<="])), per, feature)


ANCHOR = (
    Atom("Q", (FREE[0],)),
    Atom("U", (FREE[1], FREE[3])),
    Atom("R", (Wildcard("A"), FREE[2])),
)


SHARES = st.one_of(
    st.builds(lambda share: (share, ""), st.floats(0, 1)),
    st.builds(lambda p: (p / 100, f"{p}%"), st.integers(0, 100)),
)
EXPECTATIONS = st.lists(
    st.one_of(
        st.builds(
            lambda figure, operator, share: Expectation(figure, operator, *share),
            st.sampled_from(["precision", "recall"]),
            st.sampled_from([">=", "<="]),
            SHARES,
        ),
        st.builds(Expectation, st.just("fires"), st.just("<="), st.integers(0, 10**6).map(float)),
    ),
    max_size=2,
).map(tuple)


@st.composite
def rules(draw, name):
    formula = joined(And, (*ANCHOR, draw(formulas())))
    weight = draw(weights())
    kind = draw(st.sampled_from(["formula", "formula", "neutral", "directed"]))
    if kind != "formula" and weight.kind != "hard":
        if kind == "directed":
            given = joined(And, (ANCHOR[1], ANCHOR[2], draw(formulas(observed=True))))
            formula = Directed(given, ANCHOR[0], draw(st.sampled_from(["sum", "mean"])))
        elif not weight.per:
            given = (Atom("P", FREE[:2]), ANCHOR[2], draw(formulas(FREE[:3], observed=True)))
            formula = joined(And, (*given, Neutral(ANCHOR[0], Not(Atom("Q", (FREE[1],))))))
    if weight.kind == "hard":  # some world satisfies it
        formula = joined(Or, (ANCHOR[0], formula))
    return Rule(name, weight, formula, free_variables(formula), draw(EXPECTATIONS))


@st.composite
def definitions(draw):
    """A derived predicate and one attribute of each aggregate."""
    body = joined(And, (ANCHOR[2], Atom("P", FREE[:2]), draw(formulas(FREE[:3], 2, True))))
    predicate = Definition("Near", FREE[:1], body)
    x, y = FREE[:2]
    linked = Atom("P", (x, y))
    kind = draw(st.sampled_from(["count", "sum", "avg", "min", "max", "rate"]))
    value = None if kind == "count" else draw(numbers((y,)))
    sort = {"count": "int", "avg": "float", "rate": "float"}.get(kind) or value.sort
    aggregate = Aggregate(kind, value, (y,), linked, sort)
    if draw(st.booleans()):
        aggregate = replace(
            aggregate, last=Constant(30, "int"), by=AttributeTerm("at", (y,), "time")
        )
    if kind == "rate":
        positive = Comparison(">", AttributeTerm("age", (y,), "int"), Constant(3, "int"))
        aggregate = replace(
            aggregate, value=positive, prior=Constant(0.15, "float"), strength=Constant(2, "int")
        )
    return predicate, Definition("derived", (x,), aggregate, sort)


OPTIONS = st.recursive(
    st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | TEXT,
    lambda below: (
        st.lists(below, max_size=2).map(tuple)
        | st.builds(
            ModelCall,
            st.just("gnn"),
            st.lists(below, max_size=2).map(tuple),
            st.dictionaries(st.sampled_from(["a", "b"]), below).map(lambda d: tuple(d.items())),
        )
    ),
    max_leaves=4,
)


@st.composite
def programs(draw):
    made = [draw(rules(f"r{i}")) for i in range(draw(st.integers(1, 3)))]
    call = ModelCall("noisy", (draw(OPTIONS),), (("passes", draw(OPTIONS)),))
    return replace(
        BASE,
        definitions=draw(definitions()),
        models=(ModelDeclaration("m", ("Q", "Rain"), call),),
        rules=tuple(rule for rule in made if rule.weight.kind != "shadow"),
        shadow_rules=tuple(rule for rule in made if rule.weight.kind == "shadow"),
    )
