"""Explanations of beliefs by the text of an atom."""

from __future__ import annotations

from knowreason.beliefs.beliefs import Beliefs
from knowreason.errors import ProjectError
from knowreason.explanation import Explanation
from knowreason.lang import parse_formula
from knowreason.logic import Atom, Constant


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
        raise ProjectError(
            f"`{text}` is not a ground atom", code="KR920", help='such as Malicious("e17")'
        )
    names = [term.value for term in formula.arguments if isinstance(term, Constant)]
    return grounding.atom_index(formula.predicate, *names)
