"""`learnt convert`."""

from __future__ import annotations

from pathlib import Path


def convert(source: Path, target: Path, /, *, overwrite: bool = False, quiet: bool = False) -> None:
    """Convert a checkpoint (.pt, .pth, .bin) to safetensors in a sandbox; nothing in it is executed.

    Parameters
    ----------
    source
        The checkpoint.
    target
        The .safetensors file to write.
    overwrite
        Replace an existing file.
    quiet
        Print nothing but errors.
    """
    from learnt.core.errors import InputError
    from learnt.io.weights import load_weights, save_weights

    if target.suffix != ".safetensors":
        raise InputError(
            str(target), found=f"the ending {target.suffix!r}", expected="a file name that ends in .safetensors"
        )
    if target.exists() and not overwrite:
        raise InputError(
            str(target), found="an existing file", expected="a new one", remedy="Pass --overwrite to replace it."
        )
    tensors = load_weights(source)
    save_weights(target, tensors)
    if not quiet:
        print(f"{len(tensors)} tensors  {target}")
