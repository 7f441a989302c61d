"""Are the intervals honest? Compare things with their own controls, where the true transfer is 0, many times.

A pool of independent students is trained once (digits, 259 training images, one population). In each repetition a
teacher, K students and J controls are drawn from the pool without replacement, so that students and controls differ by
luck alone; the test images are a fresh half of the test set. Counted over repetitions, for each question:

* how often the interval of the transfer holds 0 (wanted: 95 of 100);
* how often the verdict after correction is "transferred" or "reversed" (wanted: at most 7 of 100);
* the same for a naive rival in the same run: a plain hierarchical bootstrap (K of K replicas with replacement,
  without the small-sample correction of `learnt.core.statistics`).

    python -m benchmarks.calibration [--quick]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import learnt
from learnt.agreement.divergence import JSDivergence, KLDivergence
from learnt.agreement.errors import ErrorConsistency
from learnt.agreement.top1 import Agreement
from learnt.core.statistics import Resampler
from learnt.core.subject import Subject
from learnt.data.load import load
from learnt.io.atomic import write_json
from learnt.similarity.cka import CKA
from learnt.train.fit import fit
from learnt.train.nets import mlp
from learnt.train.objectives import CrossEntropy
from learnt.train.population import Population

RESULTS = Path(__file__).parent / "results" / "calibration.json"
MEASURES = (Agreement(), KLDivergence(), JSDivergence(), ErrorConsistency(), CKA(grid_examples=8, most_layers=1))
DESIGNS = ((1, 5), (3, 3), (5, 5))


def pool(size: int) -> list[torch.nn.Module]:
    """Independent students on the small digits set of the demo."""
    train = load("digits", split="train", test=0.85, validation=0.05)
    population = Population(lambda: mlp(64, 10, (32,)), size, seed=0)
    fit(population, train, CrossEntropy(), epochs=60, batch_size=64, seed=0, engine="vmap",
        optimizer=lambda p: torch.optim.Adam(p, 1e-2))  # fmt: skip
    return list(population)


def naive(teacher: Any, students: list[Any], controls: list[Any], data: Any, seed: int) -> bool:
    """Whether 0 lies in a plain percentile interval of the difference in agreement."""
    t = Subject(teacher, data, name="t").predictions.numpy()
    same = [[(Subject(x, data, name="x").predictions.numpy() == t) for x in side] for side in (students, controls)]
    rng = np.random.default_rng(seed)
    counts = Resampler(2000, seed).counts(len(data)).astype(np.float64) / len(data)
    means = []
    for side in same:
        values = counts @ np.array(side, dtype=np.float64).T
        picks = rng.integers(0, len(side), values.shape)
        means.append(np.take_along_axis(values, picks, axis=1).mean(1))
    low, high = np.percentile(means[0] - means[1], [2.5, 97.5])
    return bool(low <= 0 <= high)


def main(arguments: list[str]) -> int:
    repetitions = 20 if "--quick" in arguments else 200
    models = pool(60 if "--quick" in arguments else 200)
    test = load("digits", split="test", test=0.85, validation=0.05)
    rows, console = [], Console()
    for k, j in DESIGNS:
        held = {m.name: [0, 0] for m in MEASURES}
        verdicts = asked = rival = 0
        for repetition in range(repetitions):
            rng = np.random.default_rng([k, j, repetition])
            picked = [models[i] for i in rng.permutation(len(models))[: 1 + k + j]]
            data = test.take(np.sort(rng.permutation(len(test))[: len(test) // 2]))
            found = learnt.compare(
                picked[0], picked[1 : 1 + k], data, controls=picked[1 + k :], measures=MEASURES, rng=repetition,
                gallery_size=0, quiet=True,
            )  # fmt: skip
            rival += naive(picked[0], picked[1 : 1 + k], picked[1 + k :], data, repetition)
            for answer in found.answers:
                if answer.transfer.defined:
                    held[answer.name][0] += answer.transfer.low <= 0 <= answer.transfer.high
                    held[answer.name][1] += 1
                asked += 1
                verdicts += answer.verdict in ("transferred", "reversed")
        for name, (inside, defined) in held.items():
            rows.append(
                {
                    "students": k,
                    "controls": j,
                    "question": name,
                    "defined": defined,
                    "covers_zero": inside / max(1, defined),
                }
            )
        rows.append(
            {
                "students": k,
                "controls": j,
                "question": "any verdict but 'not detected'",
                "defined": asked,
                "share": verdicts / asked,
            }
        )
        rows.append(
            {
                "students": k,
                "controls": j,
                "question": "plain bootstrap, agreement (rival)",
                "defined": repetitions,
                "covers_zero": rival / repetitions,
            }
        )
    table = Table(
        "students",
        "controls",
        "question",
        "n",
        "covers 0",
        "false verdicts",
        title=f"{repetitions} comparisons with nothing to find",
    )
    for r in rows:
        cells = [f"{100 * r[c]:.0f} %" if c in r else "" for c in ("covers_zero", "share")]
        table.add_row(str(r["students"]), str(r["controls"]), r["question"], str(r["defined"]), *cells)
    console.print(table)
    write_json(RESULTS, {"repetitions": repetitions, "rows": rows, "threads": torch.get_num_threads()})
    worst = max(r["share"] for r in rows if "share" in r)
    return 0 if worst <= 0.07 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
