"""Chapter 14: what its exercises expect."""

from minigpt.course.exercises import Case, Edit, Exercise, Question

MIX = """
new, old = torch.zeros(50).long(), torch.ones(60).long()
batch = mixture(new, old, share=share, block_size=3, batch_size=B)
"""
DRAWN = "x, y = batch(torch.Generator().manual_seed(1))\nx[:, 0].tolist()"
MIXED = MIX + DRAWN
PARTS = """
C = number(2, 40)
model = nn.ModuleDict({
    "token": nn.Embedding(3, C),
    "blocks": nn.ModuleList(nn.Linear(C, 2) for _ in range(12)),
    "other": nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(C, 2)] * 2)}),
    "norm": nn.LayerNorm(C),
    "head": nn.Linear(C, 3, bias=False)})
model.head.weight = model.token.weight
"""
FROZEN = "[n for n, p in model.named_parameters() if not p.requires_grad]"
FOUND = "found = [p for n, p in every.items() if {}]"
LAYER = "layer = fill(LoRA(nn.Linear(6, 4), rank=2, alpha=6.0))\n"
MERGED = LAYER + "merged = merge(layer)\n"
TOTALS = "totals = torch.zeros(n_classes, counts.size(1))\n" \
    "totals = totals.index_add(0, labels, counts)"  # fmt: skip
SHARES = "(totals / totals.sum(1, keepdim=True))"
TARGETS = "[-100] * (len(prompt) - 1) + [*answer, end]"

EXERCISES = [
    Exercise(
        "finetune.mixture", "mixture",
        cases=(
            Case("a quarter of 8 windows is old (1), the rest new (0)",
                 "share, B = 0.25, 8" + MIXED),
            Case("a share of windows is rounded", "share, B = 0.7, 8" + MIXED),
            Case("with a share of 1 all are old", "share, B = 1.0, 5" + MIXED),
            Case("a batch without old text is whole", """
                new = torch.arange(50)
                batch = mixture(new, block_size=3, batch_size=5)
                batch(torch.Generator().manual_seed(1))"""),
            Case("so it is for other shares and sizes",
                 "share, B = number(1, 2) / 3, number(4, 9)" + MIXED),
            Case("a batch is never short of a window", "share, B = 0.5, 5"
                 + MIX + "len(batch(torch.Generator())[0])"),
        ),
        hints=(
            "The share of all windows, rounded, is old; the rest is new.",
            "n_old = round(share * batch_size); counts has the new first."),
        right=("n_new = batch_size - round(share * batch_size)\n"
               "counts = (n_new, batch_size - n_new)",
               "n_new = round((1 - share) * batch_size)\n"
               "counts = [n_new, batch_size - n_new]"),
        wrong=(
            (Edit("[batch_size - n_old, n_old]", "[n_old, batch_size - n_old]"),
             "new and old are exchanged: first the number of new windows"),
            (Edit("round", "int"), "5.6 windows became 5: round, do not cut"),
            (Edit("batch_size - n_old,", "batch_size,"),
             "the old windows come on top: together they are batch_size"),
            ("counts = [batch_size // 2, batch_size // 2]",
             "half of the windows are old, whatever the share"),
            ("counts = [(1 - share) * batch_size, share * batch_size]",
             "the counts must be whole: round share · batch_size"),
            ("counts = [round((1 - share) * batch_size),\n"
             "          round(share * batch_size)]",
             "both were rounded, and together they may miss batch_size: what "
             "is not old is new"),
            (Edit("batch_size - n_old,", "n_old - batch_size,"),
             "a count is below 0: what is not old is new, batch_size - n_old"),
            (Edit("counts =", "sizes ="), "the blank must make `counts`"),
        ),
    ),
    Exercise(
        "finetune.freeze", "freeze",
        cases=(
            Case("a part is frozen with all below it, and nothing else",
                 PARTS + "freeze(model, 'blocks.1'), " + FROZEN),
            Case("so is a single parameter, by its full name",
                 PARTS + "freeze(model, 'norm.weight'), " + FROZEN),
            Case("several names freeze several parts, and a tied weight has "
                 "two names", PARTS + "freeze(model, 'other', 'blocks.11.bias',"
                 " 'head'), " + FROZEN),
            Case("a name that the model does not have is refused",
                 PARTS + "freeze(model, 'block')"),
        ),
        hints=(
            "A parameter's name is `name` itself, or begins with `name` and a "
            "dot.",
            'With a dot behind both, one startswith is enough: f"{n}.".'),
        right=(
            FOUND.format('n == name or n.startswith(name + ".")'),
            'words = name.split(".")\n'
            + FOUND.format('n.split(".")[: len(words)] == words'),
        ),
        wrong=(
            (FOUND.format("n.startswith(name)"),
             "blocks.10 is frozen with blocks.1: a name ends at a dot"),
            (FOUND.format("n == name"),
             "a name means everything below it too: blocks.1 means "
             "blocks.1.weight"),
            (FOUND.format("name in n"),
             "the name is found in the middle of others: it must be at the "
             "beginning"),
            (FOUND.format('f"{name}." in f"{n}."'),
             "other.blocks.1 is frozen with blocks.1: a name is a beginning"),
            ("found = [every[name]]",
             "a part has no entry in `every`: compare the name with each"),
            (FOUND.format('f"{n}.".startswith(f"{name}.")')
             .replace("every", "dict(model.named_parameters())"),
             "this list has a tied weight under one name, `every` under both"),
            (FOUND.format('f"{n}.".startswith(f"{name}.")')
             .replace("[", "(", 1).replace("]", ")"),
             "a generator never counts as empty: `found` must be a list"),
            (FOUND.format('n.startswith(f"{name}.")'),
             "the full name of a parameter is a name too: norm.weight means "
             "itself"),
            ("found = list(every.values())",
             "everything is frozen: `found` holds only what the name means"),
            (FOUND.format('n.split(".")[0] == name.split(".")[0]'),
             "names are compared only up to the first dot"),
            (Edit("[p for n, p in every.items()", "[n for n in every"),
             "these are names: `found` holds the parameters themselves"),
        ),
        core=True,
    ),
    Exercise(
        "finetune.lora", "LoRA",
        cases=(
            Case("it keeps the layer, its sizes, and s = alpha / rank", """
                rank, alpha = number(1, 4), number(5, 9)
                layer = LoRA(nn.Linear(6, 4), rank, alpha=alpha)
                sizes = layer.in_features, layer.out_features
                sizes, layer.linear.weight.shape, float(layer.scale)"""),
            Case("A is (rank, C_in) and B is (C_out, rank), both parameters", """
                layer = LoRA(nn.Linear(6, 4), rank=2)
                {n: tuple(p.shape) for n, p in layer.named_parameters()}"""),
            Case("only A and B learn", LAYER + "sorted(n for n, p in "
                 "layer.named_parameters() if p.requires_grad)"),
            Case("A begins with a standard deviation of 1 / √400 = 0.05, B "
                 "with zeros", """
                layer = LoRA(nn.Linear(400, 8), rank=16)
                layer.A.std().item(), layer.B.abs().sum().item()""", atol=0.002),
            Case("so at the start it gives what the linear layer gives", """
                x, linear = torch.randn(3, 6), fill(nn.Linear(6, 4))
                LoRA(linear, rank=2)(x)""", gradients=False),
            Case("with numbers in A and B it adds s times the detour",
                 "x = torch.randn(2, 6)\n" + LAYER + "layer(x)"),
            Case("also for x (B, T, C), and for a layer without a bias", """
                x = torch.randn(2, 5, 7)[:, 1:]
                layer = fill(LoRA(nn.Linear(7, 3, bias=False), rank=4))
                layer(x)"""),
        ),
        hints=(
            "requires_grad_(False) freezes a layer, and nn.Parameter makes a "
            "parameter of a tensor. B goes from rank to C_out.",
            "A begins as torch.randn(rank, n_in) * n_in**-0.5. The detour is "
            "x @ self.A.T @ self.B.T, times self.scale."),
        right=(
            ("super().__init__()\nself.linear = linear\n"
             "for p in linear.parameters():\n    p.requires_grad = False\n"
             "self.in_features = linear.in_features\n"
             "self.out_features = linear.out_features\n"
             "A = torch.randn(rank, linear.in_features)\n"
             "self.A = nn.Parameter(A / linear.in_features**0.5)\n"
             "self.B = nn.Parameter(torch.zeros(linear.out_features, rank))\n"
             "self.scale = alpha / rank",
             "weight = self.scale * self.B @ self.A\n"
             "return self.linear(x) + nn.functional.linear(x, weight)"),
        ),
        wrong=(
            (Edit("super().__init__()\n", ""),
             "super().__init__() comes first: only then can a module hold "
             "others"),
            (Edit("alpha / rank", "alpha"), "the scale is alpha / rank"),
            (Edit("n_out, n_in = linear", "n_in, n_out = linear"),
             "the sizes are exchanged: weight is (C_out, C_in)"),
            (Edit("new_zeros(n_out, rank)", "new_zeros(rank, n_out)"),
             "B has the wrong shape: it leads from the rank to C_out"),
            (Edit("nn.Parameter(start.normal_(std=n_in**-0.5))",
                  "start.normal_(std=n_in**-0.5)"),
             "A must be an nn.Parameter, or no optimizer will find it"),
            (Edit("nn.Parameter(linear.weight.new_zeros(n_out, rank))",
                  "torch.zeros(n_out, rank)"),
             "B must be an nn.Parameter, or no optimizer will find it"),
            (Edit("self.B =", "B ="), "self.B has no value yet"),
            (Edit("self.linear.requires_grad_(False)\n", ""),
             "the linear layer still learns: freeze it"),
            (Edit("linear.requires", "linear.weight.requires"),
             "the bias of the linear layer still learns"),
            (Edit("n_out, rank))", "n_out, rank))\nself.requires_grad_(False)"),
             "nothing learns: freeze the linear layer only"),
            (Edit("start.normal_(std=n_in**-0.5)", "torch.zeros(rank, n_in)"),
             "A starts at zero too: then neither ever gets a gradient"),
            (Edit("std=n_in**-0.5", ""),
             "A starts too large: its standard deviation is 1 / √C_in"),
            (Edit("linear.weight.new_zeros(", "torch.randn("),
             "it is not the linear layer at the start: B must be zero"),
            (Edit("self.linear(x) + ", ""),
             "the linear layer is missing from the sum"),
            (Edit("self.linear(x)", "x @ self.linear.weight.T"),
             "the bias is missing: self.linear(x) adds it"),
            (Edit(" + self.scale * detour", ""), "the detour is missing"),
            (Edit("+ self.scale *", "+"), "the scale s is missing"),
            (Edit("self.linear(x) + self.scale * detour",
                  "self.scale * (self.linear(x) + detour)"),
             "the scale is for the detour alone"),
            (Edit("+ self.scale", "- self.scale"), "the detour is subtracted"),
            (Edit("self.A.T @ self.B.T", "self.A @ self.B"),
             "the shapes do not fit: x Aᵀ is (…, r), then Bᵀ"),
            (Edit("x @ self.A.T @ self.B.T", "self.B @ self.A @ x"),
             "the formula has x as a column, here it is rows: x Aᵀ Bᵀ"),
        ),
        core=True,
    ),
    Exercise(
        "finetune.merge", "merge",
        cases=(
            Case("one matrix does the work of both paths",
                 MERGED + "merged.weight"),
            Case("the bias is kept", MERGED + "merged.bias"),
            Case("the LoRA layer stays as it was",
                 MERGED + "layer.linear.weight, layer.A, layer.B"),
            Case("so it is without a bias, and with a higher rank", """
                layer = LoRA(nn.Linear(3, 5, bias=False), rank=4)
                merged = merge(fill(layer))
                merged.weight, merged.bias"""),
        ),
        hints=(
            "y = W x + s B A x: what stands before x, if you put it together?",
            "lora.linear.weight + lora.scale * lora.B @ lora.A"),
        right=("weight = lora.linear.weight + lora.B @ (lora.scale * lora.A)",),
        wrong=(
            (Edit("lora.scale * ", ""), "the scale is missing"),
            (Edit("lora.linear.weight + ", ""), "the old matrix is missing"),
            ("weight = lora.linear.weight", "the detour is missing"),
            (Edit("lora.B @ lora.A", "lora.A @ lora.B"),
             "B (C_out, r) comes first, then A (r, C_in)"),
            (Edit("lora.B @ lora.A", "(lora.B @ lora.A).T"),
             "weight must have the shape of the linear layer's, (C_out, C_in)"),
            ("weight = lora.scale * (lora.linear.weight + lora.B @ lora.A)",
             "the scale is for the detour alone"),
            ("weight = lora.linear.weight\n"
             "weight += lora.scale * lora.B @ lora.A",
             "the matrix of the LoRA layer was changed: += works in place"),
            (Edit("weight = ", ""), "the blank must make `weight`"),
        ),
    ),
    Exercise(
        "finetune.naive_bayes", "naive_bayes",
        cases=(
            Case("logarithms of the shares of the words, for two texts", """
                counts = torch.tensor([[2.0, 1, 0], [0, 1, 3]])
                labels = torch.tensor([0, 1])
                naive_bayes(counts, labels, 2)"""),
            Case("texts of one class are added up", """
                counts = torch.randint(0, 4, (9, 5)).float()
                labels = torch.tensor([0, 1, 2, 2, 1, 0, 1, 2, 2])
                naive_bayes(counts, labels, 3, k=number(3, 9) / 4)"""),
            Case("in a class without a text all words are alike", """
                counts = torch.randint(0, 4, (4, 3)).float()
                labels = torch.tensor([3, 1, 3, 0])
                naive_bayes(counts, labels, 4)"""),
        ),
        hints=(
            "Add up the rows of each class, add k, and divide each class by "
            "its sum.",
            "index_add(0, labels, counts) adds rows by label; weight is the "
            "logarithm, transposed to (V, K)."),
        right=(
            "totals = torch.stack([\n"
            "    counts[labels == c].sum(0) for c in range(n_classes)\n"
            "]) + k\n"
            "weight = (totals.log() - totals.sum(1, keepdim=True).log()).T",
        ),
        wrong=(
            (Edit(" + k", ""),
             "words that a class has never seen get -inf: add k"),
            (Edit(".log().T", ".T"),
             "these are shares: take their logarithms"),
            (f"{TOTALS}\nweight = ({SHARES} + k).log().T",
             "k was added to the shares, not to the counts"),
            (Edit("sum(1, keepdim=True)", "sum(0)"),
             "the shares of a word sum to 1: those of a class should"),
            (Edit("sum(1, keepdim=True)", "sum()"),
             "divided by the words of all classes: each by its own sum"),
            (Edit(", keepdim=True", ""),
             "there must be a column of sums, (K, 1): keepdim=True"),
            (f"{TOTALS}\nshares = (totals + k) / totals.sum(1, keepdim=True)\n"
             "weight = shares.log().T",
             "k is missing below: with it, the sum of a class grows too"),
            (f"{TOTALS} + k\nweight = totals.log_softmax(1).T",
             "softmax takes the shares of the exponentials: divide the totals "
             "by their sum"),
            ("totals = torch.zeros(n_classes, counts.size(1)) + k\n"
             "totals[labels] += counts\n"
             f"weight = {SHARES}.log().T",
             "+= writes a row once, and the other texts of its class are lost: "
             "index_add adds them all"),
            (f"{TOTALS} + k\nweight = totals.log().T",
             "these are the logarithms of counts: divide by their sum"),
            (Edit(".log().T", ".log()"),
             "weight is (V, K), a column for each class: transpose"),
            (Edit("weight =", "shares ="), "the blank must make `weight`"),
        ),
    ),
    Exercise(
        "finetune.answers", "answer_batch",
        cases=(
            Case("the answer and its end, each one place before it comes", """
                pairs = [([7, 8], [number(10, 99)])]
                answer_batch(pairs, end=1)"""),
            Case("so it is for a longer answer", """
                pairs = [([7], [5, number(10, 99), 4])]
                answer_batch(pairs, end=1)"""),
            Case("padding is no target", """
                pairs = [([7], [number(10, 99)]), ([7, 8, 9], [6, 4])]
                answer_batch(pairs, end=1)"""),
            Case("an empty answer is its end alone", """
                pairs = [([7, 8], []), ([9], [6])]
                answer_batch(pairs, end=number(10, 99))"""),
        ),
        hints=(
            "The target of a place is the next token. So which place has the "
            "answer's first?",
            "The last of the prompt. So [-100] * (len(prompt) - 1) comes first, "
            "then every token of the answer, then `end`."),
        right=(
            "x, targets = [], []\n"
            "for prompt, answer in pairs:\n"
            "    row, n = [*prompt, *answer, end], len(prompt)\n"
            "    x.append(row[:-1])\n"
            "    targets.append([-100] * (n - 1) + row[n:])\n"
            "return pad(x, end)[0], pad(targets, -100)[0]",
            "T = max(len(prompt) + len(answer) for prompt, answer in pairs)\n"
            "x = torch.full((len(pairs), T), end)\n"
            "targets = torch.full((len(pairs), T), -100)\n"
            "for b, (prompt, answer) in enumerate(pairs):\n"
            "    n, row = len(prompt), torch.tensor([*prompt, *answer, end])\n"
            "    x[b, : len(row) - 1] = row[:-1]\n"
            "    targets[b, n - 1 : len(row) - 1] = row[n:]\n"
            "return x, targets",
        ),
        wrong=(
            (Edit(TARGETS, "[*prompt[1:], *answer, end]"),
             "the prompt is learned too: its targets stay -100"),
            (Edit(TARGETS, "[-100] * len(prompt) + [*answer[1:], end]"),
             "the answer's first token is missing: the last token of the "
             "prompt predicts it"),
            (Edit("[*answer, end]", "answer"),
             "a target is missing: the answer's last token predicts `end`"),
            (Edit("[*prompt, *answer]", "[*prompt, *answer, end]"),
             "`end` is a target and no input: a row is prompt and answer"),
            (Edit("pad(rows, end)[0], pad(targets, -100)[0]",
                  "torch.tensor(rows), torch.tensor(targets)"),
             "the rows differ in length: pad makes one tensor of them"),
            (Edit("pad(rows, end)[0], pad(targets, -100)[0]",
                  "pad(rows, -100)[0], pad(targets, end)[0]"),
             "they are filled up the wrong way round: x with `end`, targets "
             "with -100"),
            (Edit(")[0], pad(targets, -100)", ", left=True)[0], "
                  "pad(targets, -100, left=True)"),
             "the padding is on the left: fill up on the right"),
            (Edit("[*answer, end]", "[*answer, -100]"),
             "the end is missing: the model must learn to stop"),
            (Edit(TARGETS, "[-100] * len(prompt) + [*answer]"),
             "each token has to predict itself: its target is the next one"),
            (Edit("(len(prompt) - 1)", "len(prompt)"),
             "one target too many: the last token of the prompt already "
             "predicts the answer"),
            (Edit(TARGETS, "[*answer, end]"),
             "the prompt has no targets: a row has as many as tokens"),
            (Edit(f"targets.append({TARGETS})", "targets = targets + []"),
             "`targets` is still empty: append a list for each row"),
            (Edit("[*answer, end]", "answer + end"),
             "prompt and answer are lists: [*answer, end]"),
            (Edit("[*prompt, *answer]", "answer"),
             "the prompt is missing from the row"),
            (Edit(f"answer])\n    targets.append({TARGETS})",
                  "answer, end])\n    targets.append([-100] * len(prompt) "
                  "+ [*answer, end])"),
             "the targets are the row itself: shift them by one, and leave "
             "`end` out of the row"),
            (Edit("\nreturn pad", "\n    return pad"),
             "the return is inside the loop: only the first row is made"),
            (Edit("pad(rows, end)[0]", "pad(rows, end)"),
             "pad gives ids and a mask: [0] takes the ids"),
            (Edit("pad(targets, -100)", "pad(targets, end)"),
             "padding has targets too: fill up with -100"),
            (Edit("pad(rows, end)", "pad(rows, -100)"),
             "-100 is no id: fill up the rows with `end`"),
        ),
        core=True,
    ),
    Question(
        "finetune.predict-lora", 3840,
        "A has 4 · 192 numbers and B has 768 · 4: 3,840 in place of 147,456",
        ("A takes 192 channels to 4, B takes 4 to 768.", "4 · 192 + 768 · 4."),
        wrong={
            147_456: "that is the matrix itself, which stays as it is",
            960: "that is rank 1",
            768: "that is A alone",
            3072: "that is B alone",
        },
    ),
    Question(
        "finetune.predict-targets", 4,
        "the three tokens of the answer and the token that ends it",
        ("Every token of the answer is predicted once. What comes after it?",
         "The answer, and the end: the model must learn to stop."),
        wrong={
            3: "the end of the answer is predicted too",
            12: "the targets of the prompt are -100: there is no loss on them",
            9: "that is the prompt: all its targets but the last are -100",
        },
    ),
]  # fmt: skip
