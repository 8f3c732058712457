"""A document form as a graph of boxes: which field does each value belong to?

    python examples/form_boxes.py [--forms 120] [--seed 0]

Forms are made of scikit-learn's handwritten digits. The glyphs 1, 2 and 3 are labels (total,
date, number) where a value stands beside them, and values like any others elsewhere; on three
forms in ten all values stand below their labels. Half of the forms are labelled. Each box comes
with what a weak reader of glyphs says of it. A value may be any digit, so only the layout tells.
The graph network sees, message by message, how far and in which direction the nearest boxes are;
the rules say where values stand.
"""

from __future__ import annotations

import argparse

import numpy as np
import pyarrow as pa
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from three_ways import chosen, held_back, show, three_ways

import knowreason as kr
from knowreason.data import Dataset, EdgeList
from knowreason.models import rows_of

PROGRAM = """
domain Box
domain Kind = { "total", "date", "number", "label", "other" }
domain Digit = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" }

attribute x(Box): float
attribute y(Box): float
observed Near(Box, Box)
observed Names(Digit, Kind)
define RightOf(v, l) := Near(l, v) & x(v) - x(l) > 0.05 & x(v) - x(l) < 0.2
    & y(v) - y(l) < 0.03 & y(l) - y(v) < 0.03
define Below(v, l) := Near(l, v) & y(v) - y(l) > 0.05 & y(v) - y(l) < 0.12
    & x(v) - x(l) < 0.04 & x(l) - x(v) < 0.04

query Holds(Box, Kind!)
query Reads(Box, Digit!)

model layout for Holds = gnn(convolution="transformer", hidden=32, epochs=120, learning_rate=0.01,
    message_features=["distance", "right", "down"], edge_features="none")
model glyph for Reads = sklearn()

rule right_of       : RightOf(v, l) & Reads(l, d) & Names(d, k) => Holds(v, k)
rule below      [?] : Below(v, l) & Reads(l, d) & Names(d, k) => Holds(v, k)
rule label_left     : RightOf(v, l) & Reads(l, d) & Names(d, k) => Holds(l, "label")
rule label_above[?] : Below(v, l) & Reads(l, d) & Names(d, k) => Holds(l, "label")
rule usual      [?] : Holds(b, "other")
"""
FIELDS = {"1": "total", "2": "date", "3": "number"}
COLUMNS, LINES, BELOW, NEAREST = 3, 6, 0.3, 6
READ = 200  # glyphs the reader has learned from


def form(rng: np.random.Generator) -> list[tuple[float, float, int, str]]:
    """Boxes of one form: x, y, digit, what it holds."""
    below = rng.random() < BELOW
    cells = rng.permutation(COLUMNS * LINES)[: rng.integers(8, 12)]
    fields = list(FIELDS) + ["1", "2", "3"][: rng.integers(0, 3)]
    boxes = []
    for at, cell in enumerate(cells):
        x = 0.05 + 0.33 * (cell % COLUMNS) + rng.normal(0, 0.01)
        y = 0.05 + 0.16 * (cell // COLUMNS) + rng.normal(0, 0.005)
        step = (0, 0.08) if below else (rng.uniform(0.09, 0.16), 0)
        other = (x + step[0] + rng.normal(0, 0.008), y + step[1] + rng.normal(0, 0.006))
        value = int(rng.integers(10))
        if at < len(fields):
            boxes.append((x, y, int(fields[at]), "label"))
            boxes.append((*other, value, FIELDS[fields[at]]))
        else:  # two digits that are no field: the first is no label, or stands alone
            boxes.append((x, y, int(rng.choice([0, 4, 5, 6, 7, 8, 9])), "other"))
            boxes.append((*other, value, "other"))
        if rng.random() < 0.2:  # a glyph like a label's, with nothing beside it
            boxes.append((x + 0.24, y + 0.05, int(rng.integers(1, 4)), "other"))
    return boxes


def load(forms: int, seed: int, epochs: int = 120) -> Dataset:
    """All forms; the second half of them has its labels hidden."""
    rng, digits = np.random.default_rng(seed), load_digits()
    made = [form(rng) for _ in range(forms)]
    boxes = [box for page in made for box in page]
    page = np.repeat(np.arange(forms), [len(each) for each in made])
    names = np.array([f"f{p}b{i}" for i, p in enumerate(page)])
    place = np.array([box[:2] for box in boxes])
    pool = rng.permutation(len(digits.target))
    rest = pool[READ:]
    picture = [rng.choice(rest[digits.target[rest] == box[2]]) for box in boxes]
    apart = np.linalg.norm(place[:, None] - place[None], axis=2)
    apart[page[:, None] != page] = np.inf
    np.fill_diagonal(apart, np.inf)
    target = np.repeat(np.arange(len(boxes)), NEAREST)
    source = np.argsort(apart, axis=1)[:, :NEAREST].ravel()
    dx, dy = (place[source] - place[target]).T
    distance = np.hypot(dx, dy)
    ends = {"a": names[source], "b": names[target]}
    shown = {"distance": np.log(distance), "right": dx / distance, "down": dy / distance}
    near = pa.table({**ends, **shown})
    reader = LogisticRegression(max_iter=200).fit(
        digits.data[pool[:READ]], digits.target[pool[:READ]]
    )
    read = reader.predict_log_proba(digits.data[picture]).clip(-10)
    columns = {f"reads {i}": column for i, column in enumerate(read.T)}
    data = Dataset.from_frames(
        kr.loads(PROGRAM.replace("epochs=120", f"epochs={epochs}")),
        facts={
            "x": {"b": names, "x": place[:, 0]},
            "y": {"b": names, "y": place[:, 1]},
            "Near": near.select(["a", "b"]),
            "Names": {"d": list(FIELDS), "k": list(FIELDS.values())},
        },
        labels={
            "Holds": {"b": names, "k": [box[3] for box in boxes]},
            "Reads": {"b": names, "d": [str(box[2]) for box in boxes]},
        },
        features={"Box": pa.table({"b": names, **columns})},
        graph=EdgeList(near, "a:Box", "b:Box", features=["distance", "right", "down"]),
    )
    hidden = page >= forms // 2
    return data.hide("Holds", hidden).hide("Reads", hidden)


def compare(forms: int = 120, seed: int = 0, epochs: int = 120) -> dict[str, dict[str, float]]:
    """Share of boxes put right on the other forms, of all and of values of fields."""
    data = load(forms, seed, epochs)
    blind = {"hidden": 32, "epochs": epochs, "learning_rate": 0.01, "edge_features": "none"}
    scores = three_ways(
        data.program, data, data, "Holds", {"glyphs and neighbours": ("gnn", blind)}
    )
    atoms, _ = held_back(data, "Holds")
    rows = rows_of(data, "Holds")
    row, truth = rows.row_of_atom[atoms], rows.state_of_atom[atoms]
    value = truth < 3
    return {
        name: {
            "all boxes": float((state[row] == truth).mean()),
            "values of fields": float((state[row] == truth)[value].mean()),
        }
        for name, state in chosen(scores, data, "Holds").items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--forms", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    show("share put right", compare(given.forms, given.seed))


if __name__ == "__main__":
    main()
