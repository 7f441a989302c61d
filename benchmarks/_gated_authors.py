"""Runs the authors' own routing step for `benchmarks.gated`, in an interpreter that need not have `learnt`.

    python benchmarks/_gated_authors.py FOLDER 100 10 128      M, K and the batch; prints processor seconds of a step

FOLDER is a checkout of facebookresearch/gated-dln; nothing in it is changed. Their `Model` (one encoder layer, one
hidden layer of 128, one decoder layer, linear) learns random 28 x 28 images of ten classes by SGD with momentum 0.9.
What it imports must be there: torch, ml-moe 0.3, oc-extras, hydra-core, omegaconf, attrs, functorch. `torchvision` and
`xplogger`, of which the step uses nothing, may be absent: empty modules stand for them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
import time
import types


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


def main() -> None:
    """Prints the seconds."""
    folder, m, k, batch = sys.argv[1], *(int(a) for a in sys.argv[2:5])
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
    from omegaconf import OmegaConf

    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        from src.model.k_path import Model  # pyright: ignore[reportMissingImports]
        from src.task.k_path.mnist.builder import get_tasks  # pyright: ignore[reportMissingImports]

        tasks = get_tasks("mnist", "permute_input_permute_target", 10, 10, m, m, "cpu")
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
    print(min(seen[2:]))


if __name__ == "__main__":
    main()
