"""What the pages list is what the code has: names, options, exit codes, formats."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import get_args

import pytest
from tests.docs.pages import DOCS


def _text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def _listed(page: str) -> set[str]:
    """Words in code type on a page."""
    return {word for code in re.findall(r"`([^`\n]+)`", _text(page)) for word in re.findall(r"[\w:.]+", code)}


def test_every_argument_of_fit_is_on_the_training_page():
    from learnt.train import fit

    wanted = set(inspect.signature(fit).parameters) - {"thing", "data", "objective"}
    assert wanted <= _listed("training.md")


def test_every_public_name_of_training_is_on_the_training_page():
    import learnt.train

    public = {name for name in vars(learnt.train) if name[0].isupper()}
    assert public - {"Batch", "Callback", "Flow", "History", "Model", "Objective"} <= _listed("training.md")


def test_every_source_of_data_is_on_the_data_page():
    from learnt.data.load import NAMES

    assert {f'"{name}"' for name in NAMES} <= set(re.findall(r'"[\w.:/]+"', _text("data.md")))


def test_every_field_of_examples_is_on_the_data_page():
    from learnt.core.examples import Examples

    assert {field.name for field in fields(Examples)} - {"name"} <= _listed("data.md")


def test_the_shapes_and_their_domains_are_those_of_the_generator():
    from learnt.data.shapes import DOMAINS, SHAPES, shapes

    text = _text("data.md")
    assert ", ".join(SHAPES) in text
    assert set(DOMAINS) <= _listed("data.md")
    assert set(inspect.signature(shapes).parameters) <= _listed("data.md")
    assert set(shapes(2).factors) <= _listed("data.md")


def test_every_transform_is_on_the_page_of_invariance():
    from learnt.data import transforms

    known = {
        name for name, thing in vars(transforms).items()
        if isinstance(thing, type) and thing.__module__.startswith("learnt.data") and name != "Transform"
    }  # fmt: skip
    assert known <= _listed("methods/invariance.md")
    usual = re.search(r"All\s+transforms:(.*?)\.\s+A strength", _text("methods/invariance.md"), re.DOTALL)
    assert usual is not None
    assert set(re.findall(r"`(\w+)`", usual[1])) == known


def test_every_verdict_is_explained():
    from learnt.core.comparison import Verdict

    text = _text("concepts.md")
    assert all(f"| {verdict} |" in text for verdict in get_args(Verdict))


def test_every_setting_of_a_program_and_its_training_is_on_its_page_with_its_default():
    from learnt.programs import Config, Recipe

    known = {field.name: field.default for kind in (Config, Recipe) for field in fields(kind)}
    shown = {}
    for names, defaults in re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]*) \|", _text("programs-training.md"), re.MULTILINE
    ):
        settings = re.findall(r"`(\w+)`", names)
        given = re.split(r", (?![^()]*\))", defaults) if defaults.strip() else [None]
        if set(settings) <= set(known):
            shown |= dict(zip(settings, given * (len(settings) // len(given)), strict=True))
    assert set(shown) == set(known)
    for name, text in shown.items():
        assert text is None or eval(text) == known[name], name  # noqa: S307  (a literal of our own page)


def test_every_public_function_about_programs_is_on_a_page():
    from learnt import programs

    listed = {name for page in ("programs", "programs-training", "programs-tools") for name in _listed(f"{page}.md")}
    code = "".join(_text(f"{page}.md") for page in ("programs", "programs-training", "programs-tools"))
    wanted = {name for name in programs.__all__ if name[0].islower() and callable(getattr(programs, name))}
    missing = {name for name in wanted - listed if not re.search(rf"\b{name}\(", code)}
    assert not missing - {"encode", "evaluate", "run", "to_fields", "from_fields", "save", "retabulate"}


def test_the_tests_that_guard_against_the_faults_of_the_published_code_exist():
    from tests.docs.pages import ROOT

    known = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests/programs").rglob("test_*.py"))
    rows = re.findall(r"^\| B(\d+) \| (.*)$", _text("programs.md"), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 11))
    named = [name for _, row in rows for name in re.findall(r"`(test_\w+)`", row)]
    assert len(named) >= 9
    assert all(f"def {name}(" in known for name in named), named


def test_the_exit_codes_are_the_contract():
    from learnt.core import errors

    table = {int(code) for code in re.findall(r"^\| (\d+) \|", _text("cli.md"), re.MULTILINE)}
    raised = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    assert table == raised | {0, 1, 70}


def test_every_command_is_in_the_table_of_commands():
    from learnt.cli.main import app

    rooms = {"train", "rewards", "programs", "gated", "study"}
    commands = {name for name in app if not name.startswith("-")} - rooms
    commands |= {f"{room} {name}" for room in rooms for name in app[room] if not name.startswith("-")}
    assert commands == set(re.findall(r"^\| `learnt ([a-z ]+)` \|", _text("cli.md"), re.MULTILINE))


def test_the_numbers_of_digits_in_the_demo_are_those_it_uses():
    from learnt.data.load import load
    from learnt.studies.demo import SETS, plan

    digits = plan("digits")
    train, test = load(**digits.source, split="train"), load(**digits.test, split="test")
    text = " ".join(_text("demo.md").split())
    assert f"used for training ({len(train):,}) and many for testing ({len(test):,})" in text
    assert all(f"| `{name}` |" in text for name in SETS)
    options = digits.distilled.options
    assert f"temperature {options['temperature']:g}, weights {options['alpha']} for the teacher" in text


def test_every_kind_of_spec_is_on_the_page_of_opening():
    from learnt.adapters import open as opening

    assert all(f"`{scheme}:" in _text("opening.md") for scheme in opening._SCHEMES)


@pytest.mark.parametrize(
    ("page", "module", "name"),
    [
        ("adversarial-transfer", "learnt.robustness.transfer", "AdversarialTransfer"),
        ("integrated-gradients", "learnt.attribution.integrated_gradients", "IGSimilarity"),
        ("localisation", "learnt.attribution.localisation", "Localisation"),
        ("starc", "learnt.rewards.starc", "STARC"),
        ("kd", "learnt.distill.kd", "KD"),
        ("hint", "learnt.distill.hint", "Hint"),
        ("crd", "learnt.distill.crd", "CRD"),
    ],
)
def test_the_settings_a_page_shows_are_fields_with_these_defaults(page, module, name):
    from importlib import import_module

    known = inspect.signature(getattr(import_module(module), name)).parameters
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]*) \|", _text(f"methods/{page}.md"), re.MULTILINE)
    for names, defaults in rows:
        settings = re.findall(r"`(\w+)`", names)
        given = [text.strip().strip("`") for text in defaults.split(",")]
        if len(given) != len(settings) or not all(given) or not set(settings) <= set(known):
            continue
        for setting, text in zip(settings, given, strict=True):
            default = known[setting].default
            assert text.strip('"') == str(default).removeprefix("torch.") or float(text) == float(default), setting


def test_every_public_function_about_gated_networks_is_on_a_page():
    from learnt import gated

    pages = [path.name for path in DOCS.glob("*gated*.md")]
    listed = {name for page in pages for name in _listed(page)}
    code = "".join(_text(page) for page in pages)
    wanted = {name for name in gated.__all__ if name[0].islower() and callable(getattr(gated, name))}
    assert not {name for name in wanted - listed if not re.search(rf"\b{name}\(", code)}
