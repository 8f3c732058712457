"""Zachary's karate club: 34 people, two labels, one rule.

    python examples/karate.py

The club as networkx has it. First the two leaders are labelled, then one member of each side
at random (every pair, or `--draws` of them); the rule divided by the number of peers, and not.
The weight stays at its prior: two labels teach none.
"""

from __future__ import annotations

import argparse
from itertools import product

import networkx as nx
import numpy as np

import knowreason as kr
from knowreason.grounding import ground
from knowreason.inference import infer
from knowreason.resources import rulesets_path

LEADERS = (0, 33)


def programs() -> dict[str, kr.Program]:
    """The rule divided by the number of peers, and as it is."""
    text = (rulesets_path() / "karate.kr").read_text()
    return {
        "divided by peers": kr.loads(text),
        "not divided": kr.loads(text.replace(" * 1 / peers(x)", "")),
    }


def sides(club: nx.Graph) -> np.ndarray:
    """`bool[34]`: who stayed with Mr. Hi."""
    return np.array([side == "Mr. Hi" for _, side in club.nodes(data="club")])


def accuracy(program: kr.Program, labelled: tuple[int, ...]) -> float:
    """Share of the other members put on the right side."""
    club = nx.karate_club_graph()
    truth = sides(club)
    known = {"person": [str(p) for p in labelled], "side": [bool(truth[p]) for p in labelled]}
    edges = np.array([(str(a), str(b)) for a, b in club.edges()])
    data = kr.Dataset.from_frames(
        program,
        facts={"Knows": {"x": edges[:, 0], "y": edges[:, 1]}},
        evidence={"WithHi": known},
    )
    grounding = ground(program, data)
    posterior = infer(grounding.graph)
    asked = [p for p in range(len(truth)) if p not in labelled]
    atoms = [grounding.atom_index("WithHi", str(p)) for p in asked]
    return float(((posterior.log_odds.numpy()[atoms] > 0) == truth[asked]).mean())


def main() -> None:
    """Print the accuracy of both rules on both choices of labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=50, help="pairs of labels (289 are all)")
    draws = parser.parse_args().draws
    truth = sides(nx.karate_club_graph())
    pairs = list(product(np.flatnonzero(truth).tolist(), np.flatnonzero(~truth).tolist()))
    chosen = np.random.default_rng(0).permutation(len(pairs))[:draws]
    print(f"{'rule':18}{'leaders labelled':>18}{'two at random':>16}")
    for name, program in programs().items():
        drawn = [accuracy(program, pairs[index]) for index in chosen]
        print(f"{name:18}{accuracy(program, LEADERS):18.3f}{np.mean(drawn):16.3f}")


if __name__ == "__main__":
    main()
