"""Shapes in annotations are claims, and every run of the tests checks them: that the check is on, whole and harmless."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
from jaxtyping import Float, TypeCheckError, jaxtyped
from tests.shapes import CHECKED, check, has_shape
from torch import Tensor

from learnt.core.errors import ShapeError
from learnt.rewards.mdp import TabularMDP

SOURCE = Path(__file__).parents[1] / "src"


def modules() -> Iterator[str]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        if any(name == room or name.startswith(room + ".") for room in CHECKED):
            yield name


def shaped(module: str) -> list[tuple[Callable, dict[str, Any]]]:
    """The functions of a module with shapes in their annotations, and what the annotations mean."""
    found = []
    for thing in vars(importlib.import_module(module)).values():
        if inspect.isfunction(thing) and thing.__module__ == module:
            bare = inspect.unwrap(thing)
            if any("'" in hint for hint in bare.__annotations__.values()):  # without quotes there is no shape
                hints = get_type_hints(bare, include_extras=True)  # raises on a name that exists for pyright only
                if any(has_shape(hint) for hint in hints.values()):
                    found.append((thing, hints))
    return found


MODULES = list(modules())


def unhooked(module: str):
    """The same source, loaded once more beside the checked module, as a user loads it."""
    spec = importlib.util.spec_from_file_location("unhooked", SOURCE / (module.replace(".", "/") + ".py"))
    loaded = importlib.util.module_from_spec(spec)
    sys.modules["unhooked"] = loaded
    try:
        spec.loader.exec_module(loaded)
    finally:
        del sys.modules["unhooked"]
    return loaded


# Wrong shapes that would broadcast to a number: only a check of shapes can see them.
WORLD = TabularMDP(np.full((3, 2, 3), 1 / 3), np.full(3, 1 / 3), 0.9)
ROWS, ROW = torch.zeros(4, 3), torch.zeros(3)
BROADCAST = {
    "kl": ("learnt.agreement.divergence", "kl_divergence", (ROWS, ROW)),
    "shaping": ("learnt.rewards.shaping", "potential_shaping", (np.ones((1, 1, 3)), np.zeros(3), WORLD)),
    "agreement": ("learnt.agreement.top1", "agreement", (np.zeros((2, 4), int), np.zeros(4, int))),
}


@pytest.mark.parametrize(("module", "name", "wrong"), BROADCAST.values(), ids=BROADCAST)
def test_a_wrong_shape_raises_here_and_not_where_the_hook_is_off(module, name, wrong):
    with pytest.raises(TypeCheckError, match=name):
        getattr(importlib.import_module(module), name)(*wrong)
    getattr(unhooked(module), name)(*wrong)


def test_our_own_error_comes_before_the_check():
    from learnt.distill.kd import kd_loss

    with pytest.raises(ShapeError):
        kd_loss(torch.zeros(4, 3), torch.zeros(4, 2))


def test_results_are_checked_and_types_that_are_no_shapes_are_not():
    @jaxtyped(typechecker=check)
    def wrong(x: Float[Tensor, "n p"], form: int = 0) -> Float[Tensor, "n"]:  # noqa: F722, F821, UP037
        return x.sum(0)

    wrong(torch.zeros(3, 3), form="text")
    with pytest.raises(TypeCheckError, match="return value"):
        wrong(torch.zeros(3, 4))


@pytest.mark.parametrize("module", MODULES)
def test_every_shape_is_checked_and_can_be_looked_up(module):
    found = shaped(module)
    for function, hints in found:
        assert "jaxtyping" in function.__code__.co_filename
        assert hints.get("return", Any) is not Any  # or the look after the call would not happen
    assert found or "from jaxtyping import" not in Path(importlib.import_module(module).__file__).read_text()


def test_every_room_has_checked_shapes():
    assert [room for room in CHECKED if not any(shaped(m) for m in MODULES if f"{m}.".startswith(f"{room}."))] == []


USER = """
import sys
from learnt.rewards.val import val
print("beartype" in sys.modules, hasattr(val, "__wrapped__"))
"""


def test_users_are_not_checked():
    result = subprocess.run([sys.executable, "-c", USER], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]
