"""Chapter 22: what its exercises expect."""

from minigpt.course.exercises import Case, Edit, Exercise, Question

SPEEDS = "speeds / stretch"
SLOWER = "speeds * stretch ** (-i / (head_dim - 2))"
BAND = "return causal_mask(T, S, device).triu(S - T - window + 1)"
CACHE = """
cache = RollingCache(4, sinks=1)
k = torch.arange(1.0, 15.0).view(1, 1, 7, 2)
v = -k
"""
FIVE = (
    CACHE
    + """
for t in range(5):
    cache.update(k[:, :, t : t + 1], v[:, :, t : t + 1])
"""
)
SIXTH = "cache.update(k[:, :, 5:6], v[:, :, 5:6])"
ALL = """\
    k = torch.cat([self.keys, k], 2)  # (B, H, S, D)
    v = torch.cat([self.values, v], 2)
"""
KEEP = "columns = [*range(min(self.sinks, S)), *range(newest, S)]"
STORE = (
    "self.keys = k[:, :, columns].detach()\n"
    "self.values = v[:, :, columns].detach()"
)
MOE = """
moe = fill(MixtureOfExperts(4, n_expert=6, top=2, bias=False))
x = torch.randn(2, 3, 4)
"""
BIASED = MOE + "moe.bias.data = torch.tensor([2.0, 0, 0, 1, 0, 0])\n"
PUSH = "self.bias += self.balance * (load.float().mean() - load).sign()"
LOADS = """
moe = MixtureOfExperts(4, n_expert=4, top=1, balance=0.5)
"""

EXERCISES = [
    Exercise(
        "sparse.stretch", "rope_speeds",
        cases=(
            Case("as trained, the speeds are those of RoPE",
                 "rope_speeds(8, 64)"),
            Case("as trained, a stretch changes nothing",
                 "rope_speeds(8, 64, 4.0)"),
            Case("interpolation divides every speed by the stretch",
                 'rope_speeds(8, 64, 4.0, "interpolate")'),
            Case("with another base the first pair keeps its speed, and the "
                 "last is as slow as interpolated",
                 'rope_speeds(8, 64, 4.0, "base")'),
            Case("so it is for any sizes", """
                D, stretch = 2 * number(3, 8), float(number(2, 9))
                [rope_speeds(D, 100, stretch, how)
                 for how in ("as trained", "interpolate", "base")]"""),
        ),
        hints=(
            "Two cases: divide by the stretch, or by the stretch to a power "
            "that goes from 0 for the first pair to 1 for the last.",
            "stretch ** (-i / (head_dim - 2)) is 1 for i = 0 and 1 / stretch "
            "for the last i, which is head_dim - 2."),
        right=(
            'if how == "base":\n'
            "    trained = trained * stretch ** (head_dim / (head_dim - 2))\n"
            "    speeds = trained ** (-i / head_dim)\n"
            'if how == "interpolate":\n'
            "    speeds = speeds * (1 / stretch)",
        ),
        wrong=(
            ("pass", "nothing changes yet, whatever `how` says"),
            (Edit(SPEEDS, "speeds * stretch"),
             "interpolation makes the clocks faster: divide by the stretch"),
            (Edit(SLOWER, "speeds / stretch"),
             "that slows all pairs alike: with \"base\" the first keeps its "
             "speed"),
            (Edit("(-i / (head_dim - 2))", "(i / (head_dim - 2))"),
             "the slow pairs become faster: the power is negative"),
            (Edit("(head_dim - 2)", "head_dim"),
             "the last pair is not slow enough: its i is head_dim - 2, and "
             "there the power must be -1"),
            (Edit("-i / (head_dim - 2)", "-2 * i / (head_dim - 2)"),
             "i is even already, it counts 0, 2, 4: no further 2"),
            (Edit("speeds * stretch **", "stretch **"),
             "that is the factor alone: multiply the speeds of training by it"),
            (Edit('elif how == "base"', "else"),
             'the base changes for "as trained" too: that must leave the '
             "speeds as they are"),
        ),
    ),
    Exercise(
        "sparse.window", "window_mask",
        cases=(
            Case("five tokens see three each", "window_mask(5, 5, 3)"),
            Case("the last two of five ask", "window_mask(2, 5, 3)"),
            Case("a window of one token is the token itself",
                 "window_mask(3, 3, 1)"),
            Case("a window as long as the text hides no past", """
                T = number(2, 6)
                window_mask(T, T, T)"""),
            Case("so it is for any sizes", """
                T, window = number(2, 5), number(1, 4)
                window_mask(T, T + number(1, 6), window)"""),
        ),
        hints=(
            "causal_mask(T, S, device) has the upper edge. "
            "Which method keeps what is on and above a diagonal?",
            "The own column of row i is i + S - T. .triu(d) keeps column j of "
            "row i where j - i is at least d."),
        right=(
            "t = torch.arange(S, device=device)\n"
            "distance = t[S - T :, None] - t  # (T, S)\n"
            "return (distance >= 0) & (distance < window)",
            "mask = causal_mask(T, S, device)\n"
            "return mask & ~mask.tril(S - T - window)",
        ),
        wrong=(
            (Edit(".triu(S - T - window + 1)", ""),
             "nothing old is hidden: that is the causal mask"),
            (Edit(" + 1", ""),
             "each token sees one too many: the window includes the token"),
            (Edit("+ 1", "+ 2"),
             "each token sees one too few: itself and window - 1 before it"),
            (Edit("S - T - window", "-window"),
             "the edge is where it is for T = S: the last T of S tokens ask"),
            (Edit(".triu", ".tril"),
             "that keeps the old and hides the new: triu, not tril"),
            (Edit("causal_mask(T, S, device)",
                  "torch.ones(T, S, dtype=torch.bool, device=device)"),
             "tokens see what comes after them: start with the causal mask"),
            (Edit("S - T - window + 1", "window - 1"),
             "the edge is above the diagonal: it must be below"),
        ),
    ),
    Exercise(
        "sparse.rolling", "RollingCache.update", core=True,
        cases=(
            Case("the first tokens come back",
                 CACHE + "cache.update(k[:, :, :2], v[:, :, :2])",
                 gradients=False),
            Case("all that fit are kept",
                 CACHE + "cache.update(k[:, :, :3], v[:, :, :3])\n"
                 "cache.keys, cache.values, cache.offset"),
            Case("a new token sees what was kept, and itself",
                 CACHE + "cache.update(k[:, :, :3], v[:, :, :3])\n"
                 "cache.update(k[:, :, 3:4], v[:, :, 3:4])", gradients=False),
            Case("when it is full, the oldest after the sinks leaves",
                 FIVE + "cache.keys, cache.values"),
            Case("and the next token sees the sink and its window",
                 FIVE + SIXTH, gradients=False),
            Case("the offset counts the columns kept",
                 FIVE + SIXTH + "\ncache.offset"),
            Case("a prompt longer than the window returns all of it and keeps "
                 "what the next token needs",
                 CACHE + "seen = cache.update(k, v)\n"
                 "seen, cache.keys, cache.offset", gradients=False),
            Case("without sinks only the newest stay", """
                cache = RollingCache(3)
                k = torch.randn(2, 2, 6, 4)
                cache.update(k, -k)
                cache.keys, cache.values, cache.offset"""),
            Case("a window of one token keeps nothing", """
                cache = RollingCache(1)
                k = torch.randn(1, 1, 3, 2)
                cache.update(k, k)
                cache.keys.shape, cache.offset"""),
            Case("a prompt shorter than the sinks is kept whole", """
                cache = RollingCache(3, sinks=4)
                k = torch.randn(1, 1, 2, 2)
                cache.update(k, k)
                cache.keys, cache.offset"""),
            Case("after a reset only the new text is there",
                 FIVE + f"cache.reset()\n{SIXTH}", gradients=False),
            Case("what is kept carries no gradient", """
                k, v = torch.randn(2, 1, 1, 5, 2, requires_grad=True)
                cache = RollingCache(3, sinks=1)
                cache.update(k, v)
                cache.keys.requires_grad, cache.values.requires_grad"""),
        ),
        hints=(
            "First append with torch.cat along dimension 2, but only where "
            "self.offset says that something is kept. Then make a list of the "
            "columns that stay, and choose them from both tensors.",
            "Of S columns, the first min(self.sinks, S) stay, and those from "
            "max(self.sinks, S - room) on, where room is self.block_size - "
            "self.sinks. k[:, :, columns] chooses them."),
        right=(
            "if self.offset:\n"
            "    k = torch.cat((self.keys, k), dim=2)\n"
            "    v = torch.cat((self.values, v), dim=2)\n"
            "first = min(self.sinks, k.size(2))\n"
            "rest = max(first, k.size(2) - self.block_size + self.sinks)\n"
            "self.keys, self.values = (\n"
            "    torch.cat([x[:, :, :first], x[:, :, rest:]], 2).detach()\n"
            "    for x in (k, v)\n"
            ")\n"
            "self.offset = self.keys.size(2)\n"
            "return k, v",
        ),
        wrong=(
            (Edit("self.offset = len(columns)\n", ""),
             "`offset` is still 0, so what was kept is forgotten at the next "
             "call"),
            (Edit("self.offset = len(columns)", "self.offset = S"),
             "`offset` counts all tokens so far: it is the number of columns "
             "that are kept"),
            (Edit("return k, v", "return self.keys, self.values"),
             "what is kept is returned: the new token must see its own column "
             "too"),
            (Edit("if self.offset:\n" + ALL, ""),
             "only the new tokens come back: append them to what was kept"),
            (Edit("if self.offset:", "if self.keys is not None:"),
             "after a reset the old text is still there: ask self.offset"),
            (Edit("if self.offset:\n" + ALL, ALL.replace("    ", "")),
             "an empty cache has no keys to append to: ask self.offset first"),
            (Edit("[self.keys, k]", "[k, self.keys]"),
             "the new keys come before the old ones"),
            (Edit("[self.values, v]", "[v, self.values]"),
             "the new values come before the old ones"),
            (Edit(KEEP, "columns = list(range(S))"),
             "nothing is forgotten: the cache grows with the text"),
            (Edit(KEEP, "columns = list(range(max(0, S - self.block_size), "
                  "S))"),
             "the sinks leave too: the first self.sinks columns stay"),
            (Edit(KEEP, "columns = list(range(min(S, self.block_size)))"),
             "the oldest stay and the newest leave: it must be the other way "
             "round"),
            (Edit("self.block_size - self.sinks", "self.block_size"),
             "there are too many columns: the sinks take some of the room"),
            (Edit("S - room", "S - room - 1"),
             "one column too many is kept: the next token brings its own"),
            (Edit("S - room", "S - room + 1"),
             "one column too few is kept"),
            (Edit("max(self.sinks, S - room)", "S - room"),
             "while there is room, sinks are kept twice or columns counted "
             "from the end: begin no earlier than self.sinks"),
            (Edit("min(self.sinks, S)", "self.sinks"),
             "a prompt can be shorter than the sinks: min(self.sinks, S)"),
            (Edit(STORE, STORE.replace("v[", "k[")),
             "the keys were kept as values too"),
            (Edit(STORE, STORE.replace(".detach()", "")),
             "what is kept still carries gradients: detach it"),
            (Edit(STORE, STORE.split("\n")[0]),
             "the values are not kept"),
        ),
    ),
    Exercise(
        "sparse.route", "MixtureOfExperts.route",
        cases=(
            Case("each token gets the two experts with the highest scores",
                 MOE + "moe.route(x)[0]"),
            Case("their weights are those scores", MOE + "moe.route(x)[1]"),
            Case("a bias changes the choice", BIASED + "moe.route(x)[0]"),
            Case("and not the weights", BIASED + "moe.route(x)[1]"),
            Case("one expert for each token", """
                moe = fill(MixtureOfExperts(4, n_expert=3, top=1, bias=False))
                x = torch.randn(5, 4)
                moe.route(x)"""),
        ),
        hints=(
            "Three steps: scores with a sigmoid, the choice by score plus "
            "bias, and the scores of those chosen.",
            "(scores + self.bias).topk(self.top).indices are the chosen "
            "experts, and scores.gather(-1, chosen) are their scores."),
        right=(
            "scores = torch.sigmoid(self.router(x))\n"
            "order = (scores + self.bias).argsort(-1, descending=True)\n"
            "chosen = order[..., : self.top]\n"
            "return chosen, torch.take_along_dim(scores, chosen, -1)",
        ),
        wrong=(
            (Edit(".sigmoid()", ".softmax(-1)"),
             "a softmax compares the experts: the sigmoid makes a score of "
             "each by itself"),
            (Edit(".sigmoid()", ""), "the sigmoid is missing"),
            (Edit("scores + self.bias", "scores"),
             "the bias is missing in the choice"),
            (Edit("scores.gather", "(scores + self.bias).gather"),
             "the bias counts in the weights too: it is for the choice only"),
            (Edit("return chosen, scores.gather(-1, chosen)",
                  "return scores.gather(-1, chosen), chosen"),
             "experts and weights are exchanged"),
            (Edit("self.top)", "self.top, largest=False)"),
             "the experts with the lowest scores are chosen"),
            (Edit("scores.gather(-1, chosen)", "scores"),
             "these are the scores of all experts: take those of the chosen"),
            (Edit("scores.gather(-1, chosen)",
                  "scores.gather(-1, chosen).softmax(-1)"),
             "the weights are made to sum to 1: the scores count as they are"),
        ),
    ),
    Exercise(
        "sparse.balance", "MixtureOfExperts.even_out",
        cases=(
            Case("up for experts with few tokens, down for those with many",
                 LOADS + "moe.even_out(torch.tensor([[0], [0], [0], [1]]))\n"
                 "moe.bias"),
            Case("who has the mean load stays", LOADS
                 + "moe.even_out(torch.tensor([0, 0, 1, 2]))\nmoe.bias"),
            Case("it adds up, pass by pass", LOADS
                 + "for _ in range(2):\n"
                 "    moe.even_out(torch.tensor([[3], [1], [1]]))\nmoe.bias"),
            Case("so it is for any loads", """
                moe = MixtureOfExperts(4, n_expert=6, balance=0.01)
                moe.even_out(torch.randint(5, (9, 2)))
                moe.bias"""),
        ),
        hints=(
            "Count how many of `chosen` are 0, how many are 1, and so on. "
            "torch has a method for that.",
            "chosen.flatten().bincount(minlength=len(self.experts)) is the "
            "load of each, and .sign() makes +1, 0 or -1 of a difference."),
        right=(
            "n = len(self.experts)\n"
            "load = nn.functional.one_hot(chosen.flatten(), n).sum(0).float()\n"
            "fair = chosen.numel() / n\n"
            "few, many = (load < fair).float(), (load > fair).float()\n"
            "self.bias.add_(self.balance * (few - many))",
        ),
        wrong=(
            (Edit("(load.float().mean() - load)", "(load - load.float().mean())"),
             "experts with many tokens get more: it must be the other way "
             "round"),
            (Edit(".sign()", ""),
             "the push grows with the difference: it is the same for all"),
            (Edit("self.balance * ", ""), "self.balance is missing"),
            (Edit("+=", "="),
             "the earlier pushes are lost: add to the bias"),
            (Edit("minlength=len(self.experts)", ""),
             "experts without tokens are not counted where they are the last: "
             "minlength"),
            (Edit(PUSH, "pass"), "the bias does not move"),
        ),
    ),
    Question(
        "sparse.predict-reach", 131040,
        "each block carries news 4,095 tokens further, and there are 32",
        ("How far back does one block see? The token itself counts as one of "
         "the window.",
         "32 blocks, each 4,096 - 1 tokens."),
        wrong={
            4096: "that is the window: the tokens in it have seen further back",
            4095: "that is one block: the tokens that it sees have looked back "
            "themselves",
            131072: "the window includes the token itself: it looks 4,095 back",
        },
    ),
    Question(
        "sparse.predict-bytes", 288,
        "256 for the latent and 32 channels of a key that is turned, which all "
        "heads share",
        ("Which numbers are cached: keys, values, or what they are made of?",
         "The latent, and half of the 64 channels of one head."),
        wrong={
            256: "the channels that are turned are missing: half of 64",
            320: "only half of a head's channels are turned: 32",
            768: "all heads share the turned channels: they are there once",
            512: "the latent serves keys and values: it is kept once",
        },
    ),
    Question(
        "sparse.break-top1", "b",
        "a softmax over a single score is 1, whatever the score is",
        ("What is the softmax of one number?",
         "Does that change when the number does?"),
        wrong={
            "a": "the sigmoid changes with the score: does a softmax over one "
            "score change too?",
            "c": "the weight is 1 for good and for bad experts alike",
        },
    ),
]  # fmt: skip
