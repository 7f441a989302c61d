"""What do exact distances and regrets of rewards cost, beside the ways in which they are usually computed?

Every row runs in a process of its own on one thread, which reports its best wall and processor time over some
repetitions and its peak memory. Rivals, written here after what they are named for:

* value iteration: V of the uniform policy to a change of 1e-8, state by state over dense P, as the reference does;
* dense program: worst-case regret by one HiGHS program with dense matrices, without the dual;
* loop over pairs: both rewards canonicalised anew for every pair, V by vectorised value iteration to 1e-8;
* Adam: the smallest reward by gradient descent on the potential until the loss moves less than 1e-8 in 1,000 steps;
* S^4 A array: DARD with the joint law of (S', A, S'') for every (s, s') in memory;
* naive pair: five canonical forms, 7 norms x 6 metrics each, one at a time, value iteration for V and for the best
  policies, and sampled returns (S A episodes until the discount falls to 1e-5), as the reference does;
* reference: the authors' own code, where it is: set STARC_SRC to the folder src of a checkout of
  github.com/lucyfarnik/starc (and make einops importable), outside this repository.

The spec's record of the reference on another machine, 129.4 s for 100 pairs with 210 metrics and 5,629 s with minimal
potentials, is shown as such. Ratio = rival / ours, in processor time, for the same amount of work. Targets are in
the column of that name. --quick: fewer repetitions, the smaller rivals only, nothing is written.

    python -m benchmarks.rewards [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from benchmarks._naive_rewards import (
    adam_minimal,
    dense_program,
    iterated_val,
    joint_dard,
    naive_pair,
    pair_loop,
    reference_call,
    reference_pair,
)

from learnt.rewards.dard import dard
from learnt.rewards.epic import epic
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.minimal import minimal
from learnt.rewards.minimal_potential import minimal_potential
from learnt.rewards.pairwise import pairwise_rewards
from learnt.rewards.random_mdp import random_mdp, random_reward
from learnt.rewards.regret import worst_case_regret
from learnt.rewards.val import val
from learnt.studies.random_pairs import rows

GAMMA = 0.95
Work = Callable[[], Any]


def small(states: int = 32, actions: int = 4, rewards: int = 2) -> tuple[TabularMDP, list[np.ndarray]]:
    """A random process of the paper's size, and rewards."""
    mdp, rng = random_mdp(states, actions, discount=GAMMA, seed=1), np.random.default_rng(1)
    return mdp, [random_reward(mdp, rng) for _ in range(rewards)]


def few_successors(states: int, actions: int = 4, successors: int = 6) -> tuple[Any, np.ndarray]:
    """A sparse kernel (S A, S) with up to six successors a row, and expected rewards (S, A)."""
    from scipy.sparse import csr_array

    rng, count = np.random.default_rng(2), states * actions
    chances = rng.dirichlet(np.ones(successors), count)
    ends = rng.integers(0, states, (count, successors))
    starts = np.arange(0, count * successors + 1, successors)
    kernel = csr_array((chances.ravel(), ends.ravel(), starts), shape=(count, states))
    kernel.sum_duplicates()
    return kernel, rng.standard_normal((states, actions))


def sparse_mdp(states: int) -> tuple[TabularMDP, np.ndarray]:
    """The same as a process."""
    kernel, r = few_successors(states)
    return TabularMDP(kernel, np.full(states, 1 / states), GAMMA), r


# -- the rows -------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """One row: what is done, by which way, how much work one call is, and how often it is repeated."""

    task: str
    way: str
    make: Callable[[], Work]
    amount: int = 1
    repeats: int = 5
    target: str = ""
    limit: float = float("inf")  # seconds, or megabytes if the target is about memory
    slow: bool = False
    beside: str = ""  # the case of ours that a rival is compared with


def _val(states: int) -> Work:
    kernel, r = few_successors(states)
    start = np.full(states, 1 / states)
    return lambda: val(r, TabularMDP(kernel, start, GAMMA))  # a new process each time: nothing is factored before


def _iterated(states: int) -> Work:
    kernel, r = few_successors(states)
    p = kernel.toarray().reshape(states, -1, states)
    return lambda: iterated_val(p, r, GAMMA)


def _regret(solver: str) -> Work:
    mdp, (r1, r2) = small()
    return lambda: worst_case_regret(r1, r2, mdp, solver=solver).normalised  # type: ignore[arg-type]


def _program() -> Work:
    mdp, (r1, r2) = small()
    one, two = mdp.expected(r1), mdp.expected(r2)
    return lambda: dense_program(mdp.transitions, mdp.initial, one, two, GAMMA)


def _pairwise(count: int) -> Work:
    mdp, rewards = small(rewards=count)
    return lambda: pairwise_rewards(rewards, TabularMDP(mdp.transitions, mdp.initial, GAMMA)).distances


def _loop(count: int) -> Work:
    mdp, rewards = small(rewards=count)
    return lambda: pair_loop(mdp.transitions, rewards, GAMMA)


def _minimal(states: int) -> Work:
    mdp, (reward, _) = small(states)
    r = mdp.expected(reward)
    minimal(r, mdp)
    return lambda: minimal(r, mdp)


def _shaped() -> Work:
    mdp, (reward, _) = small()
    minimal_potential(reward, mdp)
    return lambda: minimal_potential(reward, mdp)


def _adam() -> Work:
    mdp, (reward, _) = small()
    return lambda: adam_minimal(mdp.transitions, mdp.expected(reward), GAMMA)


def _dard(states: int, actions: int) -> Work:
    mdp, (reward, _) = small(states, actions)
    return lambda: dard(reward, mdp)


def _joint(states: int, actions: int) -> Work:
    mdp, (reward, _) = small(states, actions)
    return lambda: joint_dard(mdp.transitions, reward, GAMMA)


def _epic() -> Work:
    mdp, (reward, _) = small()
    return lambda: epic(reward, mdp)


def _rows(count: int, regrets: str) -> Work:
    mdp, rewards = small(rewards=2 * count)
    one, two = np.stack(rewards[:count]), np.stack(rewards[count:])
    fresh = lambda: TabularMDP(mdp.transitions, mdp.initial, GAMMA)
    return lambda: rows(one, two, fresh(), steps=1, regrets=regrets)  # type: ignore[arg-type]


def _naive(count: int) -> Work:
    mdp, rewards = small(rewards=2 * count)
    rng = np.random.default_rng(0)
    pairs = list(zip(rewards[:count], rewards[count:]))
    return lambda: [naive_pair(mdp.transitions, a, b, GAMMA, rng) for a, b in pairs]


def _large(what: str) -> Work:
    mdp, r = sparse_mdp(10_000)
    other = np.random.default_rng(3).standard_normal(r.shape)
    return {
        "val": lambda: val(r, mdp),
        "minimal": lambda: minimal(r, mdp),
        "solve": lambda: mdp.solve(r),
        "regret": lambda: worst_case_regret(r, other, mdp, solver="dual"),
        "all": lambda: (val(r, mdp), minimal(r, mdp), mdp.solve(r), worst_case_regret(r, other, mdp, solver="dual")),
    }[what]


VAL, W, PAIRS, FORM = "VAL, 1,000 x 4, sparse", "W, 32 x 4", "distances of all pairs, 32 x 4", "minimal form, 32 x 4"
SHAPED = "smallest shaped reward, 32 x 4"
HUNDRED, LARGE = "a pair: metrics and best-policy regrets, 32 x 4", "10,000 x 4, sparse"
CASES: dict[str, Case] = {
    "val": Case(VAL, "ours, factored anew", lambda: _val(1000), target="< 200 ms", limit=0.2),
    "val naive": Case(VAL, "value iteration", lambda: _iterated(1000), repeats=1, beside="val"),
    "w": Case(W, "ours, dual", lambda: _regret("dual"), target="< 20 ms", limit=0.02, repeats=20),
    "w lp": Case(W, "ours, sparse program", lambda: _regret("lp"), repeats=5, beside="w"),
    "w naive": Case(W, "dense program", _program, repeats=3, beside="w"),
    "pairs 200": Case(PAIRS, "ours, 200 rewards", lambda: _pairwise(200), 19900, 3, "< 1 s", 1.0),
    "pairs 40": Case(PAIRS, "ours, 40 rewards", lambda: _pairwise(40), 780, 3),
    "pairs naive": Case(PAIRS, "loop over pairs, 40 rewards", lambda: _loop(40), 780, 1, beside="pairs 40"),
    "form": Case(FORM, "ours, after factorisation", lambda: _minimal(32), repeats=50, target="< 1 ms", limit=1e-3),
    "form naive": Case(FORM, "Adam", _adam, repeats=1, slow=True, beside="form"),
    "shaped": Case(SHAPED, "ours, after factorisation", _shaped, repeats=50),
    "shaped reference": Case(
        SHAPED, "reference, MinimalPotential 2",
        lambda: reference_call("distance.canon.minimal_potential", "minimal_potential_canon", 2),
        repeats=1, slow=True, beside="shaped",
    ),
    "hundred": Case(
        HUNDRED, "ours, 100 pairs, 307 metrics", lambda: _rows(100, "optimal"), 100, 3, "< 129.4 s / 40", 3.235
    ),
    "hundred w": Case(HUNDRED, "ours, and exact W both ways", lambda: _rows(100, "both"), 100, 3),
    "hundred naive": Case(
        HUNDRED, "naive pair, 3 pairs, 210 metrics", lambda: _naive(3), 3, 1, slow=True, beside="hundred"
    ),
    "hundred reference": Case(
        HUNDRED, "reference, 1 pair, 210 metrics", reference_pair, repeats=3, slow=True, beside="hundred"
    ),
    "dard": Case("DARD, 32 x 4", "ours", lambda: _dard(32, 4), repeats=20),
    "dard naive": Case("DARD, 32 x 4", "S^4 A array", lambda: _joint(32, 4), beside="dard"),
    "dard reference": Case(
        "DARD, 32 x 4", "reference", lambda: reference_call("distance.canon.dard", "dard_canon"), slow=True,
        beside="dard",
    ),
    "dard large": Case("DARD, 128 x 16", "ours", lambda: _dard(128, 16), repeats=3, target="< 2 GB", limit=2000),
    "epic": Case("EPIC, 32 x 4", "ours", _epic, repeats=50),
    "epic reference": Case(
        "EPIC, 32 x 4", "reference", lambda: reference_call("distance.canon.epic", "epic_canon"), repeats=50, slow=True,
        beside="epic"
    ),
    "val small": Case("VAL, 32 x 4", "ours, factored anew", lambda: _val(32), repeats=20),
    "val small reference": Case(
        "VAL, 32 x 4", "reference", lambda: reference_call("distance.canon.value", "value_canon"), slow=True,
        beside="val small"
    ),
    "large val": Case(LARGE, "VAL", lambda: _large("val"), repeats=2),
    "large minimal": Case(LARGE, "minimal form", lambda: _large("minimal"), repeats=2),
    "large solve": Case(LARGE, "best policy", lambda: _large("solve"), repeats=1),
    "large regret": Case(LARGE, "W, dual", lambda: _large("regret"), repeats=1),
    "large all": Case(LARGE, "all four", lambda: _large("all"), repeats=1, target="< 2 GB", limit=2000),
}  # fmt: skip


def check_rivals() -> None:
    """Raise unless the rivals compute what we do."""
    mdp, rewards = small(8, 3, 3)
    (p, r1, r2), one = (mdp.transitions, *rewards[:2]), mdp.expected(rewards[0])
    w = worst_case_regret(r1, r2, mdp)
    l2 = lambda values: values[..., 0] if values.shape[-1] == 1 else values
    np.testing.assert_allclose(iterated_val(p, one, GAMMA), l2(val(one, mdp)), atol=1e-6)
    np.testing.assert_allclose(adam_minimal(p, one, GAMMA), l2(minimal(one, mdp)), atol=0.05 * np.abs(one).max())
    np.testing.assert_allclose(joint_dard(p, r1, GAMMA), dard(r1, mdp), atol=1e-9)
    np.testing.assert_allclose(pair_loop(p, rewards, GAMMA), pairwise_rewards(rewards, mdp).distances, atol=1e-6)
    np.testing.assert_allclose(dense_program(p, mdp.initial, one, mdp.expected(r2), GAMMA), w.value, rtol=1e-7)


def peak() -> float:
    """Highest resident memory of this process, MB; rusage on Linux would count what the parent held when it forked."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def run_case(case: Case, repeats: int) -> dict[str, float]:
    """Best wall and processor seconds, and the peak memory of this process in megabytes."""
    work, wall, busy = case.make(), [], []
    for _ in range(repeats):
        begin, spent = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - begin)
        busy.append(time.process_time() - spent)
    return {"seconds": min(wall), "processor_seconds": min(busy), "peak_megabytes": peak()}


def judged(name: str, case: Case, found: dict[str, float]) -> dict[str, Any]:
    """A row of the table."""
    value = found["peak_megabytes"] if "GB" in case.target else found["seconds"]
    met = value <= case.limit if case.target else None
    return {
        "case": name,
        "task": case.task,
        "way": case.way,
        "amount": case.amount,
        "target": case.target,
        "met": met,
    } | found


def main() -> int:
    """Run all cases, print the table, write benchmarks/results/rewards.json; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, no slow rival, nothing is written")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        name, repeats = args.case.rsplit(",", 1)
        print(json.dumps(run_case(CASES[name], int(repeats))))
        return 0
    check_rivals()
    found: list[dict[str, Any]] = []
    here = bool(os.environ.get("STARC_SRC"))
    alone = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")}
    for name, case in CASES.items():
        if (args.quick and case.slow) or ("reference" in name and not here):
            continue
        words = [sys.executable, "-m", "benchmarks.rewards", "--case", f"{name},{1 if args.quick else case.repeats}"]
        done = subprocess.run(words, capture_output=True, text=True, env=alone, cwd=Path(__file__).parent.parent)
        if done.returncode:
            print(f"{name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            return 1
        found.append(judged(name, case, json.loads(done.stdout.splitlines()[-1])))
    spent = {row["case"]: row["processor_seconds"] / row["amount"] for row in found}
    for row in found:
        beside = CASES[row["case"]].beside
        row["ratio"] = spent[row["case"]] / spent[beside] if beside else None
    show(found, here)
    if not args.quick:
        out = Path(__file__).parent / "results" / "rewards.json"
        out.parent.mkdir(exist_ok=True)
        record = {"numpy": np.__version__, "machine": platform.machine(), "reference_run": here, "rows": found}
        record["spec_record_of_the_reference_seconds"] = {
            "100 pairs, 210 metrics": 129.4,
            "with minimal potentials": 5629.0,
        }
        out.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    return int(any(row["met"] is False for row in found))


def show(found: list[dict[str, Any]], here: bool) -> None:
    """The table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Rewards, one thread")
    for column in ("task", "way", "wall ms", "processor ms", "ratio for equal work", "peak MB", "target", "met"):
        table.add_column(column, justify="right" if column in ("wall ms", "processor ms", "peak MB") else "left")
    for row in found:
        met = {True: "yes", False: "NO", None: ""}[row["met"]]
        numbers = [f"{1e3 * row[k]:.3g}" for k in ("seconds", "processor_seconds")]
        cells = [
            *numbers,
            "" if row["ratio"] is None else f"{row['ratio']:.3g}",
            f"{row['peak_megabytes']:.0f}",
            row["target"],
            met,
        ]
        table.add_row(row["task"], row["way"], *cells)
    Console(width=140).print(table)
    if not here:
        print("The reference was not run: set STARC_SRC to the folder src of a checkout of lucyfarnik/starc.")
    print("Spec's record of the reference, another machine: 129.4 s for 100 pairs, 5,629 s with minimal potentials.")


if __name__ == "__main__":
    sys.exit(main())
