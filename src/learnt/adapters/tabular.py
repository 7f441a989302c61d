"""`gym:ID`: a tabular environment of Gymnasium as a decision process, with its own reward."""

from __future__ import annotations

from typing import Any

from learnt.core.errors import InputError, require_extra
from learnt.io.reading import printable
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.toy_text import reward_from_toy_text


def tabular(identifier: str, *, discount: float) -> tuple[TabularMDP, dict[str, Any]]:
    """The process of a toy-text environment, and its own reward under the name ``env``.

    Args:
        identifier: such as FrozenLake-v1, CliffWalking-v1, Taxi-v3.
        discount: gamma; Gymnasium has none.

    Raises:
        MissingExtra: Gymnasium is not installed. InputError: no environment of that name, or one without a table.
    """
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
