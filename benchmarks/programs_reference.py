"""How fast are programs beside the authors' code: a training epoch of a seed, an evaluation, the exported file?

Both sides do the same work on one thread, in processes of their own, in turn; processor seconds, the best of the
repetitions on each side. The authors' side is their own `run_training`, their torch model in argmax mode, and the
program files that they ship (github.com/princeton-nlp/TransformerPrograms, commit 59970de); it is run by
`_programs_authors.py` and changed in nothing.

* a seed-epoch: some epochs with their recipe (temperature 3 to 0.01), theirs one seed at a time and with its evaluation
  of all parts each epoch, ours eight seeds at once with the evaluation of validation and test at the end. The share of
  theirs that is evaluation is shown; without it the work is the same mathematics;
* evaluation: a program of 36 modules on 19,530 inputs, theirs in batches of 1,024;
* the file: `run` on one input; their shipped sort, with 36 modules, reads its weights with pandas at each call.

Set LEARNT_TP_REFERENCE to a checkout of the authors' code outside this repository, and LEARNT_TP_PYTHON to an
interpreter that has what it imports (torch, pandas, scikit-learn, einops, black, tqdm); without the first, their side
is skipped and said to be. Targets are those of the specification, check 25. --quick: hist only, nothing is written.

    python -m benchmarks.programs_reference [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
SEEDS, INPUTS = 8, 19_530
EPOCHS = {"hist": 6, "sort": 2, "dyck2": 4}  # of both sides
PAPER_SIZES = {
    "hist": {"layers": 1, "cat_heads": 2, "num_heads": 2, "cat_mlps": 1, "num_mlps": 1},
    "sort": {"layers": 3, "cat_heads": 4, "num_heads": 4, "cat_mlps": 2, "num_mlps": 2},
    "dyck2": {"layers": 3, "cat_heads": 2, "num_heads": 2, "cat_mlps": 2, "num_mlps": 2},
}


class Case(NamedTuple):
    """One question: the authors' arguments, how often both sides are asked, and the least ratio wanted."""

    question: str
    theirs: tuple[str, ...]
    repeats: int
    target: float


CASES = {
    "hist": Case("seed-epoch, hist, 1 layer, 6 modules", ("train", "hist", str(EPOCHS["hist"])), 3, 4.0),
    "sort": Case("seed-epoch, sort, 3 layers, 36 modules", ("train", "sort", str(EPOCHS["sort"])), 2, 2.5),
    "dyck2": Case("seed-epoch, dyck2, 3 layers, 24 modules, N = 16", ("train", "dyck2", str(EPOCHS["dyck2"])), 2, 2.2),
    "evaluate": Case(f"36 modules on {INPUTS:,} inputs", ("evaluate", str(INPUTS)), 3, 5.0),
    "file": Case("exported file, one input, 36 modules", ("file", "sort", "20"), 3, 15.0),
}


# -- our side ---------------------------------------------------------------------------------------------------


def train(name: str) -> dict[str, float]:
    """Processor seconds an epoch and seed of `fit` with the authors' recipe."""
    import torch

    from learnt.programs import tasks
    from learnt.programs.config import Config
    from learnt.programs.training import fit

    torch.set_num_threads(1)
    task = tasks.dyck2() if name == "dyck2" else getattr(tasks, name)(8, 8)
    task.split(0)
    fit(
        tasks.hist(4, 4), Config(layers=1, cat_heads=1), seeds=2, epochs=1, device="cpu"
    )  # what torch imports on first use
    begin = time.process_time()
    result = fit(task, Config(**PAPER_SIZES[name]), seeds=SEEDS, epochs=EPOCHS[name], recipe="paper", device="cpu")
    spent = time.process_time() - begin
    return {"processor_seconds": spent / (EPOCHS[name] * SEEDS), "best_test": result.seeds[0].test.tokens}


def large(seed: int = 0) -> Any:
    """A random program of the size of the learnt sort: three layers of 4 + 4 heads and 2 + 2 MLPs."""
    import numpy as np

    from learnt.programs import Head, Layer, NumMLP, Program, ReluNet, TableMLP

    rng = np.random.default_rng(seed)
    categorical, numerical, layers = ["tokens", "positions"], ["ones"], []
    for layer in range(3):
        heads: dict[str, list[Head]] = {"cat": [], "num": []}
        for kind, values in (("cat", list(categorical)), ("num", list(numerical))):
            for _ in range(4):
                query, key, value = (str(rng.choice(n)) for n in (categorical, categorical, values))
                heads[kind].append(Head(query=query, key=key, value=value, predicate=rng.integers(0, 8, 8)))
        categorical += [f"attn_{layer}_{h}" for h in range(4)]
        numerical += [f"num_attn_{layer}_{h}" for h in range(4)]
        tables = [TableMLP(inputs=rng.choice(categorical, 2), table=rng.integers(0, 8, 64)) for _ in range(2)]
        nets = []
        for _ in range(2):
            net = ReluNet(
                W_in=rng.normal(size=(64, 2)), b_in=rng.normal(size=64), W_out=rng.normal(size=(8, 64)),
                b_out=rng.normal(size=8),
            )  # fmt: skip
            nets.append(NumMLP(inputs=rng.choice(numerical, 2), weights=net))
        categorical += [f"{stem}_{layer}_{m}" for stem in ("mlp", "num_mlp") for m in range(2)]
        layers.append(Layer(cat_heads=heads["cat"], num_heads=heads["num"], cat_mlps=tables, num_mlps=nets))
    votes = {v: rng.normal(size=(8, 5)) for v in categorical} | {v: rng.normal(size=5) for v in numerical}
    vocab = ["<pad>", *"01234", "<s>", "</s>"]
    return Program(vocab=vocab, labels=list("01234"), k=8, n_ctx=8, layers=layers, classifier=votes)


def evaluate(_: str) -> dict[str, float]:
    """Processor seconds of the integer evaluator on as many inputs of the same lengths; encoding not included."""
    import numpy as np

    from learnt.programs.evaluator import Batch
    from learnt.programs.evaluator import evaluate as answer

    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 9, INPUTS)
    ids = np.where(np.arange(8) < lengths[:, None], rng.integers(1, 8, (INPUTS, 8)), 0)
    program, batch, best = large(), Batch(ids=ids, lengths=lengths), float("inf")
    for _repeat in range(5):
        begin = time.process_time()
        answer(program, batch).predictions  # noqa: B018
        best = min(best, time.process_time() - begin)
    return {"processor_seconds": best}


def file(_: str) -> dict[str, float]:
    """Processor seconds an input of `run` in a file that `to_python` wrote."""
    import importlib.util

    from learnt.programs import tasks
    from learnt.programs.python_export import to_python

    program = large()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exported.py"
        text = to_python(program, path, domain=tasks.sort(8, 8))
        spec = importlib.util.spec_from_file_location("exported", path)
        if spec is None or spec.loader is None:
            raise RuntimeError(f"{path} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    inputs = [["<s>", *tokens, "</s>"] for tokens in ("3", "31", "2204", "40421", "102432", "444444", "010203")]
    for tokens in inputs:
        if tuple(module.run(tokens)) != tuple(program(tokens)):
            raise RuntimeError(f"the file and the program differ on {tokens}")
    begin = time.process_time()
    for i in range(700):
        module.run(inputs[i % len(inputs)])
    return {"processor_seconds": (time.process_time() - begin) / 700, "lines": len(text.splitlines())}


OURS: dict[str, Callable[[str], dict[str, float]]] = {
    "hist": train, "sort": train, "dyck2": train, "evaluate": evaluate, "file": file,
}  # fmt: skip


# -- both sides -------------------------------------------------------------------------------------------------


def measured(command: list[str]) -> dict[str, float] | str:
    """What a process printed last, or why there is nothing."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **one}, cwd=HERE.parent)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return json.loads(done.stdout.splitlines()[-1])


def best(results: list[dict[str, float]]) -> dict[str, float] | None:
    """The repetition with the least processor time."""
    return min(results, key=lambda r: r["processor_seconds"], default=None)


def asked(name: str, case: Case, folder: str | None, repeats: int) -> dict[str, Any]:
    """One row: both sides in turn."""
    sides: dict[str, list[dict[str, float]]] = {"theirs": [], "ours": []}
    faults: dict[str, str] = {}
    theirs = [os.environ.get("LEARNT_TP_PYTHON", sys.executable), str(HERE / "_programs_authors.py")]
    ours = [sys.executable, "-m", "benchmarks.programs_reference", "--ours", name]
    for _ in range(repeats):
        for side, command in (("theirs", [*theirs, folder or "", *case.theirs]), ("ours", ours)):
            if (side == "theirs" and folder is None) or side in faults:
                continue
            found = measured(command)
            if isinstance(found, str):
                faults[side] = found
            else:
                sides[side].append(found)
    a, b = best(sides["theirs"]), best(sides["ours"])
    ratio = a["processor_seconds"] / b["processor_seconds"] if a and b else None
    row: dict[str, Any] = {"case": name, "question": case.question, "theirs": a, "ours": b, "ratio": ratio}
    row |= {"target": case.target, "met": None if ratio is None else ratio >= case.target, "faults": faults}
    if a and b and "evaluation" in a:
        row["ratio_of_training_alone"] = (a["processor_seconds"] - a["evaluation"]) / b["processor_seconds"]
    return row


def main() -> int:
    """Run all cases, print the table, write benchmarks/results/programs_reference.json; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="hist, evaluation and file once; nothing is written")
    parser.add_argument("--ours", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=list(CASES), help="one case; nothing is written")
    args = parser.parse_args()
    if args.ours:
        print(json.dumps(OURS[args.ours](args.ours)))
        return 0
    folder = os.environ.get("LEARNT_TP_REFERENCE")
    if folder is not None and not (Path(folder) / "src" / "run.py").exists():
        print(f"LEARNT_TP_REFERENCE: {folder} has no src/run.py", file=sys.stderr)
        return 2
    rows = []
    for name, case in CASES.items():
        if (args.only and name != args.only) or (args.quick and name in ("sort", "dyck2")):
            continue
        rows.append(asked(name, case, folder, 1 if args.quick else case.repeats))
    show(rows, folder is not None)
    if not args.quick and not args.only:
        out = HERE / "results" / "programs_reference.json"
        out.parent.mkdir(exist_ok=True)
        record = {"machine": platform.machine(), "python": platform.python_version(), "seeds": SEEDS, "epochs": EPOCHS}
        record |= {"reference_run": folder is not None, "rows": rows}
        out.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    return int(any(row["met"] is False or "ours" in row["faults"] for row in rows))


def show(rows: list[dict[str, Any]], here: bool) -> None:
    """The table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Programs beside the authors' code, one thread, processor time")
    for column in ("question", "theirs ms", "of it evaluation", "ours ms", "ratio", "training alone", "target", "met"):
        table.add_column(column, justify="left" if column == "question" else "right")
    for row in rows:
        cells = []
        for side in ("theirs", "ours"):
            found = row[side]
            cells.append("" if found is None else f"{1e3 * found['processor_seconds']:.3g}")
            if side == "theirs":
                share = "" if found is None or "evaluation" not in found else f"{1e3 * found['evaluation']:.3g}"
                cells.append(share)
        cells += ["" if row[k] is None else f"{row[k]:.3g}" for k in ("ratio",)]
        alone = row.get("ratio_of_training_alone")
        cells += ["" if alone is None else f"{alone:.3g}", f">= {row['target']:g}"]
        table.add_row(row["question"], *cells, {True: "yes", False: "NO", None: ""}[row["met"]])
    Console(width=140).print(table)
    for row in rows:
        for side, fault in row["faults"].items():
            print(f"{row['case']}, {side}: {fault}")
    if not here:
        print("The authors' side was skipped: set LEARNT_TP_REFERENCE to a checkout of their code (and")
        print("LEARNT_TP_PYTHON to an interpreter that has what it imports).")


if __name__ == "__main__":
    sys.exit(main())
