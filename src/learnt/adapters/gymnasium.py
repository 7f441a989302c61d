"""Transitions from a Gymnasium environment: walk through it under a fixed policy, with K successors of every point.

One successor is what a step gives. More need a simulator that can be put back: MuJoCo's whole physics state, the plain
attributes of every layer (classic control, toy text), or a deep copy. Which of these repeats a step is tried out, the
walk's own step is foretold at several places, and where that fails the environment is refused. Each further successor
draws its own chance.

`terminated` means that nothing is earned any more; where an episode is only cut off (`truncated`, or `reset_every`)
the last observation is a successor like any other, and its value counts. Rewards of the environment are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from learnt.core.errors import InputError, MissingExtra, NotApplicable, ShapeError, require_extra
from learnt.data.transitions import Transitions
from learnt.run.seeds import derive, numpy_generator

Policy = Callable[[np.ndarray, np.random.Generator], Any]
PROBES = 8  # steps, spread over the walk, that are repeated to see whether there is chance in the dynamics


def collect(
    env: Any,
    *,
    steps: int,
    policy: Policy | None = None,
    successors: int = 1,
    seed: int = 0,
    reset_every: int | None = None,
    stochastic: bool | None = None,
) -> Transitions:
    """Transitions of a walk under a fixed policy.

    Args:
        env: the id of an environment, or an environment, whose state the walk changes and which stays open.
        steps: N, the number of points.
        policy: function of (observation, numpy generator) that gives an action; uniform over actions if None.
        successors: K, how many successors of each point are drawn; the walk follows the first.
        seed: of the environment, the policy and the further successors.
        reset_every: longest episode; the environment's own limit also holds if an environment is given, and is
            replaced if an id is given.
        stochastic: whether the dynamics are; None finds out where the simulator can be put back, by repeating a few
            steps with other chance (True if they differ, None if not: that proves nothing).

    Returns:
        N points with K successors and the number of the episode that each belongs to.

    Raises:
        MissingExtra: Gymnasium, or what the environment needs, is not installed. NotApplicable: a space that is no
        array, or K > 1 where the state cannot be put back. InputError, ShapeError: settings or actions without meaning.
    """
    for name, number in (("steps", steps), ("successors", successors), ("reset_every", reset_every)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise InputError(name, found=repr(number), expected="a positive integer")
    with _opened(env, reset_every) as walker:
        return _walk(walker, steps, policy, successors, seed, reset_every, stochastic)


@contextmanager
def _opened(env: Any, reset_every: int | None) -> Iterator[Any]:
    try:
        import gymnasium
    except ImportError as error:
        raise require_extra("gymnasium", "rl") from error
    if not isinstance(env, str):
        if hasattr(env, "num_envs") or not isinstance(env, gymnasium.Env):
            raise InputError(
                "env", found=type(env).__name__, expected="an id, or a gymnasium.Env (not a vector of environments)"
            )
        yield env
        return
    options: dict[str, Any] = {} if reset_every is None else {"max_episode_steps": reset_every}
    try:
        made = gymnasium.make(env, disable_env_checker=True, **options)
    except gymnasium.error.DependencyNotInstalled as error:
        raise MissingExtra(
            "env", found=f"{env!r} without a package it needs ({error})", expected="that package",
            remedy="For MuJoCo: pip install 'gymnasium[mujoco]'",
        ) from error  # fmt: skip
    except gymnasium.error.Error as error:
        raise InputError("env", found=f"{env!r} ({error})", expected="the id of an installed environment") from error
    try:
        yield made
    finally:
        made.close()


def _walk(
    env: Any,
    steps: int,
    policy: Policy | None,
    successors: int,
    seed: int,
    reset_every: int | None,
    stochastic: bool | None,
) -> Transitions:
    rng = numpy_generator(seed, "collect", "policy")
    act = _uniform(env.action_space) if policy is None else policy
    first = _array(env.reset(seed=derive(seed, "collect", "reset") % 2**31)[0], env.observation_space)
    dtype = np.int64 if first.dtype.kind in "iub" and first.dtype != np.uint8 else first.dtype
    obs, ahead = np.empty((steps, *first.shape), dtype), np.empty((steps, successors, *first.shape), dtype)
    ended, episode = np.zeros((steps, successors), dtype=bool), np.empty(steps, dtype=np.int64)
    actions: list[np.ndarray] = []
    again = _Again(env, seed) if successors > 1 or stochastic is None else None
    probed = set(np.linspace(0, steps - 1, PROBES).astype(int).tolist())
    now, age, number, chance = first, 0, 0, stochastic
    for i in range(steps):
        action = act(now, rng)
        obs[i], episode[i] = now, number
        actions.append(_action(action, env.action_space))
        extra, probe = successors - 1, i in probed
        found = again.draws(actions[-1], max(extra, int(probe))) if again and (extra or probe) else []
        told = again.rehearsal(actions[-1]) if again and probe and found is not None else None
        after, _, over, cut, _ = env.step(_given(actions[-1], env.action_space))
        now = _array(after, env.observation_space)
        if found is None or (told is not None and not np.array_equal(told, after)):
            if extra:
                raise NotApplicable(
                    "successors", found=f"{successors} with {env}, whose state cannot be put back",
                    expected="an environment that can repeat a step",
                    remedy="Take successors=1 and, if the dynamics are stochastic, read the distances with care.",
                )  # fmt: skip
            again, found, chance = None, [], stochastic
        ahead[i, 0], ended[i, 0] = now, over
        for k, (other, other_over) in enumerate(found):
            if k < extra:
                ahead[i, k + 1], ended[i, k + 1] = _array(other, env.observation_space), other_over
            if stochastic is None and (other_over != over or not np.array_equal(other, after)):
                chance = True
        age += 1
        if over or cut or age == reset_every:
            now, age, number = _array(env.reset()[0], env.observation_space), 0, number + 1
    return Transitions(obs, np.stack(actions), ahead, ended, episode=episode, stochastic=chance)


# -- spaces -----------------------------------------------------------------------------------------------


def _uniform(space: Any) -> Policy:
    """The policy that takes every action of a space with equal probability."""
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        return lambda _, rng: int(space.start + rng.integers(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return lambda _, rng: space.start + rng.integers(np.zeros_like(space.nvec), space.nvec)
    if isinstance(space, spaces.MultiBinary):
        return lambda _, rng: rng.integers(0, 2, space.shape)
    if isinstance(space, spaces.Box) and space.dtype is not None and space.dtype.kind == "f":
        if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
            raise InputError(
                "policy", found="none, for actions without bounds", expected="a policy",
                remedy="There is no uniform distribution over them. Pass policy=lambda obs, rng: ...",
            )  # fmt: skip
        low, high = space.low.astype(np.float64), space.high.astype(np.float64)
        return lambda _, rng: rng.uniform(low, high)
    raise NotApplicable(
        "env.action_space", found=str(space), expected="Discrete, MultiDiscrete, MultiBinary or Box of floats",
        remedy="Pass a policy if its actions are arrays of numbers.",
    )  # fmt: skip


def _action(action: Any, space: Any) -> np.ndarray:
    """The action as float64 or int64, checked against the space."""
    array = np.asarray(action.detach().cpu() if hasattr(action, "detach") else action)
    if array.dtype.kind not in "iubf":
        raise NotApplicable("policy", found=f"actions of type {array.dtype}", expected="numbers")
    array = array.astype(np.float64 if array.dtype.kind == "f" else np.int64)
    shape = space.shape if space.shape is not None else array.shape
    if array.shape != shape:
        raise ShapeError("policy", found=f"an action of shape {array.shape}", expected=f"{shape}, as {space}")
    if not space.contains(_given(array, space)):
        raise InputError("policy", found=f"the action {array}", expected=f"one of {space}")
    return array


def _given(action: np.ndarray, space: Any) -> Any:
    """What the environment's step takes."""
    if space.shape == () and action.dtype.kind == "i":
        return int(action)
    return action.astype(space.dtype)


def _array(observation: Any, space: Any) -> np.ndarray:
    array = np.asarray(observation)
    if array.dtype.kind not in "iubf" or isinstance(observation, dict | tuple):
        raise NotApplicable(
            "env.observation_space", found=str(space), expected="observations that are arrays of numbers",
            remedy="Wrap it: gymnasium.wrappers.FlattenObservation(env).",
        )  # fmt: skip
    return array.astype(np.float64) if array.dtype.kind == "f" else array


# -- putting a simulator back ------------------------------------------------------------------------------


class _Again:
    """Repeats steps of an environment from its present state, with chance of its own, and puts everything back."""

    def __init__(self, env: Any, seed: int) -> None:
        self.env = env
        self.seed = seed
        self.drawn = 0
        self.way: Callable[[Any], Callable[[], Any]] | None = None
        self.tried = False

    def draws(self, action: np.ndarray, count: int) -> list[tuple[Any, bool]] | None:
        """`count` further successors (observation, terminated) of an action; None if the state cannot be put back."""
        given = _given(action, self.env.action_space)
        if not self.tried:
            self.way, self.tried = (
                next((way for way in (_attributes, _copies) if _repeats(way, self.env, given)), None),
                True,
            )
        if self.way is None:
            return None
        found, other = [], self.way(self.env)
        for _ in range(count):
            env = other()
            chance = env.unwrapped.np_random
            env.unwrapped.np_random = numpy_generator(self.seed, "collect", "successor", self.drawn)
            self.drawn += 1
            after, _, over, _, _ = env.step(given)
            found.append((np.array(after), bool(over)))
            env.unwrapped.np_random = chance
        other()
        return found

    def rehearsal(self, action: np.ndarray) -> np.ndarray:
        """The observation after an action with the chance that the environment itself will have."""
        back = self.way(self.env) if self.way is not None else lambda: self.env
        other = back()
        mine = other.unwrapped.np_random
        other.unwrapped.np_random = deepcopy(self.env.unwrapped.np_random)
        after, *_ = other.step(_given(action, self.env.action_space))
        kept = np.array(after)
        other.unwrapped.np_random = mine
        back()
        return kept


def _repeats(way: Callable[[Any], Callable[[], Any]], env: Any, given: Any) -> bool:
    """Whether the same step with the same chance twice gives the same; the environment is as before."""
    try:
        back = way(env)
        found = []
        for _ in range(2):
            other = back()
            mine, other.unwrapped.np_random = other.unwrapped.np_random, np.random.Generator(np.random.PCG64(0))
            for _ in range(2):  # the second step sees what the first left behind
                after, *_ = other.step(given)
                found.append(np.array(after))
            other.unwrapped.np_random = mine
        back()
    except Exception:  # foreign code; whatever it was, this way does not work
        return False
    return np.array_equal(found[0], found[2]) and np.array_equal(found[1], found[3])


def _layers(env: Any) -> list[Any]:
    layers = [env]
    while layers[-1] is not layers[-1].unwrapped and hasattr(layers[-1], "env"):
        layers.append(layers[-1].env)
    return layers


def _attributes(env: Any) -> Callable[[], Any]:
    """Puts back the attributes of every layer, and the physics state if the simulator is MuJoCo.

    Raises TypeError if there is anything whose state could escape: then the environment must not be stepped at all.
    """
    layers, kept = _layers(env), []
    for layer in layers:
        fixed, copied = {}, {}
        for name, value in vars(layer).items():
            if _is_inert(value, name, layer) or any(value is other for other in layers):
                fixed[name] = value
            elif _is_plain(value):
                copied[name] = deepcopy(value)
            else:
                raise TypeError(f"{type(layer).__name__}.{name} is a {type(value).__name__}")
        kept.append((layer, fixed, copied))
    physics = _mujoco(env.unwrapped)

    def back() -> Any:
        for layer, fixed, copied in kept:
            vars(layer).clear()
            vars(layer).update(fixed)
            vars(layer).update(deepcopy(copied))
        physics()
        return env

    return back


def _is_plain(value: Any, room: int = 1000) -> bool:
    """Numbers, text, arrays, and collections of at most `room` of them: cheap to copy whole."""
    if isinstance(value, list | tuple | set | frozenset):
        return len(value) <= room and all(_is_plain(v, room // max(1, len(value))) for v in value)
    if isinstance(value, dict):
        return len(value) <= room and all(_is_plain(v, room // max(1, len(value))) for v in value.values())
    return value is None or isinstance(value, bool | int | float | str | np.ndarray | np.generic)


def _is_inert(value: Any, name: str, layer: Any) -> bool:
    """What a step does not change: spaces, specifications, renderers, generators, functions, the table of toy text."""
    if isinstance(value, type | FunctionType | BuiltinFunctionType | MethodType | ModuleType):
        return True
    if name in ("P", "metadata") and type(layer).__module__.startswith("gymnasium."):
        return True
    return type(value).__module__.partition(".")[0] in ("gymnasium", "mujoco") or isinstance(value, np.random.Generator)


def _mujoco(env: Any) -> Callable[[], None]:
    model, data = getattr(env, "model", None), getattr(env, "data", None)
    if type(model).__name__ != "MjModel" or type(data).__name__ != "MjData":
        return lambda: None
    import mujoco

    engine: Any = mujoco  # its functions are built at run time
    spec = engine.mjtState.mjSTATE_INTEGRATION
    state = np.empty(engine.mj_stateSize(model, spec))
    engine.mj_getState(model, data, state, spec)

    def back() -> None:
        engine.mj_setState(model, data, state, spec)
        engine.mj_forward(model, data)

    return back


def _copies(env: Any) -> Callable[[], Any]:
    """A deep copy for each step; the environment itself is never touched."""
    return lambda: deepcopy(env)
