"""Chapter 10: what its exercises expect."""

from types import SimpleNamespace

import torch
from torch import nn
from torch.nn.functional import one_hot

from minigpt.course.exercises import Case, Edit, Exercise, Question


class Reader(nn.Module):
    """Scores the next of 7 tokens by those before it and by their order."""

    head = nn.Identity()

    def __init__(self, block_size):
        super().__init__()
        self.config = SimpleNamespace(block_size=block_size)
        self.token = nn.Embedding(7, 7)
        self.drop = nn.Dropout(0.5)

    def hidden(self, idx, *, mask=None, cache=None):
        for layer in cache or ():
            layer.calls.append(f"read {idx.size(1)} tokens")
        x = self.drop(self.token(idx))  # (B, T, 7)
        if mask is not None:
            x = x * mask[..., None]
        return (x * torch.arange(1.0, 1 + idx.size(1))[:, None]).cumsum(1)


class Counter(Reader):
    """Counts up: after 3 comes 4, and after 6 comes 0."""

    def hidden(self, idx, *, mask=None, cache=None):
        return one_hot((idx + 1) % 7, 7).float()


ROWS = """
logits = torch.tensor([[1.0, 3.0, -1.0, 2.0, 0.5, -2.0],
                       [0.2, -0.5, 1.0, -1.0, 0.6, 0.8]])
"""
MANY = "logits = 2 * torch.randn(4, 3, 8).transpose(0, 1)\n"
SHARES = """
shares = torch.tensor([[0.1, 0.4, 0.05, 0.25, 0.2], [0.3, 0.15, 0.5, 0.05, 0]])
logits = shares.log()
"""
COUNT = "model = Counter(block_size=16)\n"
READ = """
model = fill(Reader(block_size=4))
idx = torch.randint(7, (3, 2))
dice = torch.Generator().manual_seed(0)
"""
GREEDY = "list(generate(model, idx, n=6, sampling=Sampling(temperature=0){}))"
DRAWN = "list(generate(model, idx, n=6, generator=dice{}))"
PAD = """
mask = torch.tensor([[False, False, True], [True, True, True]])
idx = torch.randint(1, 7, (2, 3)) * mask
"""
BEFORE = "before = probs.cumsum(-1) - probs\n"
LOWER = "lower = torch.where(logits > 0, {}, {})"
LOGITS = "next_logits(model, idx, mask=mask, cache=cache)"
CHOICE = "choose(logits, sampling, seen, generator)"
ENDED = "    if len(stop) and done.all():\n        return\n"
GROW = "idx = torch.cat([idx, new[:, None]], 1)"
GREW = "mask = torch.cat([mask, mask.new_ones(len(idx), 1)], 1)"

EXERCISES = [
    Exercise(
        "sample.temperature",
        "temperature",
        cases=(
            Case("hot is flat", ROWS + "temperature(logits, 2.0)"),
            Case("cold is sharp", ROWS + "temperature(logits, 0.5)"),
            Case("the same holds for any number of dimensions", MANY
                 + "t = number(1, 30) / 10\ntemperature(logits, t)"),
        ),
        hints=(
            "Hot is flat: the differences between logits must shrink when t "
            "grows.",
            "Divide the logits by t.",
        ),
        right=("return logits * (1 / t)",),
        wrong=(
            ("return logits * t",
             "the wrong way round: a high temperature makes logits smaller"),
            ("return (logits / t).softmax(-1)",
             "these are probabilities: the logits are asked for"),
            ("return logits.softmax(-1) / t",
             "probabilities were divided: divide the logits"),
            ("return logits", "the temperature has no effect"),
        ),
    ),
    Exercise(
        "sample.top_k",
        "top_k",
        cases=(
            Case("each row keeps its two largest, in their own positions",
                 ROWS + "top_k(logits, 2)"),
            Case("a single row works", ROWS + "top_k(logits[1], 3)"),
            Case("of equal logits the lowest ids are kept", """
                logits = torch.tensor([[1.0, 2.0, 1.0, 1.0],
                                       [0.0, 0.0, 0.0, -3.0]])
                top_k(logits, 2)"""),
            Case("the same holds for any ties and any number of dimensions", """
                logits = torch.randint(0, 4, (3, 2, 9)).float()
                k = number(1, 8)
                top_k(logits, k)"""),
            Case("nothing is cut if k is larger than the vocabulary",
                 MANY + "top_k(logits, 8), top_k(logits, 50)"),
        ),
        hints=(
            "order[..., :k] are the ids of the k largest of each row. Which "
            "ids must be cut?",
            "logits.scatter(-1, order[..., k:], -torch.inf) writes -inf at "
            "the places of all the others.",
        ),
        right=(
            "kept = torch.full_like(logits, -torch.inf)\n"
            "best = order[..., :k]\n"
            "return kept.scatter(-1, best, logits.gather(-1, best))",
            "rank = order.argsort(-1)\n"
            "return logits.masked_fill(rank >= k, -torch.inf)",
        ),
        wrong=(
            ("return logits.scatter(-1, order[..., :k], -torch.inf)",
             "the largest were cut, and the others kept"),
            ("return logits.scatter(-1, order[..., k + 1 :], -torch.inf)",
             "one too many is left"),
            ("return logits.scatter(-1, order[..., k - 1 :], -torch.inf)",
             "one too many was cut"),
            ("return logits.scatter(-1, order[..., k:], 0.0)",
             "cut logits became 0, which is no small logit: -inf"),
            ("out = logits.gather(-1, order)\n"
             "out[..., k:] = -torch.inf\nreturn out",
             "the logits are sorted now: each token must keep its position"),
            ("out = logits.clone()\nout[..., k:] = -torch.inf\nreturn out",
             "the first k ids were kept, not the k largest"),
            ("return logits.masked_fill(order >= k, -torch.inf)",
             "order holds ids, not ranks: the ids in order[..., :k] stay"),
            ("out = logits.clone()\nout[..., order[0, k:]] = -torch.inf\n"
             "return out", "the order of the first row was used for every row"),
            ("bar = logits.topk(k).values[..., -1:]\n"
             "return logits.masked_fill(logits < bar, -torch.inf)",
             "equal logits were all kept, so more than k are left: cut by "
             "position in the order, not by size"),
            ("bar = logits.gather(-1, order[..., k : k + 1])\n"
             "return logits.masked_fill(logits <= bar, -torch.inf)",
             "all of the equal logits were cut, so fewer than k are left: cut "
             "by position in the order"),
            ("return logits.scatter(-1, logits[..., k:], -torch.inf)",
             "scatter needs positions, whole numbers: those in order"),
            ("return logits.scatter(0, order[..., k:], -torch.inf)",
             "the positions are along the vocabulary: dim -1"),
            ("return logits.scatter(-1, order[k:], -torch.inf)",
             "logits have one dimension more: cut along the last, "
             "order[..., k:]"),
            ("best = logits.topk(k)\nkept = torch.full_like(logits, -torch.inf)"
             "\nreturn kept.scatter(-1, best.indices, best.values)",
             "topk may keep any of several equal logits: in `order` the lowest "
             "ids come first"),
            ("return logits.topk(k)",
             "these are the k largest and their ids: return all the logits, "
             "with -inf in place of the others"),
            ("out = logits.clone()\nout[..., order[..., k:]] = -torch.inf\n"
             "return out", "the ids of every row were cut in every row: "
             "scatter(-1, …) takes each row's own"),
            ("return logits", "nothing was cut"),
        ),
        core=True,
    ),
    Exercise(
        "sample.top_p",
        "top_p",
        cases=(
            Case("the fewest tokens that reach p together are kept",
                 SHARES + "top_p(logits, 0.7)"),
            Case("exactly p is enough",
                 "logits, p = torch.zeros(8), number(2, 7) / 8\n"
                 "top_p(logits, p)"),
            Case("one token is always kept", """
                logits = torch.tensor([[0.0, 9.0, 0.0], [0.1, 0.0, 0.2]])
                top_p(logits, 0.5), top_p(logits, 1e-9)"""),
            Case("the same holds for any number of dimensions",
                 MANY + "p = number(2, 9) / 10\ntop_p(logits, p)"),
        ),
        hints=(
            "A token goes when the likelier ones alone reach p. What do they "
            "reach together?",
            "probs.cumsum(-1) counts the token itself: subtract probs. Cut "
            "where that is at least p.",
        ),
        right=(
            "reached = probs.cumsum(-1) >= p\n"
            "cut = torch.zeros_like(reached)\n"
            "cut[..., 1:] = reached[..., :-1]",
        ),
        wrong=(
            ("cut = probs.cumsum(-1) >= p",
             "the token that reaches p is cut too: ask what the likelier ones "
             "reach before it"),
            (BEFORE + "cut = before > p",
             "one token more is left, though the likelier ones have exactly p "
             "together: cut where they have at least p"),
            ("cut = probs < p",
             "tokens are compared one by one: add up from the likeliest"),
            (BEFORE + "cut = before < p",
             "the likely ones are cut and the unlikely kept"),
            ("cut = probs.cumsum(0) - probs >= p",
             "the sum runs over the rows of the batch: along the vocabulary"),
            ("cut = ordered.cumsum(-1) - ordered >= p",
             "logits were added up: add up probabilities"),
            (BEFORE + "cut = before >= 1 - p", "this keeps 1 - p, not p"),
            ("mine = logits.softmax(-1)\ncut = mine.cumsum(-1) - mine >= p",
             "logits are in the order of their ids: add up probs"),
            (BEFORE + "cut = order[before >= p]",
             "cut has one bool for each token, not ids"),
            (BEFORE + "kept = before < p",
             "the blank must make `cut`, True for what goes"),
            ("cut = probs < 0", "nothing was cut"),
        ),
        core=True,
    ),
    Exercise(
        "sample.min_p",
        "min_p",
        cases=(
            Case("everything below a fifth of its row's best is cut",
                 ROWS + "min_p(logits, 0.2)"),
            Case("with p = 1 the best is kept, or several if they are equal", """
                logits = torch.tensor([1.0, 2.0, 0.0, 2.0])
                min_p(logits, 1.0)"""),
            Case("the same holds for any number of dimensions",
                 MANY + "p = number(1, 9) / 10\nmin_p(logits, p)"),
        ),
        hints=(
            "The bar is relative: a share p of the best probability of the "
            "row.",
            "p * probs.amax(-1, keepdim=True).",
        ),
        right=("bar = probs.max(dim=-1, keepdim=True).values * p",),
        wrong=(
            ("bar = p",
             "the bar is p itself: it is p times the largest probability"),
            ("bar = p * probs.max()",
             "one bar for the whole batch: each row has its own best"),
            ("bar = probs.amax(-1, keepdim=True)",
             "the bar is the largest probability: times p"),
            ("bar = p * probs.amax(0, keepdim=True)",
             "the best of each column was taken: dim -1"),
            ("bar = p * logits.amax(-1, keepdim=True)",
             "the bar is made of logits: of probabilities"),
            ("bar = (1 - p) * probs.amax(-1, keepdim=True)",
             "the bar is 1 - p times the largest"),
            ("bar = p * probs.amax(-1)",
             "each row has its own bar: keepdim=True makes the shapes fit"),
            ("bar = p * probs.max(-1, keepdim=True)",
             "max along a dimension also says where: amax, or max(…).values"),
        ),
    ),
    Exercise(
        "sample.repetition_penalty",
        "repetition_penalty",
        cases=(
            Case("tokens in seen become less likely, whatever the sign", ROWS + """
seen = torch.tensor([[1, 2, 1], [0, 3, -1]])
repetition_penalty(logits, seen, 2.0)"""),
            Case("the same holds for any logits", """
                logits = 3 * torch.randn(4, 9)
                seen = torch.randint(-1, 9, (4, 6))
                repetition_penalty(logits, seen, 1.3)"""),
        ),
        hints=(
            "Dividing by 2 lowers 4, but it raises -4.",
            "torch.where(logits > 0, logits / penalty, logits * penalty).",
        ),
        right=(
            "lower = logits * penalty ** -logits.sign()",
            "lower = torch.minimum(logits / penalty, logits * penalty)",
        ),
        wrong=(
            ("lower = logits / penalty",
             "a negative logit divided comes closer to 0, which makes it more "
             "likely: multiply those"),
            ("lower = logits * penalty",
             "a positive logit multiplied becomes more likely: divide those"),
            (LOWER.format("logits * penalty", "logits / penalty"),
             "the wrong way round: divide the positive, multiply the others"),
            (LOWER.format("logits / penalty**times",
                          "logits * penalty**times"),
             "what was written twice is lowered twice: once is enough"),
            ("lower = logits - penalty",
             "the penalty is subtracted: the paper divides"),
            ("if logits > 0:\n    lower = logits / penalty\n"
             "else:\n    lower = logits * penalty",
             "each logit has its sign, `if` decides for all: torch.where"),
            ("lower = logits", "nothing became less likely"),
        ),
    ),
    Exercise(
        "sample.generate",
        "generate",
        cases=(
            Case("it yields a token and its probability", COUNT
                 + "idx = torch.tensor([[number(0, 6)], [3]])\n"
                 "next(generate(model, idx, n=3, "
                 "sampling=Sampling(temperature=0)))"),
            Case("n tokens, one after the other", COUNT
                 + "idx = torch.tensor([[1], [3]])\n" + GREEDY.format("")),
            Case("each token depends on all the tokens before it", READ
                 .replace("4", "32") + GREEDY.format("")),
            Case("the text may become longer than block_size",
                 READ + GREEDY.format("")),
            Case("draws follow the generator and the settings", READ
                 + "list(generate(model, idx, n=9, generator=dice, "
                 "sampling=Sampling(temperature=0.7, top_k=3)))"),
            Case("the penalty covers everything written so far", READ
                 + "idx = torch.randint(7, (6, 2))\n"
                 "s = Sampling(temperature=0, penalty=9.0)\n"
                 "list(generate(model, idx, n=9, sampling=s))"),
            Case("between the tokens the model is back in training mode", READ
                 + "model = model.train()\n"
                 "[(*x, model.training) for x in generate(model, idx, n=4, "
                 "generator=dice)]"),
            Case("a prompt longer than block_size raises ValueError",
                 READ + "idx = torch.zeros(1, 5, dtype=torch.long)\n"
                 "list(generate(model, idx, n=1))"),
            Case("a cache is reset first, then used", READ + """
calls = []
layer = SimpleNamespace(
    offset=0, calls=calls, reset=lambda: calls.append("reset"))
list(generate(model, idx, n=2, generator=dice, cache=[layer])), calls"""),
            Case("the model does not read padding", READ + PAD
                 + DRAWN.format(", mask=mask")),
            Case("padding does not count for the penalty", READ + PAD
                 + "s = Sampling(penalty=9.0)\n"
                 + DRAWN.format(", mask=mask, sampling=s")),
            Case("it ends once every row has written a stop token", COUNT
                 + "idx = torch.tensor([[0], [3]])\n"
                 + GREEDY.format(", stop=[5]")),
            Case("a row that is done repeats its token, with probability 1", READ
                 + "idx = torch.randint(7, (9, 3))\n"
                 + DRAWN.format(", stop=(1, 4, 5)")),
        ),
        hints=(
            "The loop first: next_logits, choose, yield, and what the next "
            "turn must know. Each further part is a line or two.",
            "torch.cat([idx, new[:, None]], 1) appends; done |= "
            "torch.isin(new, stop) notes who is done, for a stop that is a "
            "tensor.",
        ),
        right=(
            Edit(GROW, "idx = torch.hstack([idx, new.unsqueeze(1)])"),
            "check_prompt(idx, mask, model.config.block_size)\n"
            "if cache:\n    for layer in cache:\n        layer.reset()\n"
            "if mask is None:\n    mask = torch.ones_like(idx).bool()\n"
            "ended = [False] * len(idx)\n"
            "while n > 0 and not all(ended):\n"
            "    with evaluating(model):\n"
            "        logits = " + LOGITS + "\n"
            "        new, p = choose(\n            logits, sampling, "
            "torch.where(mask, idx, -1), generator)\n"
            "    for b in range(len(idx)):\n"
            "        if ended[b]:\n            new[b], p[b] = idx[b, -1], 1\n"
            "        ended[b] |= int(new[b]) in set(stop)\n"
            "    yield new, p\n    n -= 1\n"
            "    idx = torch.column_stack([idx, new])\n"
            "    mask = torch.nn.functional.pad(mask, (0, 1), value=True)",
        ),
        wrong=(
            (Edit(GROW, "pass"),
             "the model never sees what was written: append it to idx"),
            (Edit(GROW, "idx = new[:, None]"),
             "the model sees the new token only: keep the text before it"),
            (Edit(GROW, "idx = torch.cat([idx[:, :-1], new[:, None]], 1)"),
             "the new token took the place of the last"),
            (Edit(GROW, "idx = torch.cat([idx[:, 1:], new[:, None]], 1)"),
             "the oldest token was dropped: the window has room"),
            (Edit(GROW, "idx = torch.cat([new[:, None], idx], 1)"),
             "the new token went before the text: it comes after it"),
            (Edit(GROW, "idx = torch.cat([idx, new], 1)"),
             "new is (B,): give it a dimension, new[:, None]"),
            (Edit(GROW, "idx = torch.cat([idx, new[:, None]])"),
             "put it after the tokens, along dim 1"),
            (Edit(GROW, "idx = torch.cat([idx.flatten(), new])"),
             "idx must stay (B, T)"),
            (Edit(GROW, GROW + "\n    idx = idx[:, -model.config.block_size :]"),
             "the text was cropped: the penalty needs all of it, and "
             "next_logits takes the last block_size tokens by itself"),
            (Edit("yield new, p\n", "return [(new, p)]\n"),
             "return ends the function: yield hands over a token and goes on"),
            (Edit("yield new, p\n", "yield new\n"),
             "the probability is asked for too: yield new, p"),
            (Edit(CHOICE, "(greedy(logits), logits.softmax(-1).amax(-1))"),
             "this is always greedy: choose follows the settings"),
            (Edit(CHOICE, "choose(logits, Sampling(), seen, generator)"),
             "the settings have no effect: choose needs sampling"),
            (Edit(CHOICE, "choose(logits, sampling, seen)"),
             "the draw must come from the generator that was passed in"),
            (Edit(CHOICE, "choose(logits, sampling, None, generator)"),
             "the penalty has no effect: choose needs what was written"),
            (Edit("with evaluating(model):\n        ", ""),
             "dropout is on while the model writes: evaluating"),
            (Edit("with evaluating(model):\n        ",
                  "model.eval()\n    "),
             "the model stays in evaluation mode: evaluating puts it back"),
            (Edit("check_prompt(idx, mask, model.config.block_size)\n", ""),
             "a prompt longer than the window must be refused: check_prompt"),
            (Edit("for layer in cache or ():\n    layer.reset()\n", ""),
             "the cache still holds another text: reset its layers"),
            (Edit("cache=cache", "cache=None"),
             "the cache is not used: next_logits needs it"),
            (Edit("mask=mask, cache", "mask=None, cache"),
             "padding is read like text: next_logits needs the mask"),
            (Edit(GREW, "pass"), "the mask must grow with the text"),
            (Edit(GREW, GREW.replace("ones", "zeros")),
             "what was written is no padding: True in the mask"),
            (Edit("idx if mask is None else idx.masked_fill(~mask, -1)",
                  "idx"), "padding was not written: -1 in what choose sees"),
            (Edit(ENDED, ""), "it goes on when every row is done: return"),
            (Edit("done.all()", "done.any()"),
             "it ends with the first row that is done: all of them"),
            (Edit("    yield new, p\n" + ENDED, ENDED + "    yield new, p\n"),
             "the last stop token is not yielded: yield, then return"),
            (Edit("new = torch.where(done, idx[:, -1], new)", "pass"),
             "a row that is done writes on: it repeats its stop token"),
            (Edit("p = p.masked_fill(done, 1.0)", "pass"),
             "what a row repeats has probability 1"),
        ),
        core=True,
    ),
    Question(
        "sample.predict-greedy",
        "a",
        "one token is left by either, the most likely one, with the lowest "
        "id among equals",
        (
            "How many tokens does each of the two leave?",
            "Which one, and what if two are equally likely?",
        ),
        wrong={
            "b": "with one token left there is no chance left either",
            "c": "both break ties by the lowest id",
        },
        words=("no",),
    ),
    Question(
        "sample.predict-min-p",
        0.05,
        "a tenth of the best, 0.5, is 0.05",
        (
            "The bar is relative to the most likely token.",
            "Multiply p by the largest probability.",
        ),
        wrong={
            0.1: "that would be the bar if the best had probability 1",
            0.5: "that is the best itself",
            0.4: "the bar is p times the best, not the best minus p",
        },
        within=0.001,
    ),
]  # fmt: skip
