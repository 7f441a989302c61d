"""Runs the authors' own program for `benchmarks.programs_reference`, in an interpreter that need not have `learnt`.

    python benchmarks/_programs_authors.py FOLDER train hist 2      processor seconds of `run_training`, by epoch
    python benchmarks/_programs_authors.py FOLDER evaluate 19530    their torch model in argmax mode
    python benchmarks/_programs_authors.py FOLDER file sort 20      their shipped program file, seconds an input

FOLDER is a checkout of princeton-nlp/TransformerPrograms; nothing in it is changed. `datasets`, `gensim`, `nltk` and
`seqeval`, which it imports for language tasks only, may be absent: empty modules stand for them. What else it imports
(torch, pandas, scikit-learn, einops, black, tqdm) must be there. Prints one line of JSON.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import sys
import time
import types
from pathlib import Path
from types import SimpleNamespace

WORKLOADS = {
    "hist": {"max_length": 8, "n_ctx": 8, "layers": 1, "cat": 2, "num": 2, "cat_mlps": 1, "num_mlps": 1},
    "sort": {"max_length": 8, "n_ctx": 8, "layers": 3, "cat": 4, "num": 4, "cat_mlps": 2, "num_mlps": 2},
    "dyck2": {"max_length": 16, "n_ctx": 16, "layers": 3, "cat": 2, "num": 2, "cat_mlps": 2, "num_mlps": 2},
}
ABSENT = {
    "datasets": (),
    "gensim": (),
    "gensim.downloader": (),
    "nltk": (),
    "nltk.tokenize": ("word_tokenize",),
    "seqeval": (),
    "seqeval.metrics": ("precision_score", "recall_score", "f1_score"),
    "seqeval.scheme": ("IOB2",),
}


def stand_in() -> None:
    """Empty modules for the imports that the synthetic tasks never use."""
    for name, attributes in ABSENT.items():
        if "." not in name and importlib.util.find_spec(name) is not None:
            continue
        parent = name.split(".")[0]
        if "." in name and parent not in sys.modules:
            continue
        module = types.ModuleType(name)
        module.__path__ = []  # type: ignore[attr-defined]
        for attribute in attributes:
            setattr(module, attribute, None)
        sys.modules[name] = module


def arguments(workload: dict[str, int], epochs: int) -> SimpleNamespace:
    """The arguments of the authors' scripts for synthetic tasks, on the processor."""
    return SimpleNamespace(
        d_var=workload["n_ctx"], glove_embeddings="", do_glove=0, unembed_mask=1, seed=0, n_vars_cat=1, n_vars_num=1,
        n_heads_cat=workload["cat"], n_heads_num=workload["num"], d_mlp=64, n_cat_mlps=workload["cat_mlps"],
        n_num_mlps=workload["num_mlps"], mlp_vars_in=2, n_layers=workload["layers"], sample_fn="gumbel_soft",
        attention_type="cat", rel_pos_bias="fixed", pool_outputs=0, one_hot_embed=True, count_only=True,
        selector_width=0, device="cpu", lr=5e-2, n_epochs=epochs, tau_schedule="geomspace", tau_init=3.0, tau_end=0.01,
        batch_size=512, gumbel_samples=1, autoregressive=False, loss_agg="per_token", max_grad_norm=None, save=False,
        save_code=False,
    )  # fmt: skip


def train(name: str, epochs: int) -> dict[str, float]:
    """Processor seconds an epoch of their `run_training`, and of them in `run_test`, which it calls each epoch."""
    from src import run
    from src.utils import data_utils

    workload = WORKLOADS[name]
    dyck = name == "dyck2"
    parts = data_utils.get_dataset(
        name=name, vocab_size=2 if dyck else 8, dataset_size=20_000, min_length=16 if dyck else 1,
        max_length=workload["max_length"], seed=0, do_lower=0, replace_numbers=0, get_val=True, unique=1,
    )  # fmt: skip
    names = ("train", "test", "val", "idx_w", "w_idx", "idx_t", "t_idx")
    names += ("X_train", "Y_train", "X_test", "Y_test", "X_val", "Y_val")
    args = arguments(workload, epochs)
    args.autoregressive = dyck
    spent = {"all": 0.0, "test": 0.0, "inside": 0.0}
    plain_training, plain_test = run.run_training, run.run_test

    def timed_test(*a, **k):
        begin = time.process_time()
        try:
            return plain_test(*a, **k)
        finally:
            spent["test"] += time.process_time() - begin

    def timed_training(*a, **k):
        begin = time.process_time()
        try:
            return plain_training(*a, **k)
        finally:
            spent["all"] += time.process_time() - begin
            spent["inside"] = spent["test"]

    run.run_test, run.run_training = timed_test, timed_training
    given = dict(zip(names, parts, strict=True))
    del given["val"]  # as their `run` does
    run.run_program(args, **given)
    return {
        "processor_seconds": spent["all"] / epochs,
        "evaluation": spent["inside"] / epochs,
        "rows": len(given["X_train"]),
    }


def evaluate(count: int, repeats: int = 3) -> dict[str, float]:
    """Processor seconds of their model with 36 modules, argmax mode, batches of 1,024, on `count` inputs of sort."""
    import numpy as np
    import torch
    from src.models.programs import TransformerProgramModel, argmax

    workload = WORKLOADS["sort"]
    torch.manual_seed(0)
    model = TransformerProgramModel(
        d_vocab=8, d_vocab_out=7, n_vars_cat=1, n_vars_num=1, d_var=8, n_heads_cat=workload["cat"],
        n_heads_num=workload["num"], d_mlp=64, n_cat_mlps=workload["cat_mlps"], n_num_mlps=workload["num_mlps"],
        mlp_vars_in=2, n_layers=workload["layers"], n_ctx=8, sample_fn=argmax, attention_type="cat",
        rel_pos_bias="fixed", unembed_mask=np.array([True, False, False, False, False, False, True]),
        one_hot_embed=True, count_only=True, selector_width=0,
    )  # fmt: skip
    model.set_temp(0.01, argmax)
    model.eval()
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 9, count)
    ids = np.where(np.arange(8) < lengths[:, None], rng.integers(1, 8, (count, 8)), 0)
    best = float("inf")
    with torch.no_grad():
        for _ in range(repeats):
            begin = time.process_time()
            for start in range(0, count, 1024):
                x = torch.from_numpy(ids[start : start + 1024])
                m = (x != 0).float()
                model(x, mask=(m.unsqueeze(-1) @ m.unsqueeze(-2)).bool()).argmax(-1)
            best = min(best, time.process_time() - begin)
    return {"processor_seconds": best}


def file(task: str, count: int) -> dict[str, float]:
    """Seconds an input of `run` in the program file that they ship for a task."""
    path = Path("programs") / "rasp" / task / f"{task}.py"
    spec = importlib.util.spec_from_file_location("shipped", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is not there")
    module = importlib.util.module_from_spec(spec)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints examples when imported
        spec.loader.exec_module(module)
    inputs = [["<s>", *tokens, "</s>"] for tokens in ("3", "31", "2204", "40421", "102432", "444444", "010203")]
    module.run(inputs[0])
    begin = time.process_time()
    for i in range(count):
        module.run(inputs[i % len(inputs)])
    return {"processor_seconds": (time.process_time() - begin) / count, "lines": len(path.read_text().splitlines())}


def main() -> None:
    """Do what the command line says; print one line of JSON."""
    folder, what, *rest = sys.argv[1:]
    os.chdir(folder)
    sys.path.insert(0, folder)
    stand_in()
    if "torch" in sys.modules or what != "file":
        import torch

        torch.set_num_threads(1)
    done = {"train": train, "evaluate": evaluate, "file": file}[what](
        *[int(word) if word.isdigit() else word for word in rest]
    )
    print(json.dumps(done))


if __name__ == "__main__":
    main()
