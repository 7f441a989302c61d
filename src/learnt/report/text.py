"""Text from users, made safe to show: what a renderer escapes is first freed of characters that act.

Labels, class names, file names and reasons may hold anything. Control characters move a terminal's cursor or end a
line, bidirectional overrides make text read as other text, lone surrogates cannot be written at all. Each of
them is shown as U+FFFD; what remains is only ever text, and each renderer escapes it for its own format.
"""

from __future__ import annotations

import re

# C0 and C1 controls with DEL, line separators, marks and overrides of direction, invisible operators, surrogates, BOM.
_ACTING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_BLANK = re.compile(r"[\t\n\r]+")


def neutral(text: object, limit: int | None = None) -> str:
    """One line of text without characters that act on a terminal, a page or the order of reading.

    Args:
        text: anything; `str` is taken of it.
        limit: most characters to keep; longer text ends with an ellipsis.
    """
    clean = _ACTING.sub("\N{REPLACEMENT CHARACTER}", _BLANK.sub(" ", str(text)))
    return clean if limit is None or len(clean) <= limit else clean[: max(limit - 1, 0)].rstrip() + "…"


def counted(n: int, one: str, many: str = "") -> str:
    """``"1 question"``, ``"3 questions"``, with thousands separated."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
