"""Differences of texts, word by word, with a limited effort: any writer of a row can make the texts hostile."""

from __future__ import annotations

import dataclasses
import re

MOST_WORDS = 5000
"""The most characters of a text that are shown and compared."""
EDITS = 200
"""The most words that were added or removed. A text with more of them is shown whole, before and after."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of a text: `kind` is `same`, `gone` or `new`."""

    kind: str
    text: str


@dataclasses.dataclass(kw_only=True)
class Effort:
    """The effort that a page has left."""

    left: int = 1_000_000
    """Comparisons of words: so many take half a second."""


def pieces(old: str, new: str, effort: Effort) -> tuple[Piece, ...]:
    """Return the kept, removed and added words of a text; nothing if finding them takes too much effort."""
    # The spaces are kept as words of their own, so that the pieces joined are the text again.
    before, after = (re.split(r"(\s+)", text[:MOST_WORDS]) for text in (old, new))
    # Most edits leave the beginning and the end as they were: the search is for what lies between.
    start = _common(before, after, effort)
    end = _common(before[start:][::-1], after[start:][::-1], effort)
    inner = _path(before[start : len(before) - end], after[start : len(after) - end], effort)
    if inner is None:
        return ()
    rest = [("same", word) for word in before[len(before) - end :]]
    return _joined([*(("same", word) for word in before[:start]), *inner, *rest])


def _common(before: list[str], after: list[str], effort: Effort) -> int:
    """Return the number of equal words at the beginning."""
    count = next(
        (n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
    )
    effort.left -= count
    return count


def _path(before: list[str], after: list[str], effort: Effort) -> list[tuple[str, str]] | None:
    """Return the shortest list of kept, removed and added words; None if there are too many edits.

    The algorithm is that of E. Myers, An O(ND) Difference Algorithm and Its Variations (1986). For each number of
    edits it finds the furthest point on each diagonal.
    """
    furthest, trails = {1: 0}, []
    # Twice bounded: by the edits of this text, and by the comparisons of the whole page.
    for edits in range(EDITS + 1):
        trails.append(dict(furthest))
        for diagonal in range(-edits, edits + 1, 2):
            down = diagonal == -edits or (
                diagonal != edits and furthest.get(diagonal - 1, -1) < furthest.get(diagonal + 1, -1)
            )
            x = furthest[diagonal + 1] if down else furthest[diagonal - 1] + 1
            start, y = x, x - diagonal
            while x < len(before) and y < len(after) and before[x] == after[y]:
                x, y = x + 1, y + 1
            furthest[diagonal] = x
            effort.left -= 1 + x - start
            if x >= len(before) and y >= len(after):
                return _back(before, after, trails)
        if effort.left <= 0:
            break
    return None


def _back(before: list[str], after: list[str], trails: list[dict[int, int]]) -> list[tuple[str, str]]:
    """Return the words along the path to the end, from the beginning on."""
    x, y, steps = len(before), len(after), list[tuple[str, str]]()
    for edits, furthest in reversed(list(enumerate(trails))):
        diagonal = x - y
        down = diagonal == -edits or (
            diagonal != edits and furthest.get(diagonal - 1, -1) < furthest.get(diagonal + 1, -1)
        )
        from_x = 0 if not edits else furthest[diagonal + 1] if down else furthest[diagonal - 1]
        from_y = 0 if not edits else from_x - (diagonal + 1 if down else diagonal - 1)
        while x > from_x and y > from_y:
            x, y = x - 1, y - 1
            steps.append(("same", before[x]))
        if edits:
            steps.append(("new", after[from_y]) if down else ("gone", before[from_x]))
            x, y = from_x, from_y
    return steps[::-1]


def _joined(words: list[tuple[str, str]]) -> tuple[Piece, ...]:
    """Return words as pieces: between two kept words, first all removed words and then all added words."""
    joined: list[Piece] = []
    texts = {"same": "", "gone": "", "new": ""}

    def end(*kinds: str) -> None:
        joined.extend(Piece(kind=kind, text=texts[kind]) for kind in kinds if texts[kind])
        texts.update(dict.fromkeys(kinds, ""))

    for kind, word in words:
        if kind == "same":
            end("gone", "new")
        else:
            end("same")
        texts[kind] += word
    end("same", "gone", "new")
    return tuple(joined)
