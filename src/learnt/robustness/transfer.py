"""Does what fools one model also fool the other? The share of one model's adversarial images that also fool another.

Adversarial images x_adv are made on the source with the true labels. A model f is fooled by image i if it leaves its
own clean answer, argmax f(x_adv_i) != argmax f(x_i), whether or not that answer was right (arXiv 2205.16004, sec. 4.2):

    F = { i : source fooled by i }        rate = mean_{i in F} [ target fooled by i ]

so a model's rate on its own adversaries is 1. Details give the two stricter readings on the same F: the target's new
answer is wrong, and the target gives the same wrong answer as the source.

Where we differ. The paper's eps is not published; None finds the eps that fools the source on 85 +- 3 % of the images
and reports it (the nearest, if none up to half the range of the inputs does). If no image fools the source (as at
eps = 0) the rate does not exist: `Undefined`, not 0/0. The reverse direction (made on B, tried on A) is a question of
its own. In the direction a->b the images are made once and serve B and every control; the control takes the place of
the paper's independent network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Bool, Int

from learnt.core.errors import InputError
from learnt.core.examples import Examples
from learnt.core.measure import Evidence, Facts, Measure, Reference, Sums, Undefined, ratio
from learnt.core.panels import Chart
from learnt.core.subject import Subject
from learnt.robustness.attacks import Attack, adversaries, bounds, calibrate_eps, fooled

_SALT = 0xADF0


@dataclass(frozen=True, eq=False)
class Adversaries:
    """Adversarial images of one source: (k, ...) versions of its examples at `index`, and what it made of them."""

    attack: Attack
    index: np.ndarray
    inputs: torch.Tensor
    fooled: np.ndarray
    answers: np.ndarray


def fooling_rates(
    source_fooled: Bool[np.ndarray, "k"],
    source_answers: Int[np.ndarray, "k"],
    fooled: Bool[np.ndarray, "k"],
    answers: Int[np.ndarray, "k"],
    labels: Int[np.ndarray, "k"],
) -> dict[str, float]:
    """How a target answers the images that fool a source.

    Args:
        source_fooled, fooled: (k,) bool, whether source and target leave their own clean answers.
        source_answers, answers: (k,) their answers to the adversarial images.
        labels: (k,) true classes.

    Returns:
        among the images that fool the source: `changed` (target leaves its clean answer), `wrong` (its answer is not
        the true class), `same_wrong` (it leaves its clean answer for the same wrong class as the source); empty if no
        image fools the source.
    """
    if not source_fooled.any():
        return {}
    wrong = answers != labels
    same = fooled & wrong & (answers == source_answers)
    values = {"changed": fooled, "wrong": wrong, "same_wrong": same}
    return {name: float(value[source_fooled].mean()) for name, value in values.items()}


@final
@dataclass(frozen=True, kw_only=True)
class AdversarialTransfer(Measure[Subject, Examples]):
    """Share of the adversarial images that fool one model which fool the other as well.

    Args:
        direction: "a->b" makes the images on A and tries them on B, "b->a" the reverse.
        attack: "pgd" (iterated FGSM from the image itself, the paper's) or "fgsm".
        eps: radius in units of the inputs; None finds the one that fools the source on `target` of the images.
        stride: size of a step of the iterated attack, as a share of eps.
        steps: steps of the iterated attack.
        target: share of images that a calibrated eps fools the source on.
        restart: None starts at the image; an integer starts at random in the ball, drawn by key and this salt.
        max_examples: images attacked, chosen by key; None for all.
        calibration_examples: images used to find eps, the first of the attacked ones by key; None for all of them.
    """

    direction: Literal["a->b", "b->a"] = "a->b"
    attack: Literal["pgd", "fgsm"] = "pgd"
    eps: float | None = None
    stride: float = 0.25
    steps: int = 5
    target: float = 0.85
    restart: int | None = None
    max_examples: int | None = 256
    calibration_examples: int | None = 128

    facts: ClassVar[Facts] = Facts(
        name="adversarial_transfer",
        family="robustness",
        question="Does what fools A also fool B?",
        unit="share of images that fool the source",
        data=Examples,
        low=0.0,
        high=1.0,
        identical=1.0,
        closer="higher",
        symmetric=False,
        invariances=("example order", "batch size", "class permutation", "logit shift"),
        needs=("logits", "labels", "gradients"),
        references=(
            Reference(
                cite="Ojha et al., What knowledge gets distilled in knowledge distillation?, NeurIPS 2023",
                identifier="arXiv:2205.16004",
                where="section 4.2, eq. 4",
            ),
            Reference(
                cite="Kurakin et al., Adversarial examples in the physical world, 2017", identifier="arXiv:1607.02533"
            ),
            Reference(
                cite="Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018",
                identifier="arXiv:1706.06083",
            ),
        ),
        how="Images are changed by a sign-gradient attack on the source, by default with the radius that fools it "
        "on 85 % of them; among those that fool it, the share on which the other model leaves its own clean answer.",
        caveat="A model that is less robust is fooled by more of any images: compare with the control. The rate "
        "depends on the radius, which is reported.",
        cost="about 10 attacks to find eps, then one; an attack is `steps` forward and backward passes an image",
    )

    def __post_init__(self) -> None:
        if self.direction not in ("a->b", "b->a"):
            raise InputError("direction", found=repr(self.direction), expected="'a->b' or 'b->a'")
        if self.attack not in ("pgd", "fgsm"):
            raise InputError("attack", found=repr(self.attack), expected="'pgd' or 'fgsm'")
        if self.eps is not None and not self.eps >= 0:
            raise InputError("eps", found=str(self.eps), expected="a radius that is not negative, or None")

    @property
    def name(self) -> str:
        """`adversarial_transfer[direction, attack]`."""
        return f"{self.facts.name}[{self.direction}, {self.attack}]"

    @property
    def question(self) -> str:
        """The question in the asked direction."""
        source, other = ("A", "B") if self.direction == "a->b" else ("B", "A")
        what = "what" if self.attack == "pgd" else "a single step that"
        return f"Does {what} fools {source} also fool {other}?"

    def prepare(self, thing: Subject, data: Examples, *, rng: np.random.Generator) -> Subject:
        """The subject itself: its adversarial images are made when it is first needed as a source, and kept."""
        bounds(thing)
        _ = thing.labels
        return thing

    def compare(self, a: Subject, b: Subject, *, rng: np.random.Generator) -> Evidence:
        """Fooling rate of the target on the images that fool the source."""
        source, other = (a, b) if self.direction == "a->b" else (b, a)
        made = self._made_on(source)
        labels = source.labels[made.index].numpy()
        details: dict[str, Any] = {
            "eps": made.attack.eps,
            "alpha": made.attack.alpha,
            "source_changed": float(made.fooled.mean()),
            "source_wrong": float((made.answers != labels).mean()),
            "source_both": float((made.fooled & (made.answers != labels)).mean()),
        }
        if not made.fooled.any():
            return Undefined(reason=f"no image fools {source.name} at eps = {made.attack.eps:.3g}", details=details)
        changed, answers = fooled(other, made.index, made.inputs)
        details |= fooling_rates(made.fooled, made.answers, changed, answers, labels)
        columns, shown = np.zeros((len(source.data), 2)), np.full(len(source.data), np.nan)
        columns[made.index] = np.stack([made.fooled & changed, made.fooled], axis=1)
        counted = made.index[made.fooled]
        shown[counted] = columns[counted, 0]
        return Sums(columns=columns, combine=ratio, per_example=shown, details=details)

    def chart(self, details: Mapping[str, Mapping[str, Any]]) -> Chart | None:
        """Fooling rates of the source itself, of the target, and of the control in the target's place."""
        b, control = details.get("b", {}), details.get("control", {})
        if "changed" not in b:
            return None
        first, second, third = (
            ("A (all images)", "B", "control")
            if self.direction == "a->b"
            else ("B (all images)", "A, by images made on B", "A, by images made on the control")
        )
        rows = [
            (first, b["source_changed"], b["source_wrong"], b["source_both"]),
            (second, b["changed"], b["wrong"], b["same_wrong"]),
        ]
        if "changed" in control:
            rows.append((third, control["changed"], control["wrong"], control["same_wrong"]))
        table = np.asarray([[float(x) for x in row[1:]] for row in rows])
        return Chart(
            kind="bars",
            series={
                "answer changed": table[:, 0],
                "answer wrong": table[:, 1],
                "same wrong answer as the source": table[:, 2],
            },
            x=[row[0] for row in rows],
            y_label="share of images",
            low=0.0,
            high=1.0,
            alt=f"Fooling rates at eps {float(b['eps']):.3g}: "
            + ", ".join(f"{row[0]} {rate:.2f}" for row, rate in zip(rows, table[:, 0], strict=True)),
        )

    def _made_on(self, source: Subject) -> Adversaries:
        def compute() -> Adversaries:
            index = source.data.subset(self.max_examples, salt=_SALT)
            attack = Attack(
                method=self.attack, eps=self.eps or 0.0, stride=self.stride, steps=self.steps, restart=self.restart
            )
            if self.eps is None:
                few = source.data.subset(_smaller(self.calibration_examples, self.max_examples), salt=_SALT)
                eps, _ = calibrate_eps(source, few, attack, target=self.target)
                attack = replace(attack, eps=eps)
            inputs = adversaries(source, index, attack)
            changed, answers = fooled(source, index, inputs)
            return Adversaries(attack, index, inputs, changed, answers)

        key = ("adversaries", self.attack, self.eps, self.stride, self.steps, self.target, self.restart,
               self.max_examples, self.calibration_examples)  # fmt: skip
        return source.cached(key, compute)


def _smaller(first: int | None, second: int | None) -> int | None:
    given = [k for k in (first, second) if k is not None]
    return min(given) if given else None
