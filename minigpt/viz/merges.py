"""Byte-pair merges, step by step: words fall into fewer and fewer tokens."""

from collections import Counter
from itertools import pairwise

import traitlets

from minigpt.tokenizer import merge_pair
from minigpt.viz.base import Widget, html_table

MOST = 6  # pairs shown at each step


def as_text(token):
    r"""Bytes or text -> text; bytes that are no UTF-8 become `\xf0`."""
    if isinstance(token, str):
        return token
    return token.decode("utf-8", errors="backslashreplace")


def pieces(word):
    """Text -> its characters; bytes -> its single bytes."""
    if isinstance(word, str):
        return tuple(word)
    return tuple(word[i : i + 1] for i in range(len(word)))


def ranked_pairs(words, times):
    """The pairs of the words with their counts, the next to merge first."""
    counts = Counter()
    for word, n in zip(words, times, strict=True):
        for pair in pairwise(word):
            counts[pair] += n
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


class MergeSteps(Widget):
    """The words after each merge, and the pairs that could be merged next.

    `words` is {text or bytes: how often}, `merges` a list of pairs in order.
    Merges that no word holds are left out.
    """

    times = traitlets.List().tag(sync=True)  # of each word
    steps = traitlets.List().tag(sync=True)  # one dict for 0, 1, 2, … merges

    def __init__(self, words, merges):
        if not words:
            raise ValueError("words must hold at least one word, got none")
        times = list(words.values())
        now = [pieces(word) for word in words]
        steps = [_step(now, times, None)]
        for pair in map(tuple, merges):
            counts = dict(ranked_pairs(now, times))
            if pair in counts:
                now = [merge_pair(word, pair) for word in now]
                steps.append(_step(now, times, (*pair, counts[pair])))
        super().__init__(times=times, steps=steps)

    def describe(self):
        """One sentence: how many merges, and what they save."""
        first, last = self.steps[0]["total"], self.steps[-1]["total"]
        return (
            f"{len(self.steps) - 1} merges on {len(self.times)} words: "
            f"from {first} tokens to {last}."
        )

    def fallback(self):
        """The merges as a table."""
        rows = [
            [n, *step["merged"][:2], step["merged"][2], step["total"]]
            for n, step in enumerate(self.steps[1:], 1)
        ]
        header = ["merge", "left", "right", "times", "tokens afterwards"]
        return html_table(self.describe(), header, rows)


def _step(words, times, merged):
    """What is seen after one merge, as plain lists for JavaScript."""
    texts = [[as_text(token) for token in word] for word in words]
    pairs = ranked_pairs(words, times)
    return {
        "merged": merged
        and [as_text(merged[0]), as_text(merged[1]), merged[2]],
        "words": texts,
        "pairs": [[as_text(a), as_text(b), n] for (a, b), n in pairs[:MOST]],
        "total": sum(len(w) * n for w, n in zip(words, times, strict=True)),
    }
