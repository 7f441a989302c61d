"""`learnt compare`: outputs, gates, exit codes, and errors in one or two lines."""

import json

import pytest

FAST = ("--on", "digits", "--limit", "120", "--resamples", "200", "--measures", "agreement,kl,accuracy")


def test_prints_a_table_and_exits_with_zero(learnt, net):
    code, out, err = learnt("compare", f"{net}:make", f"{net}:other", *FAST)
    assert code == 0 and "Do they give the same answer?" in out and err == ""


def test_writes_json_and_html_and_refuses_to_overwrite(learnt, net, tmp_path):
    files = ("--json", tmp_path / "c.json", "--html", tmp_path / "c.html")
    code, _, err = learnt("compare", f"{net}:make", f"{net}:other", *FAST, *files)
    assert code == 0 and "wrote" in err
    assert json.loads((tmp_path / "c.json").read_text())["schema"] == "learnt.comparison/1"
    assert (tmp_path / "c.html").read_text().lower().startswith("<!doctype html>")
    code, _, err = learnt("compare", f"{net}:make", f"{net}:other", *FAST, *files)
    assert code == 2 and "--overwrite" in err
    assert learnt("compare", f"{net}:make", f"{net}:other", *FAST, *files, "--overwrite")[0] == 0


def test_json_to_standard_output_is_json_and_nothing_else(learnt, net):
    code, out, _ = learnt("compare", f"{net}:make", f"{net}:make", *FAST, "--json", "-")
    found = json.loads(out)
    assert code == 0 and next(a for a in found["answers"] if a["name"] == "agreement")["value"]["value"] == 1.0


def test_a_crossed_threshold_exits_with_one_and_says_which(learnt, net):
    pair = (f"{net}:make", f"{net}:other", "--control", f"{net}:other", *FAST, "--quiet")
    code, out, err = learnt("compare", *pair, "--fail-if", "agreement<1.1")
    assert code == 1 and "agreement<1.1" in err and out == ""
    assert learnt("compare", *pair, "--fail-if", "agreement<0.0")[0] == 0
    assert learnt("compare", *pair, "--fail-if", "agreement.transfer>=0")[0] == 1
    assert learnt("compare", *pair, "--fail-if", "kl > 1e9", "--fail-if", "agreement <= 1")[0] == 1


def test_an_unmeasured_quantity_does_not_pass_a_gate(learnt, net):
    code, _, err = learnt(
        "compare", f"{net}:make", f"{net}:other", *FAST, "--quiet", "--fail-if", "agreement.transfer<0"
    )
    assert code == 1 and "undefined" in err


def test_weights_are_put_into_the_models_in_order(learnt, net):
    weights = net.parent / "x.safetensors"
    code, out, _ = learnt(
        "compare", f"{net}:make", f"{net}:other", *FAST, "--weights", weights, "--weights", weights, "--json", "-"
    )
    found = json.loads(out)
    assert code == 0 and next(a for a in found["answers"] if a["name"] == "agreement")["value"]["value"] == 1.0


def test_a_pt_file_goes_through_the_sandbox(learnt, net):
    code, _, err = learnt("compare", f"{net}:make", f"{net}:other", *FAST, "--weights", net.parent / "x.pt", "--quiet")
    assert code == 0, err


def test_a_malicious_pickle_is_refused_with_three_and_has_no_effect(learnt, net, tmp_path):
    import pickle

    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            import os

            return os.system, (f"touch {canary}",)

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    code, _, err = learnt("compare", f"{net}:make", f"{net}:other", *FAST, "--weights", tmp_path / "evil.pt")
    assert code == 3 and not canary.exists() and "evil.pt" in err
    assert "weights_only" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compare", "a"), "requires an argument"),
        (("comapre",), 'Did you mean "compare"'),
        (("compare", "NET:make", "NET:nothing", *FAST), "nothing"),
        (("compare", "NET:make", "missing.py:make", *FAST), "missing.py"),
        (("compare", "run:nowhere#a", "NET:make", *FAST), "nowhere"),
        (("compare", "NET:make", "NET:narrow", *FAST), "3 outputs while"),
        (("compare", "NET:make", "NET:certain", *FAST), "--outputs probabilities"),
        (("compare", "NET:make", "NET:other", "--on", "digitz"), "digits"),
        (("compare", "NET:make", "NET:other", *FAST, "--measures", "agrement"), "agreement"),
        (("compare", "NET:make", "NET:other", *FAST, "--fail-if", "agreement=1"), "such as"),
        (("compare", "NET:make", "NET:other", *FAST, "--fail-if", "gradcam<1"), "Nearest"),
        (("compare", "NET:make", "NET:other", *FAST, "--confidence", "2"), "confidence"),
        (("compare", "NET:make", "NET:other", *FAST, "--weights", "a.safetensors"), "a.safetensors"),
        (("show", "nowhere"), "nothing there"),
        (("convert", "nowhere.pt", "x.bin"), ".safetensors"),
    ],
)  # fmt: skip
def test_bad_input_exits_with_two_and_one_or_two_lines(learnt, net, arguments, words):
    code, out, err = learnt(*(str(a).replace("NET", str(net)) for a in arguments))
    assert code == 2, (code, out, err)
    assert words in err and err.count("\n") <= 2 and "Traceback" not in err


def test_an_internal_error_exits_with_seventy(learnt, net, monkeypatch):

    def broken(*_args, **_options):
        raise RuntimeError("wires crossed")

    monkeypatch.setattr(learnt_module(), "compare", broken)
    code, _, err = learnt("compare", f"{net}:make", f"{net}:other", *FAST)
    assert code == 70 and "wires crossed" in err and "--debug" in err


def learnt_module():
    import learnt.core.compare as module

    return module


def test_debug_shows_the_traceback_and_keeps_the_exit_code(net, capsys):
    from learnt.cli.main import run

    assert run(["show", "nowhere"], debug=True) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_exits_with_four(learnt, net, monkeypatch):
    def stopped(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(learnt_module(), "compare", stopped)
    code, _, err = learnt("compare", f"{net}:make", f"{net}:other", *FAST)
    assert code == 4 and "again" in err
