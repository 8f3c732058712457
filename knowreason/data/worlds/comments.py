"""A generated world of comments, some of them spam, and functions that vote on them.

A comment is a dozen words: everyday ones, and a few of its kind. Some functions look for words,
one measures length, one is hardly better than a coin, and one copies another. Each abstains
where it sees nothing. Nothing in the world is real.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from knowreason.data.arrow_types import ArrowTable
from knowreason.data.worlds.numbered_names import numbered

PLAIN_TEXT = (
    "the a this that it was is so and but with for of in on at to from about really just very "
    "time day part first last again always never maybe still even more most some all"
)
HONEST_TEXT = (
    "song voice love beautiful chorus guitar lyrics listening memories video classic band "
    "melody live dance miss favourite years amazing drums"
)
SPAM_TEXT = (
    "channel subscribe check link free click visit follow page money giveaway prize win "
    "please website share offer deal earn upload"
)
PLAIN, HONEST, SPAM = (tuple(text.split()) for text in (PLAIN_TEXT, HONEST_TEXT, SPAM_TEXT))
COMMON = {
    True: ("love", "beautiful", "amazing", "video"),
    False: ("please", "share", "check", "free"),
}
OF_BOTH = {True: ("love", "beautiful", "amazing"), False: ("please", "share", "free")}
WEEKS = 6
# function: words it looks for, whether they mean spam
WORDS: dict[str, tuple[tuple[str, ...], bool]] = {
    "asks_to_subscribe": (("subscribe", "follow", "channel"), True),
    "asks_to_click": (("click", "link", "visit", "website"), True),
    "offers_money": (("money", "free", "win", "prize", "earn"), True),
    "says_please": (("please", "share"), True),
    "speaks_of_music": (("song", "guitar", "chorus", "melody", "drums"), False),
    "is_moved": (("love", "beautiful", "amazing", "memories"), False),
}


def comments(
    seed: int = 0,
    *,
    count: int = 1_800,
    prevalence: float = 0.4,
    signs: float = 2.2,
    labels: int = 300,
) -> dict[str, ArrowTable]:
    """A drawn world; the same seed gives the same world.

    Args:
        seed: of all draws.
        count: comments, over six weeks.
        prevalence: share of spam.
        signs: mean number of words of its own kind a comment has; a sixth as many are of the
            other kind, and as many are everybody's.
        labels: most comments of the last two weeks that were read, to measure by.

    Returns:
        ``comments`` (comment, text, week), ``votes`` (comment, function, spam: one row a
        function that speaks), ``labels`` (comment, spam: of the last two weeks) and
        ``truth`` (comment, spam).
    """
    rng = np.random.default_rng(seed)
    spam = rng.random(count) < prevalence
    names = numbered("c", np.arange(count))
    drawn = [_words(rng, bool(is_spam), signs) for is_spam in spam]
    week = np.sort(rng.integers(0, WEEKS, count))
    late = rng.permutation(np.flatnonzero(week >= WEEKS - 2))
    asked = np.sort(late[:labels])
    return {
        "comments": pa.table(
            {"comment": names, "text": [" ".join(words) for words in drawn], "week": week}
        ),
        "votes": _votes(rng, names, drawn),
        "labels": pa.table({"comment": names.take(pa.array(asked)), "spam": spam[asked]}),
        "truth": pa.table({"comment": names, "spam": spam}),
    }


def _words(rng: np.random.Generator, spam: bool, signs: float) -> list[str]:
    own, other = (SPAM, HONEST) if spam else (HONEST, SPAM)
    words = [
        *rng.choice(own, rng.poisson(signs)),
        *rng.choice(other, rng.poisson(signs / 6)),
        *rng.choice(OF_BOTH[spam], rng.poisson(signs / 6)),
    ]
    length = rng.poisson(13 if spam else 9)  # whatever the signs are: what functions see is apart
    words += rng.choice(PLAIN, max(length - len(words), 1)).tolist()
    return [str(word) for word in rng.permutation(words)]


def _votes(rng: np.random.Generator, names: pa.Array, drawn: list[list[str]]) -> ArrowTable:
    said: dict[str, NDArray[np.int64]] = {
        name: np.array([int(means) if set(looked_for) & set(words) else -1 for words in drawn])
        for name, (looked_for, means) in WORDS.items()
    }
    length = np.array([len(words) for words in drawn])
    said["is_short_or_long"] = np.where(length < 9, 0, np.where(length > 14, 1, -1))
    copied = rng.random(len(drawn)) < 0.9
    said["asks_to_subscribe_too"] = np.where(copied, said["asks_to_subscribe"], -1)
    rows = [
        (int(row), name, bool(votes[row] == 1))
        for name, votes in said.items()
        for row in np.flatnonzero(votes >= 0)
    ]
    place, function, value = zip(*rows, strict=True)
    table: ArrowTable = pa.table(
        {"comment": names.take(pa.array(place)), "function": function, "spam": value}
    )
    return table
