"""timm, torchvision and transformers where they are installed; models are made here, nothing is fetched."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from learnt.adapters.open import load
from learnt.core.errors import InputError, ShapeError, StorageError
from learnt.io.weights import save_weights

_KEPT: list[Any] = []  # the library object must outlive the schemas that it defines


def _shim() -> None:
    """Two schemas that a torchvision built for CUDA lacks on a CPU; see anchors B2. Only tests do this."""
    if importlib.util.find_spec("torchvision") is not None and not _KEPT:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)


def imported(name: str) -> Any:
    _shim()  # before anything imports torchvision
    pytest.importorskip(name, reason=f"{name} is an extra that is not installed here")
    return importlib.import_module(name)


def test_timm_opens_an_architecture_with_given_weights(tmp_path: Path) -> None:
    timm = imported("timm")
    model = timm.create_model("resnet18", num_classes=7).eval()
    path = save_weights(tmp_path / "x.safetensors", model.state_dict())
    inputs = torch.randn(2, 3, 64, 64)
    assert torch.equal(load("timm:resnet18", weights=path, classes=7)(inputs), model(inputs))
    with pytest.raises(ShapeError, match="expected shape \\(1000, 512\\)"):
        load("timm:resnet18", weights=path)
    with pytest.raises(InputError, match="Nearest names: resnet18"):
        load("timm:resnet81", weights=path)


def test_torchvision_opens_an_architecture_with_given_weights(tmp_path: Path) -> None:
    torchvision = imported("torchvision")
    model = torchvision.models.resnet18(num_classes=5).eval()
    torch.save({"state_dict": model.state_dict()}, tmp_path / "x.pth")
    inputs = torch.randn(2, 3, 64, 64)
    assert torch.equal(load("torchvision:resnet18", weights=tmp_path / "x.pth", classes=5)(inputs), model(inputs))
    with pytest.raises(InputError, match="Nearest names: resnet18"):
        load("torchvision:resnet81", weights=tmp_path / "x.pth")


def test_hugging_face_opens_classifiers_of_images_and_sequences(tmp_path: Path) -> None:
    transformers = imported("transformers")
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    vision = transformers.ViTForImageClassification(
        transformers.ViTConfig(image_size=32, patch_size=8, num_labels=5, **small)
    ).eval()
    vision.save_pretrained(tmp_path / "vit")
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(load(f"hf:{tmp_path / 'vit'}")(images), vision(pixel_values=images).logits)
    text = transformers.BertForSequenceClassification(
        transformers.BertConfig(vocab_size=50, num_labels=3, **small)
    ).eval()
    text.save_pretrained(tmp_path / "bert")
    tokens = torch.randint(1, 50, (2, 9))
    padded = torch.cat([tokens, torch.zeros(2, 3, dtype=torch.int64)], 1)
    opened = load(f"hf:{tmp_path / 'bert'}")
    assert torch.allclose(opened(padded), text(input_ids=tokens).logits, atol=1e-5)
    save_weights(tmp_path / "other.safetensors", {k: torch.zeros_like(v) for k, v in text.state_dict().items()})
    assert load(f"hf:{tmp_path / 'bert'}", weights=tmp_path / "other.safetensors")(tokens).abs().max() == 0


def test_hugging_face_never_unpickles_and_refuses_other_kinds(tmp_path: Path) -> None:
    transformers = imported("transformers")
    config = transformers.GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=20, bos_token_id=0, eos_token_id=0)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt")
    with pytest.raises(InputError, match="GPT2LMHeadModel"):
        load(f"hf:{tmp_path / 'gpt'}")
    small = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=8, patch_size=8
    )
    model = transformers.ViTForImageClassification(small)
    model.save_pretrained(tmp_path / "vit")
    (tmp_path / "vit" / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "vit" / "pytorch_model.bin")
    with pytest.raises(StorageError, match="read in the sandbox"):
        load(f"hf:{tmp_path / 'vit'}")
    assert load(f"hf:{tmp_path / 'vit'}", weights=tmp_path / "vit" / "pytorch_model.bin")(
        torch.zeros(1, 3, 8, 8)
    ).shape == (1, 2)
