"""Chapter 15: what its exercises expect."""

from minigpt.course.exercises import Case, Edit, Exercise, Question

SQUARE = "x.square().mean(-1, keepdim=True)"
TURN = """
x = torch.randn(1, 2, 3, 8)
angles = 3 * torch.randn(3, 4)
cos, sin = angles.cos(), angles.sin()
"""
TURNED = "torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)"
GROUPED = """
x = torch.randn(2, 5, 12)
layer = fill(GroupedQueryAttention(12, 3, block_size=9, n_kv_head=1, {}))
"""
P = "P = a * I + b * A + c * A @ A"
ONE = """
p, g = nn.Parameter(torch.randn(3, 5)), torch.randn(3, 5)
p.grad = g.clone()
optimizer = Muon([p], lr=0.1, momentum=0.0, weight_decay={})
optimizer.step()
p.detach()"""
STEPS = """
weights = [nn.Parameter(x) for x in torch.randn(2, 4, 3)]
optimizer = Muon(weights, lr=0.1, momentum=0.8, weight_decay=0.0)
for grads in torch.randn(3, 2, 4, 3):
    for p, grad in zip(weights, grads):
        p.grad = grad.clone()
    optimizer.step()
"""

EXERCISES = [
    Exercise(
        "modern.rmsnorm", "rms_normalize",
        cases=(
            Case("the root mean square of 3 and 4 is 3.54",
                 "x = torch.tensor([[3.0, 4], [-5, 12], [8, -15]])\n"
                 "rms_normalize(x)"),
            Case("each token has its own, with eps under the root",
                 "x = torch.randn(2, 3, 4) + 1\nrms_normalize(x, eps=0.5)"),
            Case("eps matters for small numbers, and none become nan",
                 "x = torch.randn(3, 6) * torch.tensor([[1], [1e-3], [0]])\n"
                 "rms_normalize(x)"),
        ),
        hints=(
            "One number for each token: the mean of the squares of its "
            "channels, with keepdim=True.",
            f"{SQUARE}, then x times (that + eps).rsqrt()."),
        right=("return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()",
               "return F.rms_norm(x, x.shape[-1:], None, eps)"),
        wrong=(
            ("return F.layer_norm(x, x.shape[-1:], None, None, eps)",
             "that is LayerNorm: RMSNorm does not subtract the mean"),
            (f"return x / ({SQUARE} + eps)",
             "x is divided by the mean square: take its root"),
            (f"return x / ({SQUARE}.sqrt() + eps)",
             "eps belongs under the root, to the mean square"),
            (Edit("(mean_square + eps)", "mean_square"),
             "eps is missing under the root"),
            (Edit("mean(", "sum("),
             "the squares are added up: take their mean"),
            (Edit("mean(-1", "mean(-2"),
             "the mean goes over tokens: it must go over the channels of "
             "each, dim -1"),
            (Edit("mean(-1, keepdim=True)", "mean()"),
             "one mean for all tokens: each has its own, over dim -1"),
            (Edit("rsqrt", "sqrt"), "multiplied by the root: divide by it"),
            (Edit("square().mean(-1, keepdim=True)",
                  "mean(-1, keepdim=True).square()"),
             "that is the square of the mean: take the mean of the squares"),
            (Edit(", keepdim=True", ""),
             "the mean must keep its dimension, (..., 1): keepdim=True"),
            ("return x / (x.norm(dim=-1, keepdim=True) + eps)",
             "x.norm() is the root of the sum of the squares: take the mean, "
             "and eps goes under the root"),
            ("return x / x.std(-1, keepdim=True)",
             "x.std() subtracts the mean first: RMSNorm does not"),
        ),
    ),
    Exercise(
        "modern.rope", "rope_table",
        cases=(
            Case("a single pair turns by t radians at position t",
                 "rope_table(number(3, 6), 2)"),
            Case("each next pair turns more slowly", "rope_table(8, 6)"),
            Case("so it is for another base",
                 "rope_table(number(3, 6), 8, base=10_000)"),
        ),
        hints=(
            "Two rows of numbers, t and i, and a table of all pairs of them: "
            "t[:, None] makes a column of the first.",
            "t[:, None] * base ** (-2 * i / head_dim), with base = base or "
            "block_size; then cos and sin of it."),
        right=(
            "if base is None:\n    base = block_size\n"
            "speeds = 1 / base ** (torch.arange(0, head_dim, 2) / head_dim)\n"
            "angles = torch.outer(torch.arange(block_size).float(), speeds)\n"
            "return torch.cos(angles), torch.sin(angles)",
        ),
        wrong=(
            (Edit("base or block_size", "base or 10_000"),
             "without a base it is block_size"),
            (Edit("(base or block_size)", "base"),
             "base is None where none is given: base or block_size"),
            (Edit("head_dim, 2, ", "head_dim // 2, "),
             "the 2 is missing: pair i turns by base^(-2i/D) per position"),
            (Edit("-i / head_dim", "-2 * i / head_dim"),
             "the exponent is twice as large: pair i has -2i / D"),
            (Edit("head_dim, 2, ", "head_dim, "),
             "an angle for each channel: two channels are a pair"),
            (Edit("-i", "i"),
             "later pairs turn faster: the exponent is negative"),
            (Edit("torch.arange(block_size,", "torch.arange(1, block_size + 1,"),
             "positions count from 0"),
            (Edit("t[:, None] * (base or block_size) ** (-i / head_dim)",
                  "t * ((base or block_size) ** (-i / head_dim))[:, None]"),
             "a row for each pair: a row is a position, (T, D / 2)"),
            (Edit("angles.cos().float(), angles.sin()",
                  "angles.sin().float(), angles.cos()"),
             "cosines come first, then sines"),
            (Edit("angles.cos().float(), angles.sin().float()",
                  "angles.float()"),
             "these are the angles: return their cosines and sines"),
            (Edit("return angles.cos().float(), angles.sin().float()",
                  "angles = torch.cat([angles, angles], -1)\n"
                  "return angles.cos().float(), angles.sin().float()"),
             "every pair is there twice: a pair has one column, (T, D / 2)"),
        ),
        core=True,
    ),
    Exercise(
        "modern.rotate", "rotate",
        cases=(
            Case("by a quarter turn, (a, b) becomes (-b, a)", """
                x = torch.arange(1.0, 5).view(1, 1, 1, 4)
                rotate(x, torch.zeros(1, 2), torch.ones(1, 2))"""),
            Case("each pair is turned by its angle", TURN
                 + "rotate(x, cos, sin)"),
            Case("so it is for a part of the tokens", TURN
                 + "rotate(x[:, :, 1:], cos[1:], sin[1:])"),
            Case("half precision stays half precision", TURN
                 + "rotate(x.bfloat16(), cos, sin)", atol=0.1),
        ),
        hints=(
            "`turned` above does it for one pair: a · cos − b · sin and "
            "a · sin + b · cos.",
            "x.chunk(2, dim=-1) gives a and b, and torch.cat([first, second], "
            "dim=-1) puts halves together. cos.to(x.dtype)."),
        right=(
            "a, b = x.chunk(2, dim=-1)\nswapped = torch.cat([-b, a], dim=-1)\n"
            "y = x * cos.repeat(1, 2) + swapped * sin.repeat(1, 2)\n"
            "return y.to(x.dtype)",
            "z = torch.complex(*x.float().chunk(2, -1))\n"
            "z = z * torch.complex(cos, sin)\n"
            "return torch.cat([z.real, z.imag], -1).to(x.dtype)",
        ),
        wrong=(
            (Edit("- b * sin, a * sin + b * cos", "+ b * sin, b * cos - a * sin"),
             "that turns the other way: a · cos − b · sin comes first"),
            (Edit("a * cos - b", "a * cos + b"),
             "both signs are plus: that stretches and does not turn"),
            (Edit("a * sin + b * cos", "b * cos - a * sin"),
             "both signs are minus: the second sum is a · sin + b · cos"),
            (Edit("2, dim=-1", "2"),
             "the batch was cut in two, not the channels: dim=-1"),
            (Edit("chunk", "split"),
             "split takes the size of a part, chunk how many parts there are: "
             "chunk(2, dim=-1)"),
            ("a, b = x.chunk(2, dim=-1)\n"
             "x[..., : a.size(-1)] = a * cos - b * sin\n"
             "x[..., a.size(-1) :] = a * sin + b * cos\nreturn x",
             "a and b are views of x, so they change with it: make a new "
             "tensor"),
            (Edit(TURNED, "torch.stack([a * cos - b * sin, a * sin + b * cos],"
                  " -1).flatten(-2)"),
             "the pairs are side by side, a0 b0 a1 b1: put one half after the "
             "other"),
            (Edit("x.chunk(2, dim=-1)", "x[..., ::2], x[..., 1::2]"),
             "neighbors were made pairs, as in the paper: here channel i goes "
             "with i + D / 2"),
            (Edit(TURNED,
                  "torch.cat([a * sin + b * cos, a * cos - b * sin], -1)"),
             "the halves are exchanged"),
            (Edit(TURNED,
                  "torch.cat([a * sin - b * cos, a * cos + b * sin], -1)"),
             "sine and cosine are exchanged"),
            (Edit(f"return {TURNED}", "a = a * cos - b * sin\n"
                  "b = a * sin + b * cos\nreturn torch.cat([a, b], -1)"),
             "b was turned with the new a: it needs the old one"),
            (Edit(TURNED, "torch.cat([a * cos, b * sin], -1)"),
             "each half stays by itself: a turn mixes the two"),
            (Edit(TURNED, "torch.cat([a * cos, b * cos], -1)"),
             "the sine is missing: without it nothing turns"),
            (Edit("cos], dim=-1", "cos]"),
             "the halves are joined along the batch: dim=-1"),
            (Edit(TURNED, "a * cos - b * sin, a * sin + b * cos"),
             "two halves are returned: put them together with torch.cat"),
            (Edit("torch.cat", "torch.stack"),
             "torch.stack adds a dimension: use torch.cat"),
            (Edit(TURNED, "torch.cat(turned((a, b), cos), -1)"),
             "`turned` takes single numbers: write its two sums with a, b, "
             "cos and sin"),
            (Edit(TURNED, "torch.cat([x * cos, x * sin], -1)"),
             "the shapes do not fit: a, b, cos and sin all end in "
             "(T, D / 2)"),
            (Edit("cos, sin = cos.to(x.dtype), sin.to(x.dtype)\n", ""),
             "cos and sin are float32 and make the result so: bring them to "
             "x.dtype"),
        ),
        core=True,
    ),
    Exercise(
        "modern.groups", "repeat_heads",
        cases=(
            Case("heads a, b become a, a, b, b",
                 "repeat_heads(torch.tensor([1.0, 2]).view(1, 2, 1, 1), 2)"),
            Case("so it is for whole heads",
                 "x, times = torch.randn(2, 3, 5, 4), number(2, 4)\n"
                 "repeat_heads(x[:, :, 1:], times)"),
        ),
        hints=(
            "Heads are dimension 1. Which of repeat and repeat_interleave "
            "keeps equal ones together?",
            "x.repeat_interleave(times, dim=1)"),
        right=("return torch.stack([x] * times, 2).flatten(1, 2)",
               "heads = torch.arange(x.size(1)).repeat_interleave(times)\n"
               "return x[:, heads]"),
        wrong=(
            ("return x.repeat(1, times, 1, 1)",
             "the heads come as a, b, a, b: repeat each in a row"),
            (Edit("dim=1", "dim=2"),
             "the tokens are repeated: heads are dimension 1"),
            (Edit("dim=1", "dim=0"),
             "the sequences are repeated: heads are dimension 1"),
            (Edit("dim=1", "dim=3"),
             "the channels are repeated: heads are dimension 1"),
            (Edit(", dim=1", ""),
             "every single number is repeated: name the dimension"),
            ("return x", "nothing is repeated"),
        ),
    ),
    Exercise(
        "modern.alibi", "alibi",
        cases=(
            Case("two heads with slopes of 1/16 and 1/256",
                 "alibi(4, 4, n_head=2).tril()"),
            Case("the last two of five ask", "alibi(2, 5, 1).tril(3)"),
            Case("so it is for any sizes", """
                T = number(2, 5)
                S = T + number(1, 4)
                alibi(T, S, n_head=6).tril(S - T)"""),
        ),
        hints=(
            "Two steps: distances (T, S), of the last T positions to all S; "
            "then minus slopes for each head.",
            "t[-T:, None] - t gives the distances, and slopes[:, None, None] "
            "has a dimension for each of their two."),
        right=("far = (t[-T:].unsqueeze(-1) - t.unsqueeze(0)).abs()\n"
               "return far * -slopes.view(-1, 1, 1)",),
        wrong=(
            (Edit("-slopes", "slopes"),
             "far keys are rewarded: the number must be negative"),
            (Edit("-slopes[:, None, None] * distance",
                  "-1.0 * distance.expand(n_head, T, S)"),
             "the slopes are missing"),
            (Edit("-T:", ":T"),
             "the first T positions ask: only the last T do"),
            (Edit("t[-T:, None]", "t[:, None]"),
             "all S positions ask: only the last T do"),
            (Edit(" * distance", ".expand(n_head, T, S)"),
             "the distance is missing: the penalty grows with it"),
            (Edit("[:, None, None]", "[:, None]"),
             "the slopes go to the queries: they belong to the heads, "
             "slopes[:, None, None]"),
            (Edit("[:, None, None]", ""),
             "the shapes do not fit: distances are (T, S), and "
             "slopes[:, None, None] is (H, 1, 1)"),
        ),
    ),
    Exercise(
        "modern.qknorm", "GroupedQueryAttention.heads",
        cases=(
            Case("queries and keys are normalized, values stay as they were",
                 GROUPED.format("position='none', qk_norm=True")
                 + "layer.heads(x)"),
            Case("with RoPE, before they are turned",
                 GROUPED.format("qk_norm=True") + "layer.heads(x, start=2)"),
            Case("without QK-norm nothing is normalized",
                 GROUPED.format("qk_norm=False") + "layer.heads(x)"),
        ),
        hints=("Two of the three are normalized, each by its own norm.",
               "q = self.norm_q(q) and k = self.norm_k(k)."),
        right=("q = self.norm_q(q)\nk = self.norm_k(k)",),
        wrong=(
            ("pass", "nothing is normalized"),
            ("return self.norm_q(q), self.norm_k(k), v",
             "the return leaves out the turns below: give q and k new values"),
            ("if self.qk_norm:\n    q, k = self.norm_q(q), self.norm_k(k)",
             "there is no self.qk_norm: without QK-norm both norms change "
             "nothing, so always call them"),
            ("q = self.norm_q(q)", "only the queries are normalized"),
            ("k = self.norm_k(k)", "only the keys are normalized"),
            ("q, k = self.norm_k(q), self.norm_q(k)",
             "the norms are exchanged: norm_q is for queries"),
            ("q, k = self.norm_q(q), self.norm_q(k)",
             "the queries' norm is used for the keys too"),
            ("k, q = self.norm_q(q), self.norm_k(k)",
             "queries and keys are exchanged"),
            ("q, k, v = self.norm_q(q), self.norm_k(k), self.norm_k(v)",
             "the values are normalized too: what is passed on keeps its "
             "length"),
            ("q, k = rms_normalize(q), rms_normalize(k)",
             "the learned gains are missing: use self.norm_q and self.norm_k"),
        ),
    ),
    Exercise(
        "modern.orthogonalize", "orthogonalize",
        cases=(
            Case("one round",
                 "G = torch.randn(3, 5)\northogonalize(G, rounds=1)"),
            Case("two rounds",
                 "G = torch.randn(3, 5)\northogonalize(G, rounds=2)"),
            Case("five rounds, and tall matrices",
                 "G = torch.randn(2, 5, 3)\northogonalize(G)", atol=1e-4),
        ),
        hints=("Write P as the formula has it. The next A is P A P.",
               f"{P}, then A, W = P @ A @ P, P @ W."),
        right=(
            "P = I * a + A @ (b * I + c * A)\nA, W = P @ A @ P, P @ W",
            f"{P}\nX = P @ X\nA = X @ X.mT",
        ),
        wrong=(
            (Edit("A @ A\n", "A * A\n"),
             "A * A multiplies number by number: @ is the matrix product"),
            (Edit(" + c * A @ A", ""), "the term with c is missing: c · A²"),
            (Edit("a * I + ", ""), "the term with a is missing: a · I"),
            (Edit(" + b * A", ""), "the term with b is missing: b · A"),
            (Edit("a * I", "a"), "a is added to every entry: it needs a · I"),
            (Edit("b * A + c * A @ A", "c * A + b * A @ A"),
             "b and c are exchanged"),
            (Edit("+ b", "- b"), "b is negative already: add it"),
            (Edit("P @ W", "P * W"),
             "P * W multiplies number by number: P @ W"),
            (Edit("P @ W", "P @ W\nX = P @ X"),
             "P is applied twice, in each round and again by W at the end"),
            (Edit("A, W = P @ A @ P, P @ W", "A = P @ A @ P"),
             "W is not changed: it is multiplied by P in each round"),
            (Edit("A, W = P @ A @ P, P @ W", "W = P @ W"),
             "A is the same in every round: the next one is P·A·P"),
            (Edit("P @ A @ P", "P @ A"),
             "the next A is P·A·P: P is on one side only"),
            (Edit("@ P, P @ W", "@ P, P"),
             "W is the P of the last round: multiply all of them"),
            (f"{P}\nreturn (P @ X).mT if tall else P @ X",
             "only one round is made, whatever `rounds` says"),
            ("A, W = P @ A @ P, P @ W",
             "P has no value yet: a · I + b · A + c · A² comes first"),
        ),
        core=True,
    ),
    Exercise(
        "modern.muon", "Muon.move",
        cases=(
            Case("a step of lr · 0.2 √5 · orthogonalize(G), for a 3 × 5 "
                 "matrix", ONE.format(0.0)),
            Case("first, weight decay shrinks the matrix", ONE.format(0.5)),
            Case("each matrix follows its own momentum",
                 STEPS + "[p.detach() for p in weights]", atol=1e-4),
            Case("which is kept as a running mean",
                 STEPS + "[optimizer.state[p]['mean'] for p in weights]"),
        ),
        hints=(
            "Two loops: the first updates each mean and collects the inputs "
            "of orthogonalize, the second moves each matrix.",
            "mean.lerp_(p.grad, 1 - momentum) is the first line of the "
            "formulas, p.grad.lerp(mean, momentum) goes into orthogonalize; "
            "p.mul_(…) and p.add_(…) make the last."),
        right=(
            "for p in matrices:\n"
            '    mean = self.state[p].setdefault("mean", torch.zeros_like(p))\n'
            "    mean.mul_(momentum).add_((1 - momentum) * p.grad)\n"
            "    ahead = momentum * mean + (1 - momentum) * p.grad\n"
            "    size = 0.2 * max(p.size(0), p.size(1)) ** 0.5\n"
            "    new = (1 - lr * weight_decay) * p\n"
            "    p.copy_(new - lr * size * orthogonalize(ahead))",
        ),
        wrong=(
            (Edit("alpha=-lr", "alpha=lr"),
             "the matrices go uphill: subtract the update"),
            (Edit("alpha=-lr * 0.2 * max(p.shape) ** 0.5", "alpha=-lr"),
             "the length of the step is missing: 0.2 · √max(R, C)"),
            (Edit("max(", "min("), "the longer side counts: max(R, C)"),
            (Edit("max(p.shape)", "p.size(1)"),
             "a matrix can have more rows than columns: max(R, C)"),
            (Edit("0.2 * ", ""), "the factor 0.2 is missing"),
            (Edit("1 - lr * weight_decay", "lr * weight_decay"),
             "this keeps lr · weight_decay of the matrix: 1 minus that"),
            (Edit("    p.mul_(1 - lr * weight_decay)\n"
                  "    p.add_(update, alpha=-lr * 0.2 * max(p.shape) ** 0.5)",
                  "    p.add_(update, alpha=-lr * 0.2 * max(p.shape) ** 0.5)\n"
                  "    p.mul_(1 - lr * weight_decay)"),
             "the step shrinks too: weight decay comes before it"),
            (Edit("torch.zeros_like(p)", "p.grad.clone()"),
             "the mean starts with the first gradient: it starts at zero"),
            (Edit("lerp_(p.grad, 1 - momentum)",
                  "mul_(momentum).add_(p.grad)"),
             "the whole gradient was added to the mean: (1 - momentum) of it"),
            (Edit(" ** 0.5", ""), "take the root of the longer side"),
            (Edit("orthogonalize(torch.stack(ahead))", "ahead"),
             "the update is not made orthogonal"),
            (Edit("stack", "cat"),
             "the matrices were glued together: torch.stack keeps them apart"),
            (Edit("p.mul_(1 - lr * weight_decay)\n    p.add_(update, alpha=",
                  "p = p * (1 - lr * weight_decay) + (update * "),
             "the name p has a new matrix, and the parameter its old numbers: "
             "change it in place"),
            (Edit("p.mul_(1 - lr * weight_decay)\n    ", ""),
             "the weight decay is missing"),
            (Edit("lr * weight", "weight"),
             "weight decay is multiplied by the learning rate"),
            (Edit("p.grad.lerp(mean, momentum)", "p.grad"),
             "the update knows only the newest gradient: mix in the mean"),
            (Edit("p.grad.lerp(mean, momentum)", "mean"),
             "the update is the mean: the newest gradient goes in once more"),
            (Edit("lerp(mean, momentum)", "lerp(mean, 1 - momentum)"),
             "the update has momentum · mean and (1 - momentum) · gradient"),
            (Edit("lerp_(p.grad, 1 - momentum)", "lerp_(p.grad, momentum)"),
             "the mean keeps `momentum` of what it was"),
            (Edit("if p not in self.state:\n        self", "self"),
             "the mean begins anew in each step: only the first makes it"),
            (Edit("if p not in self.state:\n        "
                  'self.state[p]["mean"] = torch.zeros_like(p)\n    ', ""),
             "self.state[p] is empty in the first step: begin with zeros"),
            (Edit("lerp_", "lerp"),
             "the new mean is not kept: self.state still has the old one"),
        ),
        core=True,
    ),
    Question(
        "modern.predict-cache", 4,
        "only keys and values are kept, and 8 heads of them are a quarter of 32",
        ("Queries are not kept.",
         "How many heads of keys are there, how many would there be?"),
        wrong={
            8: "8 of 32 heads are left: how many times fewer is that?",
            2: "keys and values both become fewer: the factor is 32 / 8",
            1: "the cache holds keys and values, and there are fewer of them",
            24: "that is how many heads are saved: by which factor?",
        },
    ),
    Question(
        "modern.break-padding", "b",
        "all move by the same five positions, and only distances count",
        ("What does the product of a turned query and a turned key know?",
         "Both are turned by five steps more."),
        wrong={
            "a": "that is so for learned positions: with RoPE only distances "
            "count, and they are what they were",
            "c": "later tokens look at earlier ones, at the same distances as "
            "before",
        },
    ),
    Question(
        "modern.predict-muon", 1,
        "the running mean of the gradient, and nothing of its size: half of "
        "AdamW's memory",
        ("Look for self.state in the class.",
         "`mean` is as large as the matrix."),
        wrong={
            2: "that is AdamW: Muon keeps no squares",
            0: "the momentum must be kept from step to step",
            5: "the five rounds begin anew in each step and keep nothing",
        },
    ),
]  # fmt: skip
