"""CPU seconds of a graph with new rows: grounded anew, and brought up to date, in the same run.

    python -m benchmarks.appending [--sizes 100000 1000000] [--new 100 1000] [--out appending.json]

Programs and tables are those of `benchmarks.serving`. `bind_s` is binding all rows, which both
need; `ground_s` grounding them; `extend_s` what `compile --append` does in its place, `touched`
atoms of all; `load_s` reading the earlier graph and rows, `save_s` writing the new ones. Both
graphs are compared by their counts of atoms and of ground factors a rule.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

import knowreason as kr
from benchmarks.serving import CASES, cut
from knowreason.data.encoded_files import load_relations, save_relations
from knowreason.grounding import ground
from knowreason.grounding.grounding_store import load, save
from knowreason.reasoner.serving.touched_atoms import extend


def timed(found, name, make):
    """What a function makes; its CPU seconds are noted."""
    began = time.process_time()
    made = make()
    found[name] = round(time.process_time() - began, 3)
    return made


def measured(case, size, new):
    """Seconds at one size, for one number of new events."""
    draw = np.random.default_rng(0)
    program, _, facts, labels, scores, always = CASES[case](draw, size, new)
    count = len(next(iter(facts.values())))

    def data(rows):
        own = cut(facts, 0, rows) | always
        return kr.Dataset.from_frames(
            program, facts=own, labels=labels, scores=cut(scores, 0, rows)
        )

    found = {"case": case, "size": count, "new": new}
    first = ground(program, data(count - new))
    with tempfile.TemporaryDirectory() as place:
        graph, rows = Path(place) / "graph", Path(place) / "rows"
        save(first, graph)
        save_relations(first.data, rows)
        del first
        whole = timed(found, "bind_s", lambda: data(count))
        earlier = timed(
            found, "load_s", lambda: load(graph, program, load_relations(rows, program))
        )
        ours, found["touched"] = timed(found, "extend_s", lambda: extend(earlier, whole))
        timed(found, "save_s", lambda: save(ours, Path(place) / "again"))
    whole = data(count)
    fresh = timed(found, "ground_s", lambda: ground(program, whole))
    found["atoms"] = fresh.atoms.count
    for one, two in zip(ours.reports, fresh.reports, strict=True):
        assert (one.candidate, one.open, one.merged) == (two.candidate, two.open, two.merged), one
    assert ours.atoms.count == fresh.atoms.count
    assert [f.rows for f in ours.graph.factors if f.rule < 0] == [
        f.rows for f in fresh.graph.factors if f.rule < 0
    ]
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--new", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    for case in given.cases:
        for size in given.sizes:
            for new in given.new:
                rows.append(measured(case, size, new))
                print(rows[-1], flush=True)
    if given.out:
        given.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
