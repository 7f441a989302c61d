"""Importing is quick and does nothing: no torch, no files, no network, no settings changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "learnt"
HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "sklearn",
    "matplotlib",
    "pandas",
    "transformers",
    "timm",
    "joblib",
    "jinja2",
    "jaxtyping",
)


def _run(code: str, *args: str) -> dict:
    result = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


IMPORT = """
import json, resource, sys
def spent():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
before = spent()
import learnt
print(json.dumps({"seconds": spent() - before, "modules": sorted({m.split(".")[0] for m in sys.modules})}))
"""


def test_import_learnt_is_quick_and_loads_nothing_heavy():
    results = [_run(IMPORT) for _ in range(3)]
    assert not {m for r in results for m in r["modules"]} & set(HEAVY)
    assert min(r["seconds"] for r in results) < 0.3  # processor time: other work on this machine does not count


HELP = """
import contextlib, io, json, resource, sys
out = io.StringIO()
sys.argv = ["learnt", *sys.argv[1:]]
code = 0
with contextlib.redirect_stdout(out):
    try:
        from learnt.cli.main import main
        code = main()
    except SystemExit as stop:
        code = stop.code
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"code": code or 0, "text": out.getvalue(), "seconds": usage.ru_utime + usage.ru_stime,
                  "modules": sorted({m.split(".")[0] for m in sys.modules})}))
"""


@pytest.mark.skipif(not (SOURCE / "cli" / "main.py").exists(), reason="there is no command line yet")
def test_help_and_version_are_quick_and_load_no_torch():
    for option, word in (("--help", "compare"), ("--version", "0.")):
        results = [_run(HELP, option) for _ in range(3)]
        assert all(r["code"] == 0 and word in r["text"] for r in results)
        assert not {m for r in results for m in r["modules"]} & {
            "torch",
            "scipy",
            "sklearn",
            "matplotlib",
            "transformers",
            "jaxtyping",
        }
        assert min(r["seconds"] for r in results) < 0.5


EVERYTHING = """
import importlib, json, logging, os, signal, sys, warnings
import torch, numpy as np, scipy, sklearn, sklearn.linear_model, rich.console, rich.progress  # what theirs do is theirs
events = []
def watch(event, args):
    if event in ("socket.connect", "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.remove", "os.mkdir", "os.rename", "signal.signal"):
        events.append([event, str(args)[:200]])
    elif event == "open" and isinstance(args[1], str) and any(c in args[1] for c in "wax+") and "__pycache__" not in str(args[0]):
        events.append([event, str(args)[:200]])
def state():
    return [torch.get_num_threads(), str(torch.get_default_dtype()), torch.is_grad_enabled(), torch.get_rng_state().sum().item(),
            str(np.geterr()), np.random.get_state()[1].sum().item(), len(warnings.filters), len(logging.root.handlers), logging.root.level,
            sorted(os.environ), os.getcwd(), str(signal.getsignal(signal.SIGINT)), torch.are_deterministic_algorithms_enabled()]
before = state()
sys.addaudithook(watch)
failed = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(json.dumps({"events": events, "failed": failed, "before": before, "after": state(), "backend": "matplotlib.pyplot" in sys.modules}))
"""


def test_importing_every_module_touches_nothing():
    names = [
        ".".join(["learnt", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
        for path in sorted(SOURCE.rglob("*.py"))
        if path.name != "__main__.py"
    ]
    result = _run(EVERYTHING, *names)
    assert result["failed"] == {}
    assert result["events"] == []
    assert result["after"] == result["before"]
    assert not result["backend"]


def test_the_public_names_exist_and_are_listed():
    import learnt

    for name in learnt.__all__:
        assert getattr(learnt, name) is not None
        assert name in dir(learnt)
    with pytest.raises(AttributeError, match="no_such_name"):
        learnt.no_such_name  # noqa: B018


def test_the_package_says_that_it_is_typed():
    assert (SOURCE / "py.typed").exists()
    assert os.access(SOURCE / "py.typed", os.R_OK)
