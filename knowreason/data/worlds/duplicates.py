"""Generated customers of a shop and members of a club, many of them the same people.

Each list spells people in its own way: typing errors, short first names, moved households.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from knowreason.data.arrow_types import ArrowTable
from knowreason.data.worlds.numbered_names import numbered

FIRST_NAMES = (
    "Katharina Maximilian Elisabeth Alexander Johanna Sebastian Magdalena Christoph Veronika "
    "Benjamin Franziska Matthias Theresa Dominik Caroline Gabriel"
)
LAST_NAMES = (
    "Gruber Huber Bauer Wagner Pichler Steiner Moser Mayer Hofer Leitner Berger Fuchs Eder "
    "Fischer Schmid Winkler Weber Schwarz Maier Schneider"
)
FIRST, LAST = FIRST_NAMES.split(), LAST_NAMES.split()
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


def duplicates(
    seed: int = 0, *, households: int = 160, error: float = 0.5, moved: float = 0.1
) -> dict[str, ArrowTable]:
    """Two lists of people; the same seed gives the same lists.

    Args:
        seed: of all draws.
        households: of one to three people of one last name, at one postcode.
        error: chance that a name is misspelt in a list; a birthday is wrong half as often.
        moved: chance that the club knows an older postcode of a household.

    Returns:
        ``shop`` and ``club`` (id, forename, surname, born in days, postcode), each with about
        three quarters of the people, and ``truth`` (shop, club: ids of the same person).
    """
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 4, households)
    home = np.repeat(np.arange(households), size)
    people = len(home)
    first, last = rng.choice(FIRST, people), rng.choice(LAST, households)[home]
    born = rng.integers(0, 20_000, people)
    postcode = rng.integers(1000, 1400, households)
    older = np.where(rng.random(households) < moved, rng.integers(1000, 1400, households), postcode)
    lists, members = {}, {}
    for name, code in (("shop", postcode), ("club", older)):
        there = rng.permutation(np.flatnonzero(rng.random(people) < 0.75))
        members[name] = there
        slips = rng.random(len(there)) < error / 2
        lists[name] = pa.table(
            {
                "id": numbered(name[0], np.arange(len(there))),
                "forename": [_spelt(rng, str(text), error) for text in first[there]],
                "surname": [_spelt(rng, str(text), error) for text in last[there]],
                "born": np.where(slips, rng.integers(0, 20_000, len(there)), born[there]),
                "postcode": code[home[there]],
            }
        )
    _, shop, club = np.intersect1d(members["shop"], members["club"], return_indices=True)
    order = np.argsort(shop)
    truth = {"shop": numbered("s", shop[order]), "club": numbered("c", club[order])}
    return {**lists, "truth": pa.table(truth)}


def _spelt(rng: np.random.Generator, text: str, error: float) -> str:
    """A name as somebody wrote it down."""
    chance = rng.random()
    if chance < error / 3:
        return text[:3] if len(text) > 6 else text
    if chance < error:
        place = int(rng.integers(1, len(text)))
        return text[:place] + str(rng.choice(LETTERS)) + text[place + 1 :]
    return text
