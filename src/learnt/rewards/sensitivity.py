"""How much of a distance is a choice? The same two rewards under other policies, weights, discounts and dynamics.

A STARC distance depends on what its form levels with: VAL on the policy, the minimal form on the weight D(s, a). Any
choice gives 0 for the same order of policies, and any two are within constant factors of each other, but the
numbers of different choices must not be compared. Discount and dynamics are more than a choice: with them the order
of policies itself changes, and so do the distance and the worst-case regret. A reward chosen in a simulator should be
compared under the dynamics it will meet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from learnt.core.errors import InputError, ShapeError
from learnt.rewards.canonical import Canonicalisation
from learnt.rewards.mdp import TabularMDP
from learnt.rewards.minimal import Minimal
from learnt.rewards.norms import Norm
from learnt.rewards.regret import worst_case_regret
from learnt.rewards.starc import starc_distance
from learnt.rewards.val import Val


class Row(NamedTuple):
    """One setting: what was varied, its name, the distance, and W(A || B) where dynamics or discount changed."""

    varied: Literal["nothing", "policy", "weight", "discount", "dynamics"]
    name: str
    distance: float
    worst_case_regret: float | None


def sensitivity(
    r1: Any,
    r2: Any,
    mdp: TabularMDP,
    *,
    canonicalisation: str | Canonicalisation = "val",
    normalisation: Norm = "weighted_l2",
    policies: Mapping[str, Any] | None = None,
    weights: Mapping[str, Any] | None = None,
    discounts: Sequence[float] = (),
    processes: Sequence[TabularMDP] = (),
) -> tuple[Row, ...]:
    """Distances of two rewards under several settings, the given one first.

    Args:
        r1: the reward that is meant; r2: the one that would be optimised. Each as `starc_distance` takes it.
        mdp: where they are compared.
        canonicalisation, normalisation: of the first row, and of those that vary discount or dynamics.
        policies: fixed policies (S, A) or (S,) by name, for ``"val"``.
        weights: weights D (S, A) by name, for ``"minimal"``.
        discounts: other discounts for the same dynamics.
        processes: the same states and actions with other dynamics.

    Raises:
        InputError, ShapeError, NonFiniteError, NotApplicable: as `starc_distance`; processes of another size.
    """

    def row(varied: Any, name: str, world: TabularMDP, form: str | Canonicalisation, *, solved: bool) -> Row:
        d = starc_distance(r1, r2, world, canonicalisation=form, normalisation=normalisation)
        regret = worst_case_regret(r1, r2, world).normalised if solved else None
        return Row(varied, name, d, regret)

    size = (mdp.n_states, mdp.n_actions)
    for other in processes:
        if (other.n_states, other.n_actions) != size:
            found = f"{other.n_states} states and {other.n_actions} actions"
            raise ShapeError("processes", found=found, expected=f"{size[0]} and {size[1]}, as in {mdp.name}")
    if len({other.name for other in processes}) < len(processes):
        raise InputError("processes", found="two of one name", expected="different names")
    rows = [row("nothing", mdp.name, mdp, canonicalisation, solved=True)]
    rows += [row("policy", str(k), mdp, Val(policy=v), solved=False) for k, v in (policies or {}).items()]
    rows += [row("weight", str(k), mdp, Minimal(weight=v), solved=False) for k, v in (weights or {}).items()]
    for discount in discounts:
        rows.append(row("discount", f"{discount:g}", at_discount(mdp, discount), canonicalisation, solved=True))
    rows += [row("dynamics", other.name, other, canonicalisation, solved=True) for other in processes]
    return tuple(rows)


def at_discount(mdp: TabularMDP, discount: float) -> TabularMDP:
    """The same process with another discount."""
    return TabularMDP(
        mdp.kernel if mdp.is_sparse else mdp.transitions,
        mdp.initial,
        discount,
        mdp.name,
        mdp.terminal,
        mdp.states,
        mdp.actions,
        grid=mdp.grid,
    )
