"""What the words on the command line mean: decision processes, rewards and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learnt.rewards.mdp import TabularMDP

SHORT = {"1": "l1", "2": "l2", "inf": "linf", "w1": "weighted_l1", "w2": "weighted_l2", "winf": "weighted_linf",
         "range": "return_range"}  # fmt: skip


def world_of(spec: str, discount: float | None) -> tuple[TabularMDP, dict[str, Any]]:
    """The process that WORLD names, and its rewards by name."""
    from learnt.core.errors import InputError
    from learnt.rewards.files import load_mdp

    if spec.startswith("gym:"):
        if discount is None:
            raise InputError("--discount", found="none", expected="a number above 0 and below 1 for gym:ID")
        return _table(spec.removeprefix("gym:"), discount)
    if discount is not None:
        raise InputError("--discount", found=f"{discount} for a file", expected="none: the file has its own")
    if not spec.endswith(".npz"):
        raise InputError("world", found=repr(spec), expected="a file .npz or gym:ID")
    return load_mdp(Path(spec))


def reward_of(spec: str, mdp: TabularMDP, inside: dict[str, Any], world: str) -> Any:
    """The reward that a word names: in the world, in a file, or made by a function."""
    from difflib import get_close_matches

    from learnt.core.errors import InputError
    from learnt.io.arrays import read_npy, read_npz

    if spec in inside:
        return inside[spec]
    file, _, name = spec.rpartition(":")
    archive, _, key = spec.rpartition("#")
    if spec.endswith(".npy"):
        return read_npy(Path(spec))
    if archive.endswith(".npz"):
        arrays = read_npz(Path(archive))
        if key not in arrays:
            raise InputError(spec, found=f"arrays {', '.join(sorted(arrays))}", expected=f"one named {key!r}")
        return arrays[key]
    if file.endswith(".py") and name:
        from learnt.adapters.python_file import make

        return make(Path(file), name)
    near = get_close_matches(spec, inside, n=3, cutoff=0.3) or list(inside)[:5]
    raise InputError(
        "reward", found=repr(spec), expected=f"a reward in {world}, a file .npy, FILE.npz#NAME or FILE.py:factory",
        remedy=f"Rewards there: {', '.join(near)}." if near else "",
    )  # fmt: skip


def metric_of(text: str, policy: Path | None) -> tuple[Any, Any, Any]:
    """Canonical form, normalisation and metric (or None) of CANONICALISATION-NORMALISATION-METRIC."""
    from learnt.core.errors import InputError
    from learnt.io.arrays import read_npy
    from learnt.rewards.canonical import with_options
    from learnt.rewards.norms import NORMS

    parts = text.split("-")
    if not 1 <= len(parts) <= 3:
        raise InputError("--metric", found=repr(text), expected="CANONICALISATION-NORMALISATION-METRIC, as val-l2-l2")
    norms = [SHORT.get(p, p) for p in parts[1:]] or ["weighted_l2"]
    for given, norm in zip(parts[1:], norms):
        if norm not in (*NORMS, "none" if given is parts[1] else "angle"):
            raise InputError("--metric", found=repr(given), expected=f"one of {', '.join((*NORMS, *SHORT))}")
    form = with_options(parts[0], policy=None if policy is None else read_npy(policy))
    return form, norms[0], norms[1] if len(norms) > 1 else None


def distinct_names(specs: tuple[str, ...]) -> list[str]:
    """Short names of rewards, numbered where two are alike."""
    short = [Path(spec.rpartition("#")[2]).name.removesuffix(".npy") for spec in specs]
    return [s if short.count(s) == 1 else f"{s} ({i})" for i, s in enumerate(short, start=1)]


def _table(identifier: str, discount: float) -> tuple[TabularMDP, dict[str, Any]]:
    """A toy-text environment of Gymnasium as a process, and its own reward under the name ``env``."""
    from learnt.core.errors import InputError, require_extra
    from learnt.io.reading import printable
    from learnt.rewards.mdp import TabularMDP
    from learnt.rewards.toy_text import reward_from_toy_text

    try:
        import gymnasium
    except ImportError as error:
        raise require_extra("gymnasium", "rl") from error
    try:
        env = gymnasium.make(identifier)
    except gymnasium.error.Error as error:
        reason = printable(str(error).strip().splitlines()[0], 200)
        raise InputError("gym", found=f"{printable(identifier)!r} ({reason})", expected="an environment") from None
    try:
        mdp = TabularMDP.from_toy_text(env, discount=discount)
        return mdp, {"env": reward_from_toy_text(env, mdp)}
    finally:
        env.close()
