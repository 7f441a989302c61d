"""Does a reward model give a response the same score whatever shares its batch? A scorer that checks this first.

`TextScorer` turns a sequence-classification model with one output, and its tokenizer, into a function from prompts and
responses to scores. Before it scores, it takes a few of the pairs, short and long ones, and compares the score of each
by itself, without padding, with its scores in padded batches: on the left and on the right, in two batch sizes. If one
moves by more than the tolerance, it refuses: such scores depend on what else is in the batch.

Three things make scores move: positions that are counted from the padding (absolute positions under padding on the
left), a head that reads the last position rather than the last token, and a padding token of the tokenizer that the
model's configuration does not know. A model or tokenizer without a padding token is used one pair at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from learnt.core.errors import InputError, NonFiniteError, ShapeError, StorageError, require_extra
from learnt.io.reading import printable

Padding = Literal["checked", "left", "right", "none"]
Template = Literal["auto", "pair", "chat"] | Callable[[str, str], str]
SIDES = ("left", "right")
SAMPLE = 8  # pairs that the check looks at
UNBOUNDED = 1_000_000  # tokenizers without a limit name a huge one


@dataclass(frozen=True, kw_only=True)
class PaddingCheck:
    """How far scores move when pairs share a batch.

    Attributes:
        moved: by (side of the padding, batch size), the largest change against a pair by itself.
        tolerance: the most that is accepted.
        pairs: number of pairs looked at.
    """

    moved: Mapping[tuple[str, int], float]
    tolerance: float
    pairs: int

    @property
    def failed(self) -> tuple[tuple[str, int], ...]:
        """The settings under which a score moves too far."""
        return tuple(key for key, change in self.moved.items() if not change <= self.tolerance)

    def holds(self, side: str) -> bool:
        """Whether no batch padded on this side moves a score too far."""
        return all(key[0] != side for key in self.failed)


@dataclass(frozen=True, eq=False, kw_only=True)
class TextScorer:
    """A reward model that scores pairs of a prompt and a response.

    Args:
        model: a module that is called with `input_ids`, `attention_mask` and perhaps `token_type_ids`, (b, t) each, and
            gives logits (b, 1), alone or as `.logits`: a Hugging Face sequence classifier with num_labels = 1.
        tokenizer: a Hugging Face tokenizer, or what is called like one.
        batch_size: pairs in a batch; of similar length, so that there is little padding.
        template: how a pair becomes one text: ``"pair"`` (the tokenizer's own for two texts), ``"chat"`` (its chat
            template, prompt by the user, response by the assistant), ``"auto"`` (chat if it has a template), or a
            function of prompt and response that returns the text.
        padding: ``"checked"`` demands that padding on either side moves no score, and uses the tokenizer's side;
            ``"left"`` and ``"right"`` use, and check, one side only; ``"none"`` scores one pair at a time.
        tolerance: how far a score may move.
        max_length: most tokens of a pair; None for the tokenizer's own limit.
        name: how errors call the model.

    Calling it raises:
        InputError: a score moves with the batch, a pair is too long, or the texts do not fit together.
        ShapeError: not one output a pair. NonFiniteError: a score that is NaN or infinite.
    """

    model: nn.Module
    tokenizer: Any
    batch_size: int = 16
    template: Template = "auto"
    padding: Padding = "checked"
    tolerance: float = 1e-3
    max_length: int | None = None
    name: str = "reward model"

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError("batch_size", found=str(self.batch_size), expected="a positive integer")
        if self.padding not in ("checked", *SIDES, "none"):
            raise InputError("padding", found=repr(self.padding), expected="'checked', 'left', 'right' or 'none'")
        if not callable(self.template) and self.template not in ("auto", "pair", "chat"):
            raise InputError("template", found=repr(self.template), expected="'auto', 'pair', 'chat' or a function")
        if self.template == "chat" and not getattr(self.tokenizer, "chat_template", None):
            raise InputError("template", found="'chat', but a tokenizer without a chat template", expected="'pair'")
        if not self.tolerance >= 0:
            raise InputError("tolerance", found=str(self.tolerance), expected="a number of 0 or more")

    @property
    def pads(self) -> bool:
        """Whether pairs can share a batch: model and tokenizer know a padding token, and padding is wanted."""
        config = getattr(self.model, "config", None)
        known = config is None or getattr(config, "pad_token_id", None) is not None
        return self.padding != "none" and known and getattr(self.tokenizer, "pad_token_id", None) is not None

    @property
    def side(self) -> str:
        """The side that batches are padded on."""
        if self.padding in SIDES:
            return self.padding
        own = getattr(self.tokenizer, "padding_side", "right")
        return own if own in SIDES else "right"

    def __call__(self, prompts: Sequence[str], responses: Sequence[str]) -> np.ndarray:
        """(n,) float64 scores of n pairs, after the check."""
        encoded = self._encoded(prompts, responses)
        size = self.batch_size if self.pads else 1
        with self._evaluating():
            if size > 1:
                self._require(self._check(encoded))
            order = sorted(range(len(encoded)), key=lambda i: -len(encoded[i]["input_ids"]))
            scores = np.empty(len(encoded))
            for start in range(0, len(order), size):
                batch = order[start : start + size]
                scores[batch] = self._scores([encoded[i] for i in batch], self.side)
        return scores

    def check(self, prompts: Sequence[str], responses: Sequence[str]) -> PaddingCheck:
        """How far the scores of some of these pairs move with the batch; refuses nothing."""
        encoded = self._encoded(prompts, responses)
        with self._evaluating():
            return self._check(encoded)

    def _check(self, encoded: list[dict[str, list[int]]]) -> PaddingCheck:
        if not self.pads or self.batch_size < 2:
            return PaddingCheck(moved={}, tolerance=self.tolerance, pairs=0)
        by_length = sorted(encoded, key=lambda e: len(e["input_ids"]))
        places = np.unique(np.linspace(0, len(by_length) - 1, min(SAMPLE, len(by_length))).astype(int))
        chosen = [by_length[i] for i in places]
        chosen = [x for pair in zip(chosen, reversed(chosen), strict=True) for x in pair][
            : len(chosen)
        ]  # short by long
        alone = np.array([self._scores([e], self.side)[0] for e in chosen])
        longest = max(len(e["input_ids"]) for e in chosen)
        room = self._limit() or longest + 3
        moved: dict[tuple[str, int], float] = {}
        for side in (self.padding,) if self.padding in SIDES else SIDES:
            for size in sorted({min(self.batch_size, max(len(chosen), 2)), min(3, self.batch_size)}):
                found = [
                    self._scores(chosen[i : i + size], side, width=min(longest + 3, max(room, longest)))
                    for i in range(0, len(chosen), size)
                ]
                moved[side, size] = float(np.abs(np.concatenate(found) - alone).max())
        return PaddingCheck(moved=moved, tolerance=self.tolerance, pairs=len(chosen))

    def _require(self, found: PaddingCheck) -> None:
        if not found.failed:
            return
        side, size = max(found.failed, key=lambda key: found.moved[key])
        sound = [s for s in SIDES if any(key[0] == s for key in found.moved) and found.holds(s)]
        remedy = f"Padding on the {sound[0]} moves nothing: pass padding={sound[0]!r}. " if sound else ""
        config, own = getattr(self.model, "config", None), getattr(self.tokenizer, "pad_token_id", None)
        if config is not None and getattr(config, "pad_token_id", own) != own:
            remedy += f"The tokenizer pads with token {own}, the model expects {config.pad_token_id}. "
        raise InputError(
            self.name,
            found=f"scores that move by up to {found.moved[side, size]:.3g} with the batch (padded on the {side}, "
            f"{size} pairs at a time)",
            expected=f"the score of a pair by itself, to {self.tolerance:g}",
            remedy=remedy + "padding='none' scores one pair at a time; tolerance= accepts more.",
        )  # fmt: skip

    def _encoded(self, prompts: Sequence[str], responses: Sequence[str]) -> list[dict[str, list[int]]]:
        if len(prompts) != len(responses) or not len(prompts):
            raise ShapeError(
                "responses", found=f"{len(responses)} for {len(prompts)} prompts", expected="one prompt a response"
            )
        encoded, limit = [], self._limit()
        for i, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            if not isinstance(prompt, str) or not isinstance(response, str):
                raise InputError(f"pair {i}", found=type(prompt).__name__, expected="texts of prompt and response")
            found = self._tokens(prompt, response)
            length = len(found["input_ids"])
            if length == 0 or (limit is not None and length > limit):
                raise InputError(
                    f"pair {i}", found=f"{length} tokens", expected=f"1 to {limit} tokens" if limit else "at least one",
                    remedy="Nothing is cut off silently: shorten the text, or leave the pair out.",
                )  # fmt: skip
            encoded.append(found)
        return encoded

    def _tokens(self, prompt: str, response: str) -> dict[str, list[int]]:
        chat = getattr(self.tokenizer, "chat_template", None)
        if callable(self.template):
            made = self.tokenizer(self.template(prompt, response))
        elif self.template == "chat" or (self.template == "auto" and chat):
            turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
            text = self.tokenizer.apply_chat_template(turns, tokenize=False)
            made = self.tokenizer(text, add_special_tokens=False)  # the template has written them
        else:
            made = self.tokenizer(prompt, response)
        wanted = ("input_ids", "attention_mask", "token_type_ids")
        found = {key: [int(x) for x in made[key]] for key in wanted if key in made}
        found.setdefault("attention_mask", [1] * len(found["input_ids"]))
        return found

    def _limit(self) -> int | None:
        if self.max_length is not None:
            return self.max_length
        own = getattr(self.tokenizer, "model_max_length", None)
        return int(own) if own is not None and own < UNBOUNDED else None

    def _scores(self, encoded: Sequence[Mapping[str, list[int]]], side: str, *, width: int = 0) -> np.ndarray:
        """(b,) scores of one batch, padded on one side to its longest pair, or to `width`."""
        width = max(width, *(len(e["input_ids"]) for e in encoded))
        fill = {
            "input_ids": getattr(self.tokenizer, "pad_token_id", None) or 0,
            "attention_mask": 0,
            "token_type_ids": getattr(self.tokenizer, "pad_token_type_id", None) or 0,
        }
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        batch = {}
        for key in encoded[0]:
            rows = []
            for e in encoded:
                more = [fill[key]] * max(0, width - len(e[key]))
                rows.append(more + e[key] if side == "left" else e[key] + more)
            batch[key] = torch.tensor(rows, dtype=torch.int64, device=device)
        out = self.model(**batch)
        logits = getattr(out, "logits", out)
        if isinstance(logits, torch.Tensor) and logits.ndim == 2 and logits.shape[1] == 1:
            logits = logits[:, 0]
        if not isinstance(logits, torch.Tensor) or logits.shape != (len(encoded),):
            shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise ShapeError(
                self.name, found=f"outputs {shape} for {len(encoded)} pairs",
                expected="one score a pair: a sequence classifier with num_labels = 1",
            )  # fmt: skip
        scores = logits.detach().double().cpu().numpy()
        if not np.isfinite(scores).all():
            raise NonFiniteError(
                self.name, found=f"{int((~np.isfinite(scores)).sum())} scores that are NaN or infinite in a batch",
                expected="finite scores",
            )  # fmt: skip
        return scores

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        modes = [(m, m.training) for m in self.model.modules()]
        try:
            for m, _ in modes:
                m.training = False
            with torch.no_grad():
                yield
        finally:
            for m, was in modes:
                m.training = was


def load_text_scorer(
    identifier: str, *, revision: str | None = None, weights: str | os.PathLike[str] | None = None, **options: Any
) -> TextScorer:
    """A reward model of the hub, or of a local folder, with its tokenizer.

    Args:
        identifier: ``owner/name`` on the hub (the only case that uses the network), or a folder.
        revision: commit, tag or branch of both.
        weights: a file that replaces the published weights, see `learnt.adapters.huggingface.load_hf`.
        options: of `TextScorer`.

    Raises:
        MissingExtra: transformers is not installed. InputError: not a sequence classifier with one output.
        StorageError: it cannot be fetched or read. Weights are safetensors only, and code of a repository is never run.
    """
    from learnt.adapters.huggingface import load_hf

    try:
        import transformers
    except ImportError as error:
        raise require_extra("transformers", "hf") from error
    name = f"hf:{printable(identifier, 120)}"
    model = load_hf(identifier, revision=revision, weights=weights).model
    outputs = getattr(getattr(model, "config", None), "num_labels", None)
    if outputs != 1:
        raise InputError(
            name, found=f"a classifier with {outputs} outputs", expected="a reward model, with num_labels = 1",
            remedy="Of a classifier, pass TextScorer a module that returns the one output that is the reward.",
        )  # fmt: skip
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(identifier, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise StorageError(
            name, found=f"no tokenizer that can be opened ({printable(first, 160)})",
            expected="the files of a tokenizer beside those of the model",
        ) from error  # fmt: skip
    return TextScorer(model=model, tokenizer=tokenizer, **{"name": name, **options})


def from_trl(function: Callable[..., Any], **columns: Any) -> Callable[[Sequence[str], Sequence[str]], Any]:
    """A scorer from a reward function as TRL's trainers take it, which is called with `prompts` and `completions`.

    Args:
        function: returns one number a completion.
        columns: further arguments it needs, for instance the columns of a data set.
    """
    return lambda prompts, responses: function(prompts=list(prompts), completions=list(responses), **columns)
