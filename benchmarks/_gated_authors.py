"""Runs the authors' own code for `benchmarks.gated`, in an interpreter that need not have `learnt`.

    python benchmarks/_gated_authors.py FOLDER step 100 10 128     M, K and the batch: processor seconds of a step
    python benchmarks/_gated_authors.py FOLDER notebook            processor seconds of the 500 epochs of one seed
    python benchmarks/_gated_authors.py FOLDER tasks 100           processor seconds of making M tasks
    python benchmarks/_gated_authors.py FOLDER memory 100          megabytes by which they raise the peak of the process

FOLDER is a checkout of facebookresearch/gated-dln; nothing in it is changed. `step`: their `Model` (one encoder layer,
one hidden layer of 128, one decoder layer, linear) learns random 28 x 28 images of ten classes by SGD with momentum
0.9. `notebook`: the first four cells of their notebook on the solution, for one seed instead of ten, without the time
of its singular values and its plot. What is imported must be there: torch, ml-moe 0.3, oc-extras, hydra-core,
omegaconf, attrs, functorch, and matplotlib for the notebook. `torchvision` and `xplogger`, of which nothing is used
here, may be absent: empty modules stand for them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import platform
import sys
import time
import types
from pathlib import Path
from typing import Any


def stand_in(names: dict[str, tuple[str, ...]]) -> None:
    """Empty modules for imports that a step never uses."""
    tops = {name.split(".")[0] for name in names}
    absent = {top for top in tops if importlib.util.find_spec(top) is None}
    for name, attributes in names.items():
        if name.split(".")[0] not in absent:
            continue
        module = types.ModuleType(name)
        module.__path__ = []  # type: ignore[attr-defined]
        for attribute in attributes:
            setattr(module, attribute, type(attribute, (), {}))
        sys.modules[name] = module


def step(m: int, k: int, batch: int) -> float:
    """Processor seconds of one step of their model."""
    import torch
    from omegaconf import OmegaConf

    with contextlib.redirect_stdout(io.StringIO()):
        from src.model.k_path import Model  # pyright: ignore[reportMissingImports]

        tasks = made_tasks(m)
        relu = {"_target_": "torch.nn.ReLU"}
        again = {"should_use": False, "num_blocks": 1, "should_reuse_weights": False, "should_use_non_linearity": False}
        model = Model(
            name="k_path",
            tasks=tasks,
            num_layers=1,
            encoder_cfg={"should_share": False},
            hidden_layer_cfg={
                "should_use_non_linearity": False, "non_linearity_cfg": relu, "should_share": True, "num_layers": 1,
                "dim": 128, "recurrence_cfg": {**again, "non_linearity_cfg": relu},
            },
            decoder_cfg={"should_share": False},
            should_use_non_linearity=False,
            non_linearity_cfg=OmegaConf.create(relu),
            weight_init={"should_do": True, "gain": 1.0, "bias": 0.0, "name": "xavier_uniform_"},
            gate_cfg=OmegaConf.create({"mode": f"{k}_plus_minus_mod", "num_classes_in_selected_dataset": 10}),
            pretrained_cfg=OmegaConf.create({
                "_target_": "src.model.utils.get_pretrained_model", "_recursive_": False, "should_use": False,
                "model_cfg": None, "should_load_weights": False, "path_to_load_weights": "", "should_finetune": False,
                "should_enable_jit": False,
            }),
            should_use_preprocessed_dataset=False,
        )  # fmt: skip
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    x, y = torch.rand(batch, 1, 28, 28), torch.randint(0, 10, (batch,))
    seen = []
    for _ in range(12 if m * batch > 2000 else 40):
        begin = time.process_time()
        _, loss, _ = model(x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(time.process_time() - begin)
    return min(seen[2:])


def made_tasks(m: int) -> Any:
    """Their M x M tasks on MNIST, without its images."""
    from src.task.k_path.mnist.builder import get_tasks  # pyright: ignore[reportMissingImports]

    return get_tasks("mnist", "permute_input_permute_target", 10, 10, m, m, "cpu")


def tasks(m: int) -> float:
    """Processor seconds of making the tasks."""
    begin = time.process_time()
    made_tasks(m)
    return time.process_time() - begin


def memory(m: int) -> float:
    """Megabytes by which the peak of the process rises."""
    import resource

    from src.task.k_path.mnist import builder  # noqa: F401  # pyright: ignore[reportMissingImports]

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made_tasks(m)
    rise = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return rise / (1e6 if platform.system() == "Darwin" else 1e6 / 1024)


def notebook(folder: str) -> float:
    """Processor seconds of the 500 epochs."""
    import matplotlib
    import numpy as np

    matplotlib.use("Agg")
    path = Path(folder) / "notebooks" / "Gated_DLN_solution_verification_figure.ipynb"
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"][:4]]
    cells = ["\n".join(line for line in cell.splitlines() if not line.startswith("%")) for cell in cells]
    if "Nreps = 10" not in cells[3]:
        raise SystemExit("the notebook is not the one that this was written for")
    apart, original = [0.0], np.linalg.svd

    def aside(work: Any) -> Any:
        def timed(*args: Any, **options: Any) -> Any:
            begin = time.process_time()
            try:
                return work(*args, **options)
            finally:
                apart[0] += time.process_time() - begin

        return timed

    names: dict[str, Any] = {}
    for cell in cells[:3]:
        exec(cell, names)  # noqa: S102  (the notebook that the caller named)
    names["plt"].plot = aside(names["plt"].plot)
    np.linalg.svd = aside(original)
    begin = time.process_time()
    exec(cells[3].replace("Nreps = 10", "Nreps = 1"), names)  # noqa: S102
    return time.process_time() - begin - apart[0]


def main() -> None:
    """Prints the number."""
    folder, what, *numbers = sys.argv[1:]
    sys.path.insert(0, folder)
    stand_in(
        {
            "xplogger": (),
            "xplogger.logbook": ("LogBook",),
            "torchvision": (),
            "torchvision.transforms": ("functional",),
        }
    )
    import torch

    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        if what == "notebook":
            found = notebook(folder)
        else:
            found = {"step": step, "tasks": tasks, "memory": memory}[what](*(int(n) for n in numbers))
    print(found)


if __name__ == "__main__":
    main()
