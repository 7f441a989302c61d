"""Small models in files, and the command line as a function."""

import textwrap

import pytest
import torch
from safetensors.torch import save_file

from learnt.cli.main import run

NET = """
    import torch
    from torch import nn

    def make():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))

    def other():
        net = make()
        with torch.no_grad():
            net[1].weight.add_(0.05 * torch.randn(16, 64, generator=torch.Generator().manual_seed(1)))
        return net

    def certain():
        net = make()
        return nn.Sequential(net, nn.Softmax(1))

    def narrow():
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
"""


@pytest.fixture(scope="session")
def net(tmp_path_factory):
    """A file with network factories, and beside it weights for `make`."""
    folder = tmp_path_factory.mktemp("nets")
    path = folder / "net.py"
    path.write_text(textwrap.dedent(NET))
    space: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), space)  # noqa: S102 (our own text)
    save_file({k: v.clone() for k, v in space["make"]().state_dict().items()}, folder / "x.safetensors")
    torch.save(space["make"]().state_dict(), folder / "x.pt")
    return path


@pytest.fixture
def learnt(capsys):
    """Run a command line: (exit code, standard output, standard error)."""

    def call(*arguments):
        code = run([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
