"""What does a reward say about behaviour, once everything that no policy can notice is taken away?

Two rewards order all policies alike iff they differ by potential shaping, S'-redistribution and positive scaling
(Skalse et al. 2024). A canonical form is linear, differs from R by the first two only, and is equal for two rewards
iff they differ by those two (Definition 1). Each form is an object in a file of its own, and says of itself whether
it is one (`is_starc`):

    val                learnt.rewards.val                 the advantage of a fixed policy                       yes
    minimal            learnt.rewards.minimal             smallest in transition-weighted L2                    yes
    minimal_l2         learnt.rewards.minimal             smallest in plain L2 over (s, a, s')                  yes
    epic               learnt.rewards.epic                keeps redistribution                                  no
    dard               learnt.rewards.dard                keeps redistribution, changes the order of policies   no
    val_potential      learnt.rewards.val                 keeps redistribution                                  no
    minimal_potential  learnt.rewards.minimal_potential   keeps redistribution                                  no
    none               here                               keeps everything                                      no

The first three depend on R through its mean over the next state only, and one factorisation of a process serves any
number of rewards. Potentials of terminal states are zero, and states that no policy reaches count for nothing.

Shapes: (..., S, A, 1) for forms that are constant in the next state, (..., S, A, S) for the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, ClassVar, Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Float, Real

from learnt.core.errors import InputError, ShapeError
from learnt.rewards._checks import finite
from learnt.rewards.dard import Dard
from learnt.rewards.epic import Epic
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.minimal import Minimal, MinimalL2
from learnt.rewards.minimal_potential import MinimalPotential
from learnt.rewards.val import Val, ValPotential


@runtime_checkable
class Canonicalisation(Protocol):
    """A map from rewards to rewards that takes something away that policies cannot notice."""

    name: ClassVar[str]
    """What reports call it."""
    is_starc: ClassVar[bool]
    """Whether it is a canonicalisation function of Definition 1."""

    def __call__(self, reward: np.ndarray, mdp: TabularMDP, /) -> np.ndarray:
        """(..., S, A, S or 1) -> (..., S, A, S or 1)."""
        ...


@final
@dataclass(frozen=True, kw_only=True)
class Unchanged:
    """The reward itself, for comparison."""

    name: ClassVar[str] = "none"
    is_starc: ClassVar[bool] = False

    def __call__(self, reward: np.ndarray, mdp: TabularMDP) -> np.ndarray:
        """(..., S, A, S or 1), as it is."""
        return reward


FORMS: tuple[Canonicalisation, ...] = (
    Val(), Minimal(), MinimalL2(), Epic(), Dard(), ValPotential(), MinimalPotential(), Unchanged(),
)  # fmt: skip
VALID = tuple(form.name for form in FORMS if form.is_starc)


def named(canonicalisation: str | Canonicalisation) -> Canonicalisation:
    """The form of that name with its default options, or the object itself.

    Raises:
        InputError: an unknown name, with the known ones.
    """
    if isinstance(canonicalisation, str):
        for form in FORMS:
            if form.name == canonicalisation:
                return form
        near = get_close_matches(canonicalisation, [f.name for f in FORMS], n=1)
        raise InputError(
            "canonicalisation",
            found=f"{canonicalisation!r}",
            expected=f"one of {', '.join(f.name for f in FORMS)}",
            remedy=f"Did you mean {near[0]!r}?" if near else "",
        )
    if not isinstance(canonicalisation, Canonicalisation):
        found = f"a {type(canonicalisation).__name__}"
        raise InputError("canonicalisation", found=found, expected="a name or an object such as Val(policy=...)")
    return canonicalisation


def canonical(
    reward: Real[np.ndarray, "*batch s a k"],
    mdp: TabularMDP,
    canonicalisation: str | Canonicalisation = "val",
    *,
    policy: Any = None,
    weight: Any = None,
) -> Float[np.ndarray, "*batch s a form"]:
    """Canonical form of rewards (..., S, A, S or 1): (..., S, A, 1) or (..., S, A, S), zero in unreachable states.

    Args:
        reward: R(s, a, s'); (..., S, A, 1) if it does not depend on the next state.
        mdp: the process.
        canonicalisation: a name, or an object with its options.
        policy, weight: options of the forms of that name: short for ``Val(policy=...)``, ``Minimal(weight=...)``.

    Raises:
        InputError: on an unknown canonicalisation, or a policy or weight that it has no use for.
    """
    form = with_options(canonicalisation, policy=policy, weight=weight)
    full = finite(reward, "reward")
    s, a = mdp.n_states, mdp.n_actions
    if full.ndim < 3 or full.shape[-3:-1] != (s, a) or full.shape[-1] not in (1, s):
        raise ShapeError("reward", found=f"shape {full.shape}", expected=f"[S, A, S] = {(s, a, s)} at the end")
    return np.where(mdp.reachable[:, None, None], form(full, mdp), 0.0)


def with_options(
    canonicalisation: str | Canonicalisation, *, policy: Any = None, weight: Any = None
) -> Canonicalisation:
    """The form of that name, or the object itself, with a policy or weight where given.

    Raises:
        InputError: an unknown name, or an option that the form has no use for.
    """
    form = named(canonicalisation)
    for what, given, kinds in (
        ("policy", policy, (Val, ValPotential)),
        ("weight", weight, (Minimal, MinimalPotential)),
    ):
        if given is None:
            continue
        users = " or ".join(repr(kind.name) for kind in kinds)
        if not isinstance(form, kinds):
            raise InputError(what, found=f"one for {form.name!r}", expected=f"it only with {users}")
        if not isinstance(canonicalisation, str):
            raise InputError(what, found="an object and an option", expected=f"the {what} inside the object")
        form = type(form)(**{what: given})
    return form
