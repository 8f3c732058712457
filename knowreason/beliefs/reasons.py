"""Explanations of beliefs by the text of an atom."""

from __future__ import annotations

from knowreason.beliefs.beliefs import Beliefs
from knowreason.errors import ProjectError
from knowreason.explanation import Explanation
from knowreason.lang import parse_formula
from knowreason.logic import Atom, Constant, Formula, Variable, Wildcard
from knowreason.logic.canonical_text import formula_text


def explain_atom(beliefs: Beliefs, text: str, **options: int) -> Explanation:
    """Explain the atom written in ``text``, such as ``Malicious("e17")``.

    Args:
        beliefs: from :meth:`Reasoner.infer`.
        text: a ground atom of a query or latent predicate.
        **options: of :func:`knowreason.explanation.explain`.

    Raises:
        ProgramError: where the text is no formula over the program.
        ProjectError: KR920 where it is not one ground atom.
        UnknownNameError: where the atom is not among the open ones.
    """
    return explain_index(beliefs, atom_index(beliefs, text), **options)


def explain_index(beliefs: Beliefs, atom: int, **options: int) -> Explanation:
    """Explain an atom by its index."""
    return beliefs.explainer.explain(atom, **options)


def atom_index(beliefs: Beliefs, text: str) -> int:
    """Index of a ground atom; raises as :func:`explain_atom`."""
    grounding = beliefs.grounding
    formula = parse_formula(grounding.program, text)
    if not isinstance(formula, Atom) or not all(
        isinstance(term, Constant) for term in formula.arguments
    ):
        help = f"such as `{_likely_meant(beliefs, formula)}`"
        raise ProjectError(f"`{text}` is not a ground atom", code="KR920", help=help)
    names = [term.value for term in formula.arguments if isinstance(term, Constant)]
    return grounding.atom_index(formula.predicate, *names)


def _likely_meant(beliefs: Beliefs, formula: Formula) -> str:
    """The atom with quotes where none were written, or one that there is."""
    if not isinstance(formula, Atom) or any(isinstance(t, Wildcard) for t in formula.arguments):
        return beliefs.grounding.atom_name(0)
    names = [
        Constant(term.name, term.sort) if isinstance(term, Variable) else term
        for term in formula.arguments
    ]
    return formula_text(Atom(formula.predicate, tuple(names)))
