"""How strong pathways are that are on in several contexts, against the statistics of the task itself."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from learnt.core.errors import InputError
from learnt.gated.context_race import context_strengths
from learnt.gated.gated_task import GatedTask
from learnt.gated.graph import Graph
from learnt.gated.path_stats import correlations

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "gated_race.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("contexts", [2, 3, 4, 5])
def test_the_strengths_are_those_of_the_golden_table(contexts):
    table = GOLDEN["context_race"][f"C={contexts}"]
    assert np.allclose(context_strengths(contexts), list(table.values()), atol=5e-5)


@pytest.mark.parametrize("common", [False, True])
@pytest.mark.parametrize("contexts", [2, 3, 5])
def test_the_strengths_are_those_of_the_effective_data_sets_of_pathways(contexts, common):
    # one item, a target of its own in each context
    targets = np.eye(contexts)
    if common:
        targets = targets - targets.mean(0)
    subsets = [some for m in range(1, contexts) for some in combinations(range(contexts), m)]
    gates = {f"h{k}": [float(c in some) for c in range(contexts)] for k, some in enumerate(subsets)}
    graph = Graph.parallel(len(subsets), 1, 1, contexts)
    stats = correlations(GatedTask(graph, {"x": np.ones((contexts, 1))}, {"y": targets}, gates))
    law = context_strengths(contexts, after_common=common)
    for some, path, sigma in zip(subsets, stats.paths, stats.Sigma_yx, strict=True):
        assert path.edges[0] == f"in{subsets.index(some)}"
        assert (contexts * np.linalg.norm(sigma)) ** 2 == pytest.approx(law[len(some) - 1], abs=1e-12)


def test_one_context_has_no_race():
    with pytest.raises(InputError):
        context_strengths(1)
