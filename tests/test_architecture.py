"""The shape of the house, read from the source: arrows, doors, forbidden calls, sizes, docstrings, quiet imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "learnt"
FILES = sorted(SOURCE.rglob("*.py"))
FAMILIES = (
    "agreement", "calibration", "similarity", "attribution", "robustness", "invariance", "rewards", "distill", "programs",
    "gated",
)  # fmt: skip
WORK = ("train", "run", "data", "adapters")
TYPES = (
    "core.errors", "core.panels", "core.measure", "core.examples", "core.subject", "core.statistics", "core.version",
    "core.estimate", "core.frozen_map",
    "run.seeds",  # a leaf: it imports nothing of ours, and the lowest rooms draw by name too
)  # fmt: skip
LEVELS = {"types": 0, "io": 1, "work": 2, "family": 3, "compare": 4, "above": 5, "cli": 6, "top": 7}

# Arrows that turn back, each inside a function only, each with its reason.
BACK = {
    ("core.comparison", "report"): "a comparison prints, plots and saves itself; renderers are loaded when asked",
    ("core.matrix", "report"): "so does a matrix of comparisons",
    ("rewards.pairwise", "core.matrix"): "distances of many rewards hand themselves out as the common matrix",
    ("core.subject", "adapters.sklearn"): "a scikit-learn estimator is recognised only when one is given",
}

# Doors outside io, each with its reason.
DOORS = {
    ("report.html", "read_text"): "the style sheet inside the package itself",
    ("testing.malicious", "open"): "hostile archives are built in memory; io opens nothing hostile for us",
    ("adapters.torchvision", "TemporaryDirectory"): "torchvision downloads into it, and it vanishes",
    ("cli.main", "open"): "the null device, to end quietly when the reader of a pipe has gone",
}
READERS = {  # removing is not here: it opens nothing
    "read_text", "read_bytes", "write_text", "write_bytes", "savefig", "tofile", "loadtxt", "savetxt", "genfromtxt", "fromfile", "memmap",
    "safe_open", "load_file", "save_file", "read_csv", "to_csv", "savez", "savez_compressed", "touch", "mkdir", "makedirs", "rename", "copyfile",
    "NamedTemporaryFile", "mkstemp", "mkdtemp", "TemporaryDirectory",
}  # fmt: skip
OPENERS = {"os", "io", "gzip", "bz2", "lzma", "zipfile", "tarfile", "codecs", "shelve", "dbm", "Image"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "torch.load", "torch.jit.load", "torch.save", "joblib.load", "joblib.dump",
                   "yaml.load", "yaml.unsafe_load", "np.load", "numpy.load", "np.save", "numpy.save", "os.system", "os.popen", "pickle.loads",
                   "random.seed", "np.random.seed", "numpy.random.seed", "torch.manual_seed", "torch.seed", "torch.set_default_dtype",
                   "torch.set_default_device", "matplotlib.use", "plt.ion"}  # fmt: skip
ALLOWED_CALLS = {
    ("io.sandbox", "torch.load"): "this is the sandbox: a separate, limited process, weights_only=True",
    ("io.sandbox", "torch.save"): "rehearses the loader on a tensor of its own before its rights are taken away",
    ("testing.manners", "torch.manual_seed"): "sets the global generators to catch measures that use them",
    ("testing.manners", "np.random.seed"): "the same",
    ("testing.manners", "random.seed"): "the same",
    (
        "testing.worlds",
        "torch.manual_seed",
    ): "modules initialise from the global generator; inside torch.random.fork_rng",
    ("train._random", "torch.manual_seed"): "the same, and dropout; inside a fence that restores all generators",
}


class Arrow(NamedTuple):
    source: str
    target: str
    line: int
    lazy: bool


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "__init__"


def level(module: str) -> int:
    room = module.split(".")[0]
    if module in TYPES or module == "core":
        return LEVELS["types"]
    if room == "io":
        return LEVELS["io"]
    if room in WORK:
        return LEVELS["work"]
    if room in FAMILIES:
        return LEVELS["family"]
    if room in ("core", "catalogue"):
        return LEVELS["compare"]
    if room in ("report", "studies", "testing"):
        return LEVELS["above"]
    if room == "cli":
        return LEVELS["cli"]
    return LEVELS["top"]


def arrows(path: Path) -> Iterator[Arrow]:
    """Imports of our own modules; those for the type checker only do not count."""
    source = name_of(path)
    package = source if path.name == "__init__.py" else source.rpartition(".")[0]

    def walk(node: ast.AST, lazy: bool) -> Iterator[Arrow]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "learnt":
                    yield Arrow(source, alias.name.partition(".")[2] or "__init__", node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join(["learnt", *up, *([base] if base else [])])
            if base.split(".")[0] == "learnt":
                inner = base.partition(".")[2]
                for alias in node.names:
                    full = f"{inner}.{alias.name}" if inner else alias.name
                    is_module = (SOURCE / Path(*full.split("."))).with_suffix(".py").exists() or (
                        SOURCE / Path(*full.split("."))
                    ).is_dir()
                    yield Arrow(source, full if is_module else inner or "__init__", node.lineno, lazy)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside)

    yield from walk(tree(path), False)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def turns_back(arrow: Arrow) -> str:
    """Why an arrow is not allowed; empty if it is."""
    mine, theirs = level(arrow.source), level(arrow.target)
    back = [reason for (a, b), reason in BACK.items() if arrow.source == a and f"{arrow.target}.".startswith(f"{b}.")]
    if theirs > mine:
        return "" if back and arrow.lazy else "leads upwards"
    rooms = arrow.source.split(".")[0], arrow.target.split(".")[0]
    if mine == theirs == LEVELS["family"] and rooms[0] != rooms[1]:
        return "leads from one family to another"
    return ""


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_arrows_point_one_way(path):
    wrong = [f"line {a.line}: {a.source} -> {a.target} {turns_back(a)}" for a in arrows(path) if turns_back(a)]
    assert not wrong


def test_the_exceptions_are_still_needed():
    seen = {
        (a.source, b) for path in FILES for a in arrows(path) for _, b in BACK if f"{a.target}.".startswith(f"{b}.")
    }
    assert [pair for pair in BACK if pair not in seen] == []


def test_no_exception_outlives_its_need():
    doors = {(name_of(path), call) for path in FILES for _, call in _doors(tree(path))}
    calls = {(name_of(path), call) for path in FILES for _, call in _forbidden(tree(path))}
    assert [entry for entry in DOORS if entry not in doors] == []
    assert [entry for entry in ALLOWED_CALLS if entry not in calls] == []


def test_every_room_has_its_place():
    known = {*FAMILIES, *WORK, "io", "core", "catalogue", "report", "studies", "testing", "cli", "__init__", "__main__"}
    assert {name_of(path).split(".")[0] for path in FILES} <= known


@pytest.mark.parametrize(
    ("source", "target", "lazy", "allowed"),
    [
        ("cli.main", "studies.demo", False, True),
        ("agreement.top1", "core.measure", False, True),
        ("agreement.top1", "similarity.cka", True, False),
        ("core.errors", "io.atomic", True, False),
        ("io.weights", "train.fit", True, False),
        ("core.comparison", "report.html", True, True),
        ("core.comparison", "report.html", False, False),
        ("core.compare", "report.html", True, False),
        ("report.html", "cli.main", True, False),
        ("core.compare", "catalogue", True, True),
        ("train.fit", "distill.kd", True, False),
    ],
)
def test_the_check_itself_tells_good_arrows_from_bad_ones(source, target, lazy, allowed):
    assert (turns_back(Arrow(source, target, 1, lazy)) == "") == allowed


def _doors(module: ast.Module) -> Iterator[tuple[int, str]]:
    imported = {
        a.asname or a.name
        for n in ast.walk(module)
        if isinstance(n, ast.ImportFrom) and "io" in (n.module or "").split(".")
        for a in n.names
    }
    own = {n.name for n in ast.walk(module) if isinstance(n, ast.FunctionDef)}
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            name = node.func.id
            if name == "open" or (name in READERS and name not in imported | own):
                yield node.lineno, name
        elif isinstance(node.func, ast.Attribute):
            receiver, name = dotted(node.func.value), node.func.attr
            if receiver in imported:  # a module of ours from the room that may
                continue
            if name in READERS or (name == "open" and (receiver.split(".")[0] in OPENERS or receiver.startswith("?"))):
                yield node.lineno, name


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p).split(".")[0] != "io"], ids=name_of)
def test_only_io_opens_files(path):
    module = name_of(path)
    assert [(line, call) for line, call in _doors(tree(path)) if (module, call) not in DOORS] == []


@pytest.mark.parametrize(
    "code",
    [
        "open('x')",
        "Path('x').read_text()",
        "p.write_bytes(b'')",
        "fig.savefig('x')",
        "np.savez('x')",
        "gzip.open('x')",
        "Path('x').open()",
        "os.open('x')",
    ],
)
def test_the_check_itself_sees_a_door(code):
    assert list(_doors(ast.parse(code)))


def _forbidden(module: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, a.name) for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
                yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in FORBIDDEN_CALLS:
                yield node.lineno, name
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", None)
                if (keyword.arg, value) in {
                    ("shell", True),
                    ("allow_pickle", True),
                    ("weights_only", False),
                    ("trust_remote_code", True),
                }:
                    yield node.lineno, f"{keyword.arg}={value}"
        elif isinstance(node, ast.Assert):
            yield node.lineno, "assert"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_forbidden_is_called(path):
    module = name_of(path)
    assert [(line, call) for line, call in _forbidden(tree(path)) if (module, call) not in ALLOWED_CALLS] == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "eval('1')",
        "torch.load(p)",
        "np.load(p, allow_pickle=True)",
        "run(c, shell=True)",
        "assert x",
        "torch.manual_seed(0)",
    ],
)
def test_the_check_itself_sees_what_is_forbidden(code):
    assert list(_forbidden(ast.parse(code)))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_module_is_longer_than_four_hundred_lines(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 400


def _undocumented(module: ast.Module) -> Iterator[str]:
    if module.body and ast.get_docstring(module) is None:
        yield "the module"

    def is_stub(node: ast.stmt) -> bool:  # `...` in a Protocol: the class says what it is for
        last = getattr(node, "body", [None])[-1]
        return isinstance(last, ast.Expr) and getattr(last.value, "value", None) is Ellipsis

    def public(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            ):
                overload = any("overload" in dotted(d) for d in node.decorator_list)
                if ast.get_docstring(node) is None and not overload and not is_stub(node):
                    yield f"line {node.lineno}: {prefix}{node.name}"
                if isinstance(node, ast.ClassDef):
                    yield from public(node.body, f"{node.name}.")

    yield from public(module.body)


# Names that every measure, flow, transform or objective has; their docstring is that of the interface.
INTERFACE = {"prepare", "compare", "describe", "chart", "look", "variants", "name", "question", "companion", "forward"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_everything_public_says_what_it_is_for(path):
    missing = [
        found for found in _undocumented(tree(path)) if found.rpartition(".")[2] not in INTERFACE or "." not in found
    ]
    assert not missing


REGISTERS = {"cli.main": "lists its commands on an object of its own, which is how the command line is described"}


def _effects(module: ast.Module) -> Iterator[int]:
    """Lines at the top of a module that do something other than define names."""
    for node in module.body:
        if isinstance(
            node,
            ast.Import
            | ast.ImportFrom
            | ast.FunctionDef
            | ast.AsyncFunctionDef
            | ast.ClassDef
            | ast.Assign
            | ast.AnnAssign
            | ast.AugAssign,
        ):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.If) and ("TYPE_CHECKING" in ast.dump(node.test) or "__main__" in ast.dump(node.test)):
            continue
        yield node.lineno


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_importing_a_module_only_defines_names(path):
    if name_of(path) not in REGISTERS:
        assert list(_effects(tree(path))) == []
