import json

import numpy as np
import pytest
import torch

from knowreason.errors import GroundingError
from knowreason.factors.energy import log_score
from knowreason.grounding import ground
from knowreason.grounding.grounding_store import load, save
from tests.grounding.programs import naive_of, random_data, random_program, random_worlds


@pytest.mark.parametrize("seed", [1, 4, 6, 11])
def test_stored_groundings_score_the_same(seed, tmp_path):
    program = random_program(seed)
    grounding = ground(program, random_data(program, seed))
    save(grounding, tmp_path / "stored")
    again = load(tmp_path / "stored", program, grounding.data)
    worlds = random_worlds(grounding, 10, seed)
    assert torch.equal(log_score(grounding.graph, worlds), log_score(again.graph, worlds))
    assert again.parameters.names == grounding.parameters.names
    assert np.array_equal(again.labels, grounding.labels)
    assert again.reports == grounding.reports
    assert [w.code for w in again.warnings] == [w.code for w in grounding.warnings]
    for atom in range(grounding.atoms.count):
        assert again.atom_name(atom) == grounding.atom_name(atom)
        assert again.groundings_of(atom) == grounding.groundings_of(atom)
    assert naive_of(again)[1] == naive_of(grounding)[1]


def test_what_is_no_grounding(tmp_path):
    program = random_program(1)
    with pytest.raises(GroundingError, match="no stored grounding"):
        load(tmp_path, program, None)
    (tmp_path / "grounding.json").write_text(json.dumps({"format": 0}))
    with pytest.raises(GroundingError, match="stored in format 0"):
        load(tmp_path, program, None)
