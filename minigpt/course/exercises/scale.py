"""Chapter 17: what its exercises expect."""

from types import SimpleNamespace

import torch
import torch.nn.functional as F

from minigpt.course.exercises import Exercise, Question


def config(t, **changes):
    """A small model; has the fields of GPTConfig."""
    fields = dict(
        vocab_size=11, block_size=9, n_layer=3, n_head=2, n_embd=8,
        dropout=0.0, bias=True, tied=True, order="pre", norm="layer",
        mlp="gelu", position="learned", attention="full",
    )  # fmt: skip
    if t.seed > 1:
        more = {"n_layer": 3 + t.seed % 3, "n_embd": 8 + 4 * (t.seed % 3)}
        fields |= more | {"vocab_size": 11 + t.seed % 5}
    return SimpleNamespace(**(fields | changes))


def check_token_flops(t):
    c, T = config(t), 5
    given = f"{c.n_layer} blocks, {c.n_embd} channels, T = {T} keys"
    got = t.call(
        t.answer, c, T, given=given,
        errors={
            "UnboundLocalError": "three names are asked for: projections, "
            "mixing and mlp",
            "NameError": "three names are asked for: projections, mixing and "
            "mlp",
        },
    )  # fmt: skip
    L, C = c.n_layer, c.n_embd

    def parts(L=L, linear=8, mixed=4 * T, mlp=16):
        return {
            "projections": L * linear * C * C,
            "mixing": L * mixed * C,
            "mlp": L * mlp * C * C,
            "head": 2 * c.vocab_size * C,
        }

    t.same(
        got, parts(), "every product counts, in every block", given=given,
        mistakes={
            "those are multiplications: each comes with an addition, two "
            "FLOPs": parts(linear=4, mixed=2 * T, mlp=8),
            "that is one block: there are n_layer": parts(L=1),
            "only one of the two products of mixing is there: queries with "
            "keys, and weights with values": parts(mixed=2 * T),
            "the output projection is missing: C × C beside C × 3C": parts(
                linear=6
            ),
            "queries, keys and values count three times: C × 3C": parts(
                linear=4
            ),
            "only one matrix of the MLP is there: C × 4C and 4C × C": parts(
                mlp=8
            ),
            "that is mixing for all T tokens: one token is asked for": parts(
                mixed=4 * T * T
            ),
            "the token meets T keys, not block_size": parts(
                mixed=4 * c.block_size
            ),
            "that is for T tokens: one token is asked for": parts(
                linear=8 * T, mlp=16 * T
            ),
            "a matrix of C × C has C² weights, not C": parts() | {
                "projections": L * 8 * C, "mlp": L * 16 * C,
            },
        },
        otherwise="the numbers are others: two FLOPs for each weight of C × "
        "3C, C × C, C × 4C and 4C × C, and 4 · T · C for mixing, in each block",
    )  # fmt: skip


def check_memory(t):
    c = config(t)
    N = 12 * c.n_layer * c.n_embd**2 + 13 * c.n_layer * c.n_embd
    N += (c.vocab_size + c.block_size + 2) * c.n_embd
    given = f"a model of {N:,} parameters, 2 windows"
    got = t.call(
        t.answer, c, 2, given=given,
        errors={
            "UnboundLocalError": "three names are asked for: weights, "
            "gradients and moments",
            "NameError": "three names are asked for: weights, gradients and "
            "moments",
        },
    )  # fmt: skip
    t.true(
        isinstance(got, dict) and "activations" in got,
        "four parts",
        "the lines around the blank return a dict of four parts",
        given=given, expected="a dict", got=got,
    )  # fmt: skip

    def parts(weights=4, gradients=4, moments=8, n=N):
        return [weights * n, gradients * n, moments * n]

    t.same(
        [got[key] for key in ("weights", "gradients", "moments")],
        parts(),
        "16 bytes for each parameter",
        given=given,
        mistakes={
            "AdamW remembers two averages for each parameter": parts(moments=4),
            "those are numbers, not bytes: float32 takes 4": parts(1, 1, 2),
            "the moments are numbers, not bytes: float32 takes 4": parts(
                moments=2
            ),
            "those are bits: float32 takes 4 bytes": parts(32, 32, 64),
            "that is 16 bits: here everything is float32": parts(2, 2, 4),
            "the gradients depend on the parameters, not on the batch": parts(
                gradients=8
            ),
            "the moments hold no copy of the weights here: two averages, 8 "
            "bytes": parts(moments=12),
        },
        otherwise="the numbers are others: one float32 for each weight, one "
        "for its gradient, two for its moments",
    )


def check_fit(t):
    a, b, floor = 6.0, 0.5, 0.25
    if t.seed > 1:
        a, b = 2.0 + t.seed % 7, 0.1 + 0.1 * (t.seed % 4)
    x = [1.0, 4.0, 9.0, 64.0]
    y = [floor + a * n**-b for n in x]
    given = f"points on {floor} + {a:g} · x^-{b:.2g}, that floor"
    errors = {
        "UnboundLocalError": "two names are asked for: power and factor",
        "NameError": "two names are asked for: power and factor",
        "'float' object has no attribute 'item'": "power and factor are "
        "tensors of one number: leave .item() to the line below",
        "cannot be converted to Scalar": "power and factor are tensors of one "
        "number each: sums over the points are missing",
    }
    law = t.call(t.answer, x, y, floor, given=given, errors=errors)
    u, v = (torch.tensor(z).log() for z in (x, [n - floor for n in y]))
    mean_v, mean_u = float(v.mean()), float(u.mean())
    t.same(
        float(law.power), b, "the slope, with its sign turned", given=given,
        mistakes={
            "the slope of a falling law is negative, its power positive: turn "
            "the sign": -b,
            "that is the slope the other way round: divide by the sum of du²": (
                1 / b
            ),
            "the means are not taken off: u - u.mean() and v - v.mean()": (
                -float((u * v).sum() / u.square().sum())
            ),
        },
        otherwise="the power is another one: minus the sum of du · dv over "
        "the sum of du²",
    )  # fmt: skip
    t.same(
        float(law.factor), a, "the line runs through the means", given=given,
        mistakes={
            "that is the logarithm of the factor: exp() is missing": (
                mean_v + b * mean_u
            ),
            "the power is subtracted where it must be added: log a is v̄ + "
            "power · ū": float(torch.tensor(mean_v - b * mean_u).exp()),
            "that is where the mean of v lies, not the line at x = 1: add "
            "power · ū": float(torch.tensor(mean_v).exp()),
        },
        otherwise="the factor is another one: exp(v̄ + power · ū)",
    )  # fmt: skip
    noisy = [n * k for n, k in zip(x, (1.1, 0.9, 1.05, 0.97), strict=True)]
    law = t.call(t.answer, x, noisy, given="points that are on no line")
    u, v = (torch.tensor(z).double().log() for z in (x, noisy))
    du, dv = u - u.mean(), v - v.mean()
    t.same(
        float(law.power),
        -float((du * dv).sum() / du.square().sum()),
        "least squares through points that are on no line",
        given="points that are on no line",
        otherwise="a line through two of the points is not the best line "
        "through all",
    )


def check_tensor(t):
    g = torch.Generator().manual_seed(t.seed)
    x, w1, w2 = (
        torch.randn(*size, generator=g) for size in ((3, 4), (4, 6), (6, 4))
    )
    given = "x (3, 4), w1 (4, 6), w2 (6, 4), on 3 devices"
    got = t.call(
        t.answer, x, w1, w2, 3, given=given,
        errors={
            "mat1 and mat2": "the shapes do not fit: a device has a part of "
            "w1 and the same part of w2, `columns` and `rows`",
            "unsupported operand": "append one tensor (B, C) for each device",
            "'int' object": "nothing was appended to `parts`",
            "must match the size": "a product of matrices is asked for, @",
        },
    )  # fmt: skip
    pairs = list(zip(w1.chunk(3, 1), w2.chunk(3, 0), strict=True))
    t.same(
        got, F.gelu(x @ w1) @ w2, "equal to the undivided MLP", given=given,
        mistakes={
            "GELU is missing between the two products": x @ w1 @ w2,
            "GELU comes after the second product: it belongs between them": (
                lambda: sum(F.gelu(x @ a @ b) for a, b in pairs)
            ),
            "every device computes all of it, and the sum is three times as "
            "large: use `columns` and `rows`": 3 * (F.gelu(x @ w1) @ w2),
            "nothing was appended: each device adds its part to `parts`": 0,
            "only the first device's part is there": (
                lambda: F.gelu(x @ pairs[0][0]) @ pairs[0][1]
            ),
            "ReLU in place of GELU": F.relu(x @ w1) @ w2,
            "the second product is missing: @ rows": (
                lambda: sum(F.gelu(x @ a) for a, _ in pairs)
            ),
            "`parts` was put aside, and only the last device is left: "
            "parts.append(…)": (
                lambda: (F.gelu(x @ pairs[2][0]) @ pairs[2][1]).sum(0)
            ),
        },
        otherwise="the sum of the parts is not the MLP: gelu(x @ columns) @ "
        "rows on each device",
    )  # fmt: skip


def check_pipeline(t):
    stages, micro = (3, 4) if t.seed == 1 else (2 + t.seed % 3, 3)
    given = f"{stages} stages, {micro} micro-batches"
    got = t.call(
        t.answer, stages, micro, given=given,
        errors={
            "list assignment index": "a step beyond the last: a stage begins "
            "one step after the one before",
            "list index": "there is no such row: a row is a stage, "
            "table[stage][…]",
        },
    )  # fmt: skip
    steps = stages + micro - 1

    def table(place, value=lambda s, m: m):
        rows = [[None] * steps for _ in range(stages)]
        for s in range(stages):
            for m in range(micro):
                rows[s][place(s, m)] = value(s, m)
        return rows

    t.same(
        got,
        table(lambda s, m: s + m),
        "each stage works one step after the one before it",
        given=given,
        mistakes={
            "every stage begins at once: what it needs comes from the stage "
            "before, one step later": table(lambda s, m: m),
            "the table is to hold the number of the micro-batch": table(
                lambda s, m: s + m, lambda s, m: s
            ),
            "the micro-batches go through in reverse": table(
                lambda s, m: steps - 1 - s - m
            ),
            "the last stage begins first: stage 0 has the first blocks": table(
                lambda s, m: stages - 1 - s + m
            ),
            "the table holds True: the number of the micro-batch is asked for": (
                table(lambda s, m: s + m, lambda s, m: True)
            ),
            "the micro-batches are counted from 0": table(
                lambda s, m: s + m, lambda s, m: m + 1
            ),
            "nothing was written into the table": [[None] * steps] * stages,
            "the table has its places already: write into one, "
            "table[stage][…] = micro": [
                [None] * steps + list(range(micro)) for _ in range(stages)
            ],
        },
        otherwise="stage s has micro-batch m at step s + m",
    )


LINEAR = "projections = L * 8 * C * C\n"
MIXING = "mixing = L * 4 * T * C\n"
MLP = "mlp = L * 16 * C * C"
CENTRED = "du, dv = u - u.mean(), v - v.mean()\n"
POWER = "power = -(du * dv).sum() / du.square().sum()\n"
FACTOR = "factor = (v.mean() + power * u.mean()).exp()"

EXERCISES = [
    Exercise(
        "scale.token_flops",
        "token_flops",
        check_token_flops,
        (
            "One token meets every weight of a matrix once, and that is two "
            "FLOPs. How many weights are in C × 3C and C × C together?",
            "The table above has all three; multiply each by L.",
        ),
        right=(
            "weights = 4 * C**2\n"
            "projections, mlp = 2 * L * weights, 4 * L * weights\n"
            "mixing = 2 * (T * C + T * C) * L",
        ),
        wrong=(
            (
                "projections = L * 4 * C * C\nmixing = L * 2 * T * C\n"
                "mlp = L * 8 * C * C",
                "those are multiplications",
            ),
            (
                "projections = 8 * C * C\nmixing = 4 * T * C\nmlp = 16 * C * C",
                "that is one block",
            ),
            (
                LINEAR + "mixing = L * 2 * T * C\n" + MLP,
                "one of the two products",
            ),
            (
                "projections = L * 6 * C * C\n" + MIXING + MLP,
                "output projection is missing",
            ),
            (
                LINEAR + "mixing = L * 4 * T * T * C\n" + MLP,
                "one token is asked for",
            ),
            (LINEAR + MIXING, "three names are asked for"),
            (
                "projections = L * 8 * C\n" + MIXING + "mlp = L * 16 * C",
                "has C² weights",
            ),
            (
                "projections = T * L * 8 * C * C\n"
                + MIXING
                + "mlp = T * L * 16 * C * C",
                "for T tokens",
            ),
        ),
        core=True,
    ),
    Exercise(
        "scale.memory",
        "memory_bytes",
        check_memory,
        (
            "A float32 takes 4 bytes. How many numbers does AdamW keep for "
            "each parameter?",
            "weights = 4 * N, gradients = 4 * N, moments = 8 * N.",
        ),
        right=(
            "weights = gradients = torch.float32.itemsize * N\n"
            "moments = weights + gradients",
        ),
        wrong=(
            (
                "weights = 4 * N\ngradients = 4 * N\nmoments = 4 * N",
                "two averages for each parameter",
            ),
            ("weights = gradients = N\nmoments = 2 * N", "not bytes"),
            (
                "weights = gradients = 4 * N\nmoments = 2 * N",
                "moments are numbers",
            ),
            (
                "weights = gradients = 2 * N\nmoments = 4 * N",
                "that is 16 bits",
            ),
            (
                "weights = 4 * N\ngradients = 4 * N * batch_size\n"
                "moments = 8 * N",
                "not on the batch",
            ),
        ),
    ),
    Exercise(
        "scale.fit",
        "fit_power_law",
        check_fit,
        (
            "Take the means off both, du = u - u.mean(). The slope is the sum "
            "of du · dv over the sum of du².",
            "power is minus the slope, and factor is the exp() of v.mean() + "
            "power · u.mean().",
        ),
        right=(
            "slope = torch.cov(torch.stack([u, v]))[0, 1] / u.var()\n"
            "power = -slope\n"
            "factor = torch.exp(v.mean() - slope * u.mean())",
        ),
        wrong=(
            (
                CENTRED + "power = (du * dv).sum() / du.square().sum()\n"
                "factor = (v.mean() - power * u.mean()).exp()",
                "turn the sign",
            ),
            (
                CENTRED
                + "power = -du.square().sum() / (du * dv).sum()\n"
                + FACTOR,
                "the other way round",
            ),
            (
                "power = -(u * v).sum() / u.square().sum()\n" + FACTOR,
                "means are not taken off",
            ),
            (
                CENTRED + POWER + "factor = v.mean() + power * u.mean()",
                "exp() is missing",
            ),
            (
                CENTRED
                + POWER
                + "factor = (v.mean() - power * u.mean()).exp()",
                "must be added",
            ),
            (
                "power = -(v[-1] - v[0]) / (u[-1] - u[0])\n" + FACTOR,
                "two of the points",
            ),
        ),
        core=True,
    ),
    Exercise(
        "scale.tensor",
        "tensor_parallel",
        check_tensor,
        (
            "`columns` are the hidden channels of one device, and `rows` what "
            "becomes of them. GELU works on each hidden channel alone.",
            "parts.append(F.gelu(x @ columns) @ rows)",
        ),
        right=(
            "hidden = x.matmul(columns)\n"
            "hidden = F.gelu(hidden)\n"
            "parts += [torch.einsum('bf,fc->bc', hidden, rows)]",
        ),
        wrong=(
            ("parts.append(x @ columns @ rows)", "GELU is missing"),
            ("parts.append(F.gelu(x @ columns @ rows))", "after the second"),
            ("parts.append(F.gelu(x @ w1) @ w2)", "three times as large"),
            ("parts.append(F.gelu(x @ columns) @ w2)", "shapes do not fit"),
            ("parts.append(F.relu(x @ columns) @ rows)", "ReLU in place"),
            ("parts.append(F.gelu(x @ columns))", "second product"),
            ("parts.append(F.gelu(x @ columns) * rows)", "asked for, @"),
            ("parts = F.gelu(x @ columns) @ rows", "put aside"),
        ),
        core=True,
    ),
    Exercise(
        "scale.pipeline",
        "pipeline",
        check_pipeline,
        (
            "Stage 0 has micro-batch m at step m. When can stage 1 have it?",
            "One step later for each stage: table[stage][stage + micro].",
        ),
        right=("table[stage][micro + stage] = int(micro)",),
        wrong=(
            ("table[stage][micro] = micro", "begins at once"),
            ("table[stage][stage + micro] = stage", "number of the micro"),
            (
                "table[stage][stages - 1 - stage + micro] = micro",
                "last stage begins first",
            ),
            (
                "table[stage][stage * micro_batches + micro] = micro",
                "a step beyond the last",
            ),
            (
                "table[stage][steps - 1 - stage - micro] = micro",
                "in reverse",
            ),
            ("table[stage + micro][stage] = micro", "no such row"),
            ("table[stage].append(micro)", "has its places"),
        ),
    ),
    Question(
        "scale.predict-flops",
        1.2e20,
        "6 · N · D with N = 10⁹ and D = 20 · N is 1.2 · 10²⁰: 1.4 PF-days",
        (
            "Twenty tokens for each parameter: how large is D?",
            "6 · N · D, with D = 2 · 10¹⁰.",
        ),
        wrong={
            4e19: "that is 2ND, the forward pass alone: training takes 6ND",
            6e18: "that is one token for each parameter: D is 20 times N",
            1.2e11: "that is for one token for all: multiply by D, not by 20",
        },
        within=1e18,
    ),
    Question(
        "scale.predict-bubble",
        0.2,
        "3 of 15 steps: (4 - 1) / (4 + 12 - 1)",
        (
            "How many steps are there in all, and in how many does a stage "
            "work?",
            "There are 4 + 12 - 1 steps; each stage works in 12.",
        ),
        wrong={
            0.25: "that is 3 of 12: there are more steps than micro-batches",
            0.8: "that is the share in which it works",
            0.75: "that is 3 of 4, with a single micro-batch: here are 12",
            0.0625: "that is 1 of 16: one stage waits for three others",
        },
        within=0.004,
    ),
    Question(
        "scale.predict-halving",
        "c",
        "2^(1 / 0.076) is about 9,100: a power law with a small power is a "
        "very patient thing",
        (
            "By which factor must N grow, so that N^(−0.076) becomes a half?",
            "The factor f has f^0.076 = 2.",
        ),
        wrong={
            "a": "twice the size lowers the loss by five per cent: "
            "2^(−0.076) = 0.95",
            "b": "1 / 0.076 is 13: it stands in the exponent, 2 to this power",
        },
    ),
]
