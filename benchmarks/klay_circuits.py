"""KLay's circuits of the rings and stars of ``exact_components.py``: value and gradient a second.

Maene, Derkinderen, Zuidberg Dos Martires, "KLay: accelerating arithmetic circuits for
neurosymbolic AI" (2025); ``pip install klaycircuits``. A rule is a literal of its own, true where
the rule holds, with the rule's weight; all in its log semiring, with torch on one thread.
"""

import itertools
from collections.abc import Callable

import torch


def evaluators() -> dict[str, Callable[[int], Callable[[], object]]] | str:
    """By case: from a number of components to what evaluates them; or why there is none."""
    try:
        import klay
    except ImportError as error:
        return f"klaycircuits does not import ({error})"

    def of(circuit: "klay.Circuit", root: "klay.NodePtr", literals: int):
        circuit.set_root(root)
        module = circuit.to_torch_module(semiring="log")

        def batch(count: int) -> Callable[[], object]:
            generator = torch.Generator().manual_seed(0)
            true = torch.randn(count, literals, generator=generator, dtype=torch.float64)
            true.requires_grad_()
            false = torch.zeros(count, literals, dtype=torch.float64)
            return lambda: torch.autograd.grad(module(true, false).sum(), true)

        return batch

    return {
        "rings of 3 atoms": of(*_ring(klay.Circuit(), 3)),
        "stars of 10 leaves": of(*_star(klay.Circuit(), 10)),
    }


def _ring(circuit, atoms: int):
    """Every state; the rule of step 0 asks that its atoms agree, the others are implications."""
    states = []
    for world in itertools.product((False, True), repeat=atoms):
        literals = [_literal(circuit, i, true) for i, true in enumerate(world)]
        for j in range(atoms):
            one, next_one = world[j], world[(j + 1) % atoms]
            holds = next_one or not one if j else one == next_one
            literals.append(_literal(circuit, atoms + j, holds))
        states.append(circuit.and_node(literals))
    return circuit, circuit.or_node(states), 2 * atoms


def _star(circuit, leaves: int):
    """The hub's state, then each leaf's, two rules a leaf: hub => leaf, and hub or not leaf."""
    ways = []
    for hub in (False, True):
        parts = [_literal(circuit, 0, hub)]
        for leaf in range(1, leaves + 1):
            rules = leaves + 2 * leaf - 1
            parts.append(
                circuit.or_node(
                    [
                        circuit.and_node(
                            [
                                _literal(circuit, leaf, true),
                                _literal(circuit, rules, true or not hub),
                                _literal(circuit, rules + 1, hub or not true),
                            ]
                        )
                        for true in (False, True)
                    ]
                )
            )
        ways.append(circuit.and_node(parts))
    return circuit, circuit.or_node(ways), 1 + 3 * leaves


def _literal(circuit, number: int, positive: bool):
    return circuit.literal_node(number + 1 if positive else -number - 1)
