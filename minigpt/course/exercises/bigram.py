"""Chapter 3: what its exercises expect."""

import math

from minigpt.course.exercises import Case, Edit, Exercise, Question

TRAIN = """
model = fill(BigramLM(4))
x, y = torch.randint(4, (2, 20, 2, 5))
turns = zip(x, y)
"""
READER = """
model = fill(nn.Sequential(nn.Embedding(4, 9), nn.Softmax(1), nn.Linear(9, 4)))
model[2].weight.data *= 8
generator = torch.Generator().manual_seed(5)
"""
TEXT = "text = np.random.randint(3, size=20).tolist()\n"
UNSEEN = "WittenBell(text, 3, 5).log_probs([0, 3, 1, 4, 2, 3, 0])"
LOOK = "probs = model(seen)"
ROWS = "logits = logits.flatten(0, -2)\n"
TURN = "for step in tqdm(range(steps), leave=False):\n    x, y = batches()\n"
ADAM = "optimizer = torch.optim.AdamW(model.parameters(), lr=lr)\n"
ABOVE, BELOW = "seen + kinds * p", "np.maximum(total + kinds, 1)"

EXERCISES = [
    Exercise(
        "bigram.count_bigrams",
        "count_bigrams",
        cases=(
            Case("row a, column b holds how often b follows a", """
                ids = torch.tensor([0, 1, 3, 1, 3, 2, 0])
                count_bigrams(ids, 4)"""),
            Case("whatever the ids and the size of the vocabulary", """
                V = number(3, 6)
                ids = torch.randint(V, (12, 2))
                count_bigrams(ids[:, 1], V)"""),
        ),
        hints=(
            "The pairs are ids[:-1] with ids[1:]. As two digits make one "
            "number in base 10, two ids make one in base V.",
            "First id times vocab_size, plus the second.",
        ),
        right=(
            "pairs = torch.add(ids[1:], ids[:-1], alpha=vocab_size)",
            "both = zip(ids[:-1].tolist(), ids[1:].tolist())\n"
            "pairs = torch.tensor([a * vocab_size + b for a, b in both])",
        ),
        wrong=(
            ("pairs = ids[1:] * vocab_size + ids[:-1]",
             "rows and columns are exchanged: the first of a pair is the row, "
             "so it is the one times V"),
            ("pairs = ids * vocab_size + ids.roll(-1)",
             "there is one pair too many: the last id with the first"),
            ("pairs = ids[:-1] + ids[1:]",
             "different pairs get the same number: multiply the first by V"),
            ("pairs = ids * vocab_size + ids",
             "each token is paired with itself"),
            ("pairs = ids[:-1] * 10 + ids[1:]",
             "the base is 10: with V tokens it is V"),
            ("pairs = (ids[:-1] + 1) * vocab_size + ids[1:]",
             "a number is larger than V · V - 1: ids count from 0, so it is "
             "the first token times V, plus the second"),
            ("pairs = ids * vocab_size + ids[1:]",
             "the two sides have different lengths: all but the last id, and "
             "all but the first"),
            ("pairs = torch.stack([ids[:-1], ids[1:]], dim=1)",
             "each pair must become one number: the shape is (N - 1,)"),
        ),
    ),
    Exercise(
        "bigram.cross_entropy",
        "cross_entropy",
        cases=(
            Case("the mean over all positions that count", """
                logits = torch.randn(2, 3, 5)
                targets = torch.tensor([[1, 0, 4], [2, 2, -100]])
                cross_entropy(logits, targets)"""),
            Case("rows without a batch work too", """
                logits, targets = torch.randn(3, 2), torch.tensor([0, 0, 1])
                cross_entropy(logits, targets)"""),
            Case("and so do slices of larger tensors", """
                logits = torch.randn(2, 4, 5)
                targets = torch.randint(5, (2, 4))
                cross_entropy(logits[:, :-1], targets[:, 1:])"""),
        ),
        hints=(
            "F.cross_entropy takes rows: logits (N, V) and targets (N,).",
            "flatten(0, -2) joins all dimensions but the last; the targets "
            "are flattened whole.",
        ),
        right=(
            "logits = logits.reshape(-1, logits.size(-1))\n"
            "targets = targets.reshape(-1)",
            "if logits.ndim > 2:\n    logits = logits.movedim(-1, 1)",
        ),
        wrong=(
            ("pass", "F.cross_entropy wants the classes second: make rows of "
             "both, (N, V) and (N,)"),
            (ROWS, "logits and targets have different numbers of rows: "
             "flatten both to N = B · T"),
            ("logits, targets = logits.flatten(), targets.flatten()",
             "the logits lost their rows: keep the last dimension"),
            ("logits = logits.reshape(-1, logits.size(1))\n"
             "targets = targets.flatten()",
             "the rows hold V = logits.size(-1) numbers"),
            ("logits, targets = logits.flatten(0, 1), targets.flatten()",
             "without a batch, dimension 1 is the vocabulary: flatten(0, -2)"),
            ("B, T, V = logits.shape\nlogits = logits.reshape(B * T, V)\n"
             "targets = targets.reshape(B * T)",
             "logits need not be (B, T, V): any number of dimensions may come "
             "before the last"),
            ("logits = logits.view(-1, logits.size(-1))\n"
             "targets = targets.view(-1)",
             "view only works on numbers that are stored in this order, and "
             "those of a slice are not: flatten or reshape"),
            (ROWS + "targets = targets.flatten().float()",
             "targets are ids, whole numbers"),
            ("logits, targets = logits[:, -1], targets[:, -1]",
             "only the last position counts here: every one has a target"),
            ("logits, targets = logits[:, 0], targets[:, 0]",
             "only the first position counts here"),
            (ROWS + "logits, targets = logits.softmax(-1), targets.flatten()",
             "softmax was taken twice: cross_entropy does it itself, so hand "
             "over the logits"),
            ("logits, targets = logits.mean(1), targets[:, 0]",
             "the positions were averaged before the loss"),
            ("logits = logits.transpose(1, 2).reshape(-1, logits.size(-1))\n"
             "targets = targets.flatten()",
             "logits and targets are mixed up: reshaping a transposed tensor "
             "puts numbers into other rows"),
            (ROWS + "targets = targets.t().reshape(-1)",
             "batch and time are exchanged in one of the two: both must be "
             "flattened in the same order"),
        ),
    ),
    Exercise(
        "bigram.fit",
        "fit",
        cases=(
            Case("one step returns one loss, that of the model before it",
                 TRAIN + "fit(model, lambda: next(turns), steps=1)"),
            Case("and changes the model itself", TRAIN
                 + "[fit(model, lambda: next(turns), steps=1, lr=0.1), "
                 "model.table.weight.detach()]"),
            Case("each step clears, computes and uses the gradient", TRAIN
                 + "[fit(model, lambda: next(turns), steps=5, lr=0.1), "
                 "model.table.weight.detach()]"),
            Case("the model learns in training mode", TRAIN
                 + "[fit(model, lambda: next(turns), steps=2), "
                 "model.training]"),
            Case("after each step, callback gets its number and its loss",
                 TRAIN + "calls, table = [], model.table.weight\n"
                 "def callback(step, loss):\n"
                 "    calls.append((step, loss, table.tolist()))\n"
                 "[fit(model, lambda: next(turns), steps=3, callback=callback)"
                 ", calls]"),
        ),
        hints=(
            "The optimizer is made before the loop. In it, each step forgets "
            "the old gradient, computes the new one, and moves along it.",
            "optimizer.zero_grad(), loss.backward(), optimizer.step(); then "
            "losses.append(loss.item()) and, unless callback is None, "
            "callback(step, losses[-1]).",
        ),
        right=(
            "model.train()\n" + ADAM + "losses = []\n"
            "for step in range(steps):\n    x, y = batches()\n"
            "    loss = cross_entropy(model(x), y)\n    loss.backward()\n"
            "    optimizer.step()\n    optimizer.zero_grad()\n"
            "    losses += [loss.item()]\n    if callback:\n"
            "        callback(step, loss.item())\nreturn losses",
            Edit("optimizer.zero_grad", "model.zero_grad"),
        ),
        wrong=(
            (Edit("optimizer.zero_grad()", "pass"),
             "gradients of earlier steps are still in there: backward adds to "
             "them, so clear them first"),
            (Edit("optimizer.step()", "pass"),
             "the model does not change: call optimizer.step() after "
             "loss.backward(), before the gradients are cleared again"),
            (Edit("zero_grad()\n    loss.backward()\n    optimizer.step()",
                  "step()\n    optimizer.zero_grad()\n    loss.backward()"),
             "the step is taken before the gradient is computed: it uses the "
             "one of the batch before"),
            (Edit("optimizer.step()", "optimizer.step()\n    optimizer.step()"),
             "two steps are taken for each batch"),
            (Edit("loss.backward()", "loss.backward()\n    loss.backward()"),
             "backward was called twice for one loss"),
            (Edit("loss =", "with torch.no_grad():\n        loss ="),
             "the loss does not know the model: no torch.no_grad, no detach"),
            (Edit("model(x), y)", "model(x), y).item()"),
             "item() gives a plain number, which has no backward: use it when "
             "the loss is appended"),
            (Edit("optimizer.zero_grad()", "loss.zero_grad()"),
             "gradients are cleared by optimizer.zero_grad()"),
            (Edit("loss = cross", "loss = F.cross"),
             "F.cross_entropy wants rows: use cross_entropy, from above"),
            (Edit("AdamW", "SGD"), "these are steps of SGD: use AdamW"),
            (Edit("AdamW", "Adam"), "these are steps of Adam: use AdamW"),
            (Edit(", lr=lr", ""),
             "the optimizer does not know the step size: AdamW(…, lr=lr)"),
            (Edit("    x, y = batches()\n",
                  "    x, y = batches()\n    " + ADAM),
             "a new optimizer at each step forgets what it knew about the "
             "gradients: make one before the loop"),
            (Edit(TURN, "x, y = batches()\nfor step in range(steps):\n"),
             "every step learns from the same batch: call batches() inside "
             "the loop"),
            (Edit("= batches()", "= batches()[0], batches()[1]"),
             "x and y are of different batches: call batches() once a step"),
            (Edit("loss.item()", "loss"),
             "each loss must be a plain number: append loss.item()"),
            (Edit("loss.item()", "cross_entropy(model(x), y).item()"),
             "this is the loss after the step: append the one before it"),
            (Edit("return losses", "    return losses"),
             "the loop ends after its first step: the return is inside it"),
            (Edit("model.train()\n", ""),
             "model.train() is missing: dropout would stay off"),
            (Edit("callback(step, losses[-1])", "pass"),
             "callback(step, loss) is never called"),
            (Edit("if callback is not None:\n        ", ""),
             "callback may be None: ask before you call it"),
            (Edit("callback(step", "callback(step + 1"),
             "steps are counted from 0"),
            (Edit("losses[-1]", "loss"),
             "callback needs the loss as a plain number, losses[-1]"),
        ),
        core=True,
    ),
    Exercise(
        "bigram.sample",
        "sample_tokens",
        cases=(
            Case("each text goes on with a token drawn from the softmax of its "
                 "last logits", READER + "idx = torch.randint(4, (20, 3))\n"
                 "sample_tokens(model, idx, 1, generator, block_size=4)"),
            Case("also where a text is longer than block_size", READER
                 + "idx = torch.randint(4, (20, 5))\n"
                 "sample_tokens(model, idx, 6, generator, block_size=4)"),
        ),
        hints=(
            "model(seen) is (B, T, V): a guess at every position. Which one "
            "says what comes next?",
            "Take position -1 of each text, then softmax over the vocabulary, "
            "dim -1.",
        ),
        right=(
            "probs = torch.softmax(model(seen), dim=2)[:, -1, :]",
            "z = model(seen)[:, -1].exp()\nprobs = z / z.sum(1, keepdim=True)",
        ),
        wrong=(
            (f"{LOOK}[:, 0].softmax(-1)",
             "it looks at the first position: the last one says what comes "
             "next"),
            (f"{LOOK}[:, -1].softmax(0)",
             "softmax runs over the texts of the batch: it must run over the "
             "vocabulary, dim -1"),
            (f"{LOOK}.softmax(1)[:, -1]",
             "softmax runs over the positions, not over the vocabulary"),
            ("probs = model(idx)[:, -1].softmax(-1)",
             "the model was given more than block_size tokens: call it on "
             "seen, not on idx"),
            (f"{LOOK}[:, -1].sigmoid()",
             "sigmoid looks at each token alone: softmax weighs them against "
             "each other"),
            (f"{LOOK}.softmax(-1)",
             "probs must be (B, V): of all the positions take the last"),
            (f"{LOOK}[-1].softmax(-1)",
             "[-1] takes the last text of the batch, [:, -1] the last "
             "position of each"),
            (f"{LOOK}[..., -1].softmax(-1)",
             "[..., -1] takes the last token of the vocabulary, [:, -1] the "
             "last position"),
            (f"{LOOK}[:, -1].argmax(-1)",
             "probs must be (B, V): a probability for every token, one row "
             "for each text"),
            (f"{LOOK}[:, -1]\n"
             "probs = F.one_hot(probs.argmax(-1), probs.size(-1))",
             "always the most likely token: draw from the probabilities"),
            (f"{LOOK}[:, -1]", "the logits are used as probabilities, but "
             "some are negative: softmax first"),
            (f"{LOOK}[:, -1].log_softmax(-1)",
             "log_softmax gives logarithms, all negative: softmax"),
        ),
        core=True,
    ),
    Exercise(
        "bigram.add_k",
        "AddK",
        cases=(
            Case("every pair counts k times more, and each row sums to 1", """
                model = AddK([0, 1, 2, 0, 1, 0, 0, 1, 2], 2, 3, k=0.5)
                model.log_probs([0, 1, 2, 2, 0, 0])"""),
            Case("so it is for longer contexts, seen or not", TEXT
                 + "model = AddK(text, 3, 4, k=0.2)\n"
                 "model.log_probs([0, 1, 2, 0, 0, 3, 1, 1])"),
        ),
        hints=(
            "Each of the V cells of a row was counted k times more. By how "
            "much did the row's total grow?",
            "(seen + k) over (total + k · V), with self.k and self.vocab_size.",
        ),
        right=(
            "k, V = self.k, self.vocab_size\np = (k + seen) / (V * k + total)",
        ),
        wrong=(
            ("p = (seen + self.k) / (total + self.k)",
             "the row has V cells and each got k more, so the total grew by "
             "k · V, not by k"),
            ("p = (seen + self.k) / total",
             "the total was left as it was: the probabilities of a row sum to "
             "more than 1"),
            ("p = seen / (total + self.k * self.vocab_size)",
             "nothing was added to what was seen: an unseen pair still has "
             "probability 0"),
            ("p = (seen + self.k) / (total + self.vocab_size)",
             "the total grew by V: that is right for k = 1 only"),
            ("p = seen / total + self.k", "k was added after the division"),
            ("p = (seen + 1) / (total + self.vocab_size)",
             "this is add-one: use self.k"),
            ("p = seen / total", "nothing was smoothed"),
        ),
    ),
    Exercise(
        "bigram.witten_bell",
        "WittenBell",
        cases=(
            Case("order 1 tops up what was counted with 1 / V",
                 TEXT + "WittenBell(text, 1, 3).log_probs([0, 1, 2, 2])"),
            Case("order 2 is topped up by order 1, by the kinds seen",
                 TEXT + "WittenBell(text, 2, 3).log_probs([0, 1, 2, 2, 0, 0])"),
            Case("and so on to the highest order",
                 TEXT + "WittenBell(text, 4, 3).log_probs([0, 1, 2, 2, 0, 0])"),
            Case("or to the one asked for",
                 TEXT + "WittenBell(text, 4, 3).log_probs([0, 1, 2, 2, 0], 2)"),
            Case("after an unseen context, the shorter order decides",
                 TEXT + UNSEEN),
            Case("and nothing is divided by 0",
                 TEXT + "np.seterr(all='raise')\n" + UNSEEN),
        ),
        hints=(
            "It is the formula above, for all ids at once: n is seen, N is "
            "total, t is kinds, and p is the shorter order. p[-len(seen):] "
            "are the ids that still have a context.",
            "mixed = (seen + kinds * p) / np.maximum(total + kinds, 1), and "
            "np.where(kinds > 0, mixed, p) keeps p where nothing was seen.",
        ),
        right=(
            Edit(f"mixed = ({ABOVE}) / {BELOW}",
                 f"top = kinds / {BELOW}\n    mixed = (1 - top) * seen / "
                 "np.maximum(total, 1) + top * p"),
            "p = np.full(len(ids), 1 / self.vocab_size)\n"
            "for n in range(order):\n"
            "    seen, total, kinds = self.orders[n](ids)\n"
            "    p, known = p[len(p) - len(seen) :], kinds > 0\n"
            f"    p[known] = ({ABOVE})[known] / (total + kinds)[known]\n"
            "return np.log(p)",
        ),
        wrong=(
            (Edit(f"{ABOVE}) / {BELOW}",
                  "seen + p) / np.maximum(total + 1, 1)"),
             "the shorter order weighs 1 for every context: it weighs as much "
             "as the context had kinds of surprises"),
            (Edit(BELOW, "np.maximum(total, 1)"),
             "what was added above is missing below: divide by total + kinds, "
             "or the probabilities sum to more than 1"),
            (Edit(ABOVE, "seen + total * p"),
             "total and kinds are exchanged: kinds weighs the shorter order"),
            (Edit(ABOVE, "seen"),
             "the shorter order is missing: the numerator is seen + kinds · "
             "p"),
            (Edit(ABOVE, "seen + kinds"),
             "kinds is added without the shorter order's probability: kinds · "
             "p"),
            (Edit(ABOVE, "seen + kinds / self.vocab_size"),
             "the shorter orders are forgotten: p, not 1 / V"),
            (Edit(f"({ABOVE}) / {BELOW}",
                  "0.5 * seen / np.maximum(total, 1) + 0.5 * p"),
             "half of each, whatever was seen: the weight is kinds"),
            (Edit(BELOW, "(total + kinds)"),
             "after an unseen context this is 0 / 0: divide by "
             "np.maximum(total + kinds, 1)"),
            (Edit("p = p[-len(seen) :]", "pass"),
             "p still has an entry for ids without a full context: keep the "
             "last len(seen)"),
            (Edit("p[-len(seen) :]", "p[: len(seen)]"),
             "the first ids have no full context: keep the last len(seen)"),
            (Edit("p[-len(seen) :]", "p[1:]"),
             "order 1 needs no context, so there p stays as long as it is: "
             "keep the last len(seen)"),
            (Edit("np.where(kinds > 0, mixed, p)", "mixed"),
             "after an unseen context, p must stay what the shorter order "
             "said: np.where(kinds > 0, mixed, p)"),
            (Edit("kinds > 0", "seen > 0"),
             "was the context seen, not the n-gram: kinds > 0"),
            (Edit("1 / self.vocab_size", "1"),
             "below order 1, each token has the probability 1 / V"),
            (Edit("[:order]", ""), "all orders were mixed: stop at `order`"),
            (Edit("self.orders[:order]", "[self.orders[order - 1]]"),
             "only the highest order was used: begin with order 1"),
            (Edit("return np.log(p)", "return p"),
             "these are probabilities: return their logarithms"),
            (Edit("return np.log(p)", "return -np.log(p)"),
             "the sign is turned: log probabilities are negative"),
            (Edit("np.log(p)", "np.log2(p)"),
             "these are bits: np.log is the natural logarithm"),
        ),
        core=True,
    ),
    Question(
        "bigram.predict-untrained",
        math.log(1000),
        "every token has probability 1/1000, and -ln(1/1000) is 6.91 nats",
        ("A model without an opinion gives each token the same probability.",
         "That is 1/1000, and the loss is -ln of it."),
        wrong={
            math.log2(1000): "these are bits; the question asks for nats, "
            "with the natural logarithm",
            3: "this is the logarithm to base 10; nats take the natural one",
            1000: "this is the perplexity; the loss is its logarithm",
            0: "a loss of 0 means being sure, and right, every time",
        },
        within=0.05,
    ),
    Question(
        "bigram.predict-perplexity",
        3,
        "as uncertain as among 8 equally likely characters, and 2**3 = 8",
        ("Perplexity is e to the loss in nats, and 2 to the loss in bits.",
         "2 to the power of what is 8?"),
        wrong={
            math.log(8): "these are nats; bits use the logarithm to base 2",
            8: "this is the perplexity itself; the bits are its logarithm",
        },
        within=0.05,
    ),
]  # fmt: skip
