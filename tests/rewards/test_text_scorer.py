"""The text scorer: a score never depends on what shares the batch, or it is refused; stand-ins follow transformers' interface.

Where transformers is installed, real models are made here (nothing is fetched) and asked the same.
"""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch
from tests.adapters.test_foreign import imported
from torch import nn

import learnt
from learnt.core.errors import InputError, MissingExtra, NonFiniteError, ShapeError, StorageError
from learnt.rewards.response_measure import ResponseDistance
from learnt.rewards.scores import Responses
from learnt.rewards.text_scorer import TextScorer, from_trl, load_text_scorer

RNG = np.random.default_rng(0)
PROMPTS = [" ".join(f"w{i}" for i in RNG.integers(0, 40, RNG.integers(1, 9))) for _ in range(20)]
ANSWERS = [" ".join(f"w{i}" for i in RNG.integers(0, 40, RNG.integers(1, 25))) for _ in range(20)]


class Tokenizer:
    """Words w0, w1 ... are tokens 3, 4 ...; 0 pads, 1 starts, 2 separates."""

    def __init__(self, *, pad=0, chat=None, limit=10**30, side="right"):
        self.pad_token_id, self.chat_template, self.model_max_length, self.padding_side = pad, chat, limit, side
        self.pad_token_type_id = 0

    def __call__(self, text, second=None, *, add_special_tokens=True):
        words = [int(w.removeprefix("w")) + 3 for w in text.split()]
        more = [] if second is None else [int(w.removeprefix("w")) + 3 for w in second.split()]
        ids = [1, *words, 2, *more] if add_special_tokens else words + more
        kinds = [0] * (len(ids) - len(more)) + [1] * len(more)
        return {"input_ids": ids, "token_type_ids": kinds, "attention_mask": [1] * len(ids)}

    def apply_chat_template(self, turns, *, tokenize):
        assert not tokenize and [t["role"] for t in turns] == ["user", "assistant"]
        return " ".join(t["content"] for t in turns) + " w39"


class Model(nn.Module):
    """A reward model whose `reads` says what it looks at, with the faults of real ones."""

    def __init__(self, reads="mask", outputs=1, pad=0):
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.words = nn.Parameter(torch.randn(50, 8, generator=g))
        self.places = nn.Parameter(torch.randn(200, 8, generator=g))
        self.head = nn.Parameter(torch.randn(8, outputs, generator=g))
        self.drop = nn.Dropout(0.5)
        self.reads, self.config = reads, types.SimpleNamespace(pad_token_id=pad, num_labels=outputs)
        self.largest = 0

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        self.largest = max(self.largest, len(input_ids))
        mask = attention_mask[..., None].float()
        x = self.words[input_ids] + token_type_ids[..., None].float()
        if self.reads == "absolute positions":
            x = x + self.places[: input_ids.shape[1]]
        x = self.drop(torch.tanh(x))
        if self.reads == "no mask":
            pooled = x.mean(1)
        elif self.reads == "last position":
            pooled = x[:, -1]
        elif self.reads == "last token by its id":
            last = (input_ids != self.config.pad_token_id).long().cumsum(1).argmax(1)
            pooled = x[torch.arange(len(x)), last]
        else:
            pooled = (x * mask).sum(1) / mask.sum(1)
        return types.SimpleNamespace(logits=pooled @ self.head)


def scorer(reads="mask", *, tokenizer=None, pad=0, **options):
    return TextScorer(model=Model(reads, pad=pad), tokenizer=tokenizer or Tokenizer(), **{"batch_size": 5, **options})


def alone(model, tokenizer=None):
    return TextScorer(model=model, tokenizer=tokenizer or Tokenizer(), padding="none")(PROMPTS, ANSWERS)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 64])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_sound_model_gives_every_pair_its_own_score_in_any_batch(side, batch_size):
    found = scorer(tokenizer=Tokenizer(side=side), batch_size=batch_size)
    np.testing.assert_allclose(found(PROMPTS, ANSWERS), alone(found.model), atol=1e-6)
    assert found.model.largest <= max(batch_size, 1)


@pytest.mark.parametrize("reads", ["no mask", "last position", "absolute positions"])
def test_a_model_that_feels_the_padding_is_refused(reads):
    with pytest.raises(InputError, match="scores that move by up to .* with the batch") as caught:
        scorer(reads)(PROMPTS, ANSWERS)
    assert "expected the score of a pair by itself, to 0.001" in str(caught.value)
    assert "padding='none'" in str(caught.value)


def test_the_error_names_the_side_on_which_nothing_moves_and_that_side_can_be_chosen():
    with pytest.raises(InputError, match=r"Padding on the right moves nothing: pass padding='right'"):
        scorer("absolute positions")(PROMPTS, ANSWERS)
    right = scorer("absolute positions", padding="right")
    np.testing.assert_allclose(right(PROMPTS, ANSWERS), alone(right.model), atol=1e-6)
    with pytest.raises(InputError, match=r"Padding on the left moves nothing"):
        scorer("last position")(PROMPTS, ANSWERS)
    left = scorer("last position", padding="left")
    np.testing.assert_allclose(left(PROMPTS, ANSWERS), alone(left.model), atol=1e-6)
    with pytest.raises(InputError, match="padded on the right"):
        scorer("last position", padding="right")(PROMPTS, ANSWERS)


def test_two_batch_sizes_and_both_sides_are_looked_at():
    found = scorer("absolute positions").check(PROMPTS, ANSWERS)
    assert set(found.moved) == {(side, size) for side in ("left", "right") for size in (3, 5)}
    assert found.pairs == 8 and found.holds("right") and not found.holds("left")
    assert set(found.failed) == {("left", 3), ("left", 5)}


def test_the_tolerance_can_be_set():
    moved = max(scorer("no mask").check(PROMPTS, ANSWERS).moved.values())
    assert moved > 1e-3
    assert scorer("no mask", tolerance=2 * moved).check(PROMPTS, ANSWERS).failed == ()
    assert scorer("no mask", tolerance=2 * moved)(PROMPTS, ANSWERS).shape == (20,)
    assert scorer(tolerance=0.0, padding="none")(PROMPTS, ANSWERS).shape == (20,)


def test_equal_lengths_and_a_single_pair_do_not_hide_the_fault():
    """Without padding of its own making, a check on texts of one length would see nothing."""
    with pytest.raises(InputError, match="move"):
        scorer("no mask")(["w1 w2"] * 4, ["w3", "w4", "w5", "w6"])
    assert scorer("no mask").check(["w1"], ["w2"]).failed


def test_another_padding_token_than_the_model_knows_is_named():
    with pytest.raises(InputError, match="The tokenizer pads with token 0, the model expects 7"):
        scorer("last token by its id", pad=7, padding="right")(PROMPTS, ANSWERS)
    assert scorer("last token by its id", padding="right")(PROMPTS, ANSWERS).shape == (20,)


@pytest.mark.parametrize(("tokenizer", "pad"), [(Tokenizer(pad=None), 0), (Tokenizer(), None)])
def test_without_a_padding_token_pairs_are_scored_one_at_a_time(tokenizer, pad):
    found = scorer("no mask", tokenizer=tokenizer, pad=pad)
    assert not found.pads
    np.testing.assert_array_equal(found(PROMPTS, ANSWERS), alone(Model("no mask")))
    assert found.model.largest == 1


def test_the_model_is_left_as_it_was_and_dropout_is_off():
    model = Model().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = TextScorer(model=model, tokenizer=Tokenizer(), batch_size=5)
    first = found(PROMPTS, ANSWERS)
    np.testing.assert_array_equal(first, found(PROMPTS, ANSWERS))
    assert model.training and model.drop.training and model.config.pad_token_id == 0
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_templates_make_the_text():
    plain = scorer(template="pair")(PROMPTS, ANSWERS)
    chat = scorer(tokenizer=Tokenizer(chat="{{ messages }}"))
    assert np.abs(chat(PROMPTS, ANSWERS) - plain).max() > 1e-3
    joined = scorer(template=lambda p, r: f"{r} {p}")
    assert joined(["w1"], ["w2"])[0] == pytest.approx(scorer(template=lambda p, r: "w2 w1")(["x"], ["y"])[0])
    with pytest.raises(InputError, match="without a chat template"):
        scorer(template="chat")
    with pytest.raises(InputError, match="template"):
        scorer(template="story")


def test_nothing_is_cut_off_silently():
    with pytest.raises(InputError, match=r"pair 1: found 7 tokens; expected 1 to 6 tokens"):
        scorer(tokenizer=Tokenizer(limit=6))(["w1", "w1 w2 w3"], ["w2", "w4 w5"])
    with pytest.raises(InputError, match="expected 1 to 3"):
        scorer(max_length=3)(["w1"], ["w2 w3"])


@pytest.mark.parametrize(
    ("options", "text"),
    [({"batch_size": 0}, "batch_size"), ({"padding": "middle"}, "padding"), ({"tolerance": float("nan")}, "tolerance")],
)
def test_bad_options_are_errors(options, text):
    with pytest.raises(InputError, match=text):
        scorer(**options)


def test_bad_texts_and_outputs_are_errors():
    with pytest.raises(ShapeError, match="1 for 2 prompts"):
        scorer()(["w1", "w2"], ["w3"])
    with pytest.raises(InputError, match="pair 0: found NoneType"):
        scorer()([None], ["w3"])
    with pytest.raises(ShapeError, match="num_labels = 1"):
        TextScorer(model=Model(outputs=2), tokenizer=Tokenizer())(PROMPTS, ANSWERS)
    broken = Model()
    with torch.no_grad():
        broken.head.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="NaN"):
        TextScorer(model=broken, tokenizer=Tokenizer())(PROMPTS, ANSWERS)


def test_scorers_go_into_the_common_comparison():
    data = Responses([i // 5 for i in range(20)], prompts=PROMPTS, responses=ANSWERS)
    first = scorer()
    other = TextScorer(model=Model("last token by its id"), tokenizer=Tokenizer(), padding="right")
    found = learnt.compare(first, other, data, measures=[ResponseDistance()], quiet=True, resamples=200)
    answer = found["response_distance"]
    assert 0.1 < answer.value.value < 2.0
    assert answer.details["b"]["largest"][0][1] in ANSWERS
    again = learnt.compare(first, first, data, measures=[ResponseDistance()], quiet=True, resamples=200)
    assert again["response_distance"].value.value == 0.0


def test_a_reward_function_of_trl_is_called_with_its_names():
    def reward(prompts, completions, target, **_):
        return [float(len(c) - t) for c, t in zip(completions, target, strict=True)]

    found = Responses([0, 0], prompts=["p", "p"], responses=["a", "bcd"])
    view = found.subject(from_trl(reward, target=[1, 1]), name="trl")
    assert view.scores.tolist() == [0.0, 2.0]
    with pytest.raises(InputError, match="numbers"):
        found.subject(from_trl(lambda prompts, completions: [None, 1.0]), name="trl")


# -- opening ----------------------------------------------------------------------------------------------


def fake_transformers(monkeypatch, model, tokenizer):
    """A stand-in for the package: the names that are used, each recording how it was called."""
    calls = []
    kind = types.SimpleNamespace

    class Auto:
        def __init__(self, result):
            self.result, self._model_mapping = result, {kind: object}

        def from_pretrained(self, name, **options):
            calls.append(options)
            if isinstance(self.result, Exception):
                raise self.result
            return self.result

    config = kind(architectures=["XForSequenceClassification"], num_labels=model.config.num_labels)
    module = types.ModuleType("transformers")
    module.AutoConfig, module.AutoTokenizer = Auto(config), Auto(tokenizer)
    module.AutoModelForSequenceClassification, module.AutoModelForImageClassification = Auto(model), Auto(None)
    monkeypatch.setitem(sys.modules, "transformers", module)
    return calls


def test_a_model_is_opened_without_code_of_its_repository_and_from_safetensors_only(monkeypatch):
    calls = fake_transformers(monkeypatch, Model(), Tokenizer())
    found = load_text_scorer("owner/reward", revision="abc", batch_size=3)
    assert found.batch_size == 3 and found.name == "hf:owner/reward"
    assert len(calls) == 3 and all(c["trust_remote_code"] is False and c["revision"] == "abc" for c in calls)
    assert [c.get("use_safetensors") for c in calls] == [None, True, None]
    assert found(PROMPTS, ANSWERS).shape == (20,)


def test_what_is_no_reward_model_is_refused(monkeypatch):
    fake_transformers(monkeypatch, Model(outputs=3), Tokenizer())
    with pytest.raises(InputError, match="a classifier with 3 outputs"):
        load_text_scorer("owner/classifier")
    fake_transformers(monkeypatch, Model(), OSError("no tokenizer here\nsecond line"))
    with pytest.raises(StorageError, match=r"no tokenizer that can be opened \(no tokenizer here\)"):
        load_text_scorer("owner/untokenised")


def test_without_transformers_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'learnt\[hf\]'"):
        load_text_scorer("owner/reward")


@pytest.mark.parametrize(("kind", "moves_on_the_left"), [("Bert", True), ("GPT2", True), ("Llama", False)])
def test_real_models_behave_as_the_stand_ins(tmp_path, kind, moves_on_the_left):
    transformers, tokenizers = imported("transformers"), imported("tokenizers")
    words = ["[PAD]", "[UNK]"] + [f"w{i}" for i in range(40)]
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]")
    sizes = {"vocab_size": 60, "pad_token_id": 0, "num_labels": 1}
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    if kind == "GPT2":
        small = {"n_embd": 32, "n_layer": 2, "n_head": 2, "bos_token_id": 1, "eos_token_id": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = getattr(transformers, f"{kind}Config")(**sizes, **small)
        model = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(8.0 if p.ndim > 1 else 1.0)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    found = load_text_scorer(str(tmp_path), batch_size=4)
    if moves_on_the_left:
        with pytest.raises(InputError, match="pass padding='right'"):
            found(PROMPTS, ANSWERS)
        found = load_text_scorer(str(tmp_path), batch_size=4, padding="right")
    np.testing.assert_allclose(found(PROMPTS, ANSWERS), alone(model, tokenizer), atol=1e-4)
