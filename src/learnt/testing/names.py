"""Names that a file, a tensor, a model or a data set may carry, and that must never become a path or a command."""

from __future__ import annotations


def hostile_names() -> tuple[str, ...]:
    """200 names that a file may hold and that must never become a path or a command."""
    parents = (
        "../",
        "..\\",
        "%2e%2e/",
        "%252e%252e/",
        "..%2f",
        "..%5c",
        "....//",
        ".%00./",
        "/",
        "\\\\host\\",
        "C:\\",
        "file:///",
    )
    targets = ("x", "etc/passwd", "a/../../b", "weights.safetensors", "~/.ssh/id")
    devices = ("CON", "PRN", "AUX", "NUL", "COM1", "LPT1", "con.txt", "aux.safetensors", "nul.", "clock$")
    letters = (
        "", " ", ".", "..", "...", "-", "--help", "-rf", "~", "~root", "*", "?", "|", ">", "<", "&", ";", "`id`",
        "$(id)", "$HOME", "%PATH%", "a\0b", "a\nb", "a\rb", "a\tb", "\x1b[2J", "\x1b]8;;http://x\x07",
        "\u202egnp.exe", "\u200b",
        "\ufeff", "\u2215etc", "\uff0e\uff0e\uff0f", "ａ/ｂ", "é", "e\u0301", "\U0001f600", "\ud800", "a" * 300,
        "é" * 200,
        "name with spaces", "trailing. ", "a:b", "a::$DATA", "a/b/c/d", "a//b", "./a", "a/.", "a/..", "[/red]",
        "[bold]x",
        "<script>alert(1)</script>", "' OR 1=1 --", '"', "'", "=1+1", "@x", "+1", "{{7*7}}", "${x}", "%s%n", "\\",
        "\\n",
    )  # fmt: skip
    names = [f"{a}{b}" for a in parents for b in targets] + list(devices) + list(letters)
    deeper = [f"{'../' * k}{b}" for k in range(2, 16) for b in targets]
    return tuple(dict.fromkeys([*names, *deeper]))[:200]
