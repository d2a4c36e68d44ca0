"""Chapter 17: what its exercises expect."""

from minigpt.course.exercises import Case, Edit, Exercise, Question

CONFIG = """
from minigpt.gpt import GPTConfig
n_layer, n_embd, vocab_size = {}, 4 * number(2, 5), number(11, 19)
config = GPTConfig(vocab_size, 9, n_layer, n_head=4, n_embd=n_embd)
"""
LAW = """
x = [1.0, 4.0, 9.0, number(30, 60)]
power, factor, floor = number(2, 6) / 8, number(3, 9) / 2, {}
y = [floor + factor * n**-power for n in x]
"""
MLP = "x, w1, w2 = torch.randn(3, 4), torch.randn(4, 6), torch.randn(6, 4)\n"
SLOPE = "(du * dv).sum() / du.square().sum()"


def numbers(law):
    """A power law -> its three numbers, by name."""
    return {x: getattr(law, x) for x in ("factor", "power", "floor")}


EXERCISES = [
    Exercise(
        "scale.token_flops",
        "token_flops",
        cases=(
            Case("every product counts, two FLOPs for each weight",
                 CONFIG.format(1) + "token_flops(config, T=5)"),
            Case("in every block", CONFIG.format("number(3, 5)") + """
T = number(2, 8)
token_flops(config, T)"""),
        ),
        hints=("One token meets every weight of a matrix once, and that is two "
               "FLOPs. How many weights are in C × 3C and C × C together?",
               "The table above has all three; multiply each by L."),
        right=(
            "weights = 4 * C**2\n"
            "projections, mlp = 2 * L * weights, 4 * L * weights\n"
            "mixing = 2 * (T * C + T * C) * L",
        ),
        wrong=(
            ("projections = L * 4 * C * C\nmixing = L * 2 * T * C\n"
             "mlp = L * 8 * C * C",
             "these are multiplications: each comes with an addition, which "
             "makes two FLOPs"),
            ("projections = 8 * C * C\nmixing = 4 * T * C\nmlp = 16 * C * C",
             "this is one block: there are n_layer"),
            (Edit("4 * T", "2 * T"), "mixing is half of what it should be: "
             "two products of T · C weights, and two FLOPs for each"),
            (Edit("4 * T * C", "4 * T * C // config.n_head"),
             "this is the mixing of one head: together they have C channels"),
            (Edit("8 * C", "6 * C"),
             "the output projection is missing: C × C beside C × 3C"),
            (Edit("8 * C", "4 * C"),
             "projections are half of what they should be: C × 3C and C × C "
             "have 4 · C² weights, and each is two FLOPs"),
            (Edit("16 * C", "8 * C"),
             "mlp is half of what it should be: C × 4C and 4C × C have 8 · C² "
             "weights, and each is two FLOPs"),
            (Edit("4 * T", "4 * T * T"),
             "this is the mixing of all T tokens: one token is asked for"),
            (Edit("4 * T", "4 * config.block_size"),
             "the token meets T keys, not block_size"),
            ("projections = T * L * 8 * C * C\nmixing = L * 4 * T * C\n"
             "mlp = T * L * 16 * C * C",
             "this is for T tokens: one token is asked for"),
            ("projections = L * 8 * C\nmixing = L * 4 * T * C\n"
             "mlp = L * 16 * C", "a matrix of C × C has C² weights, not C"),
            ("projections = L * 8 * C * C\nmixing = L * 4 * T * C",
             "three names are asked for: projections, mixing and mlp"),
        ),
        core=True,
    ),
    Exercise(
        "scale.memory",
        "memory_bytes",
        cases=(
            Case("16 bytes for each parameter, and the activations",
                 CONFIG.format(1) + "memory_bytes(config, batch_size=1)"),
            Case("of which only the activations grow with the batch",
                 CONFIG.format("number(2, 4)") + "batch_size = number(2, 9)\n"
                 "memory_bytes(config, batch_size)"),
        ),
        hints=("A float32 takes 4 bytes. How many numbers does AdamW keep for "
               "each parameter?",
               "weights = 4 * N, gradients = 4 * N, moments = 8 * N."),
        right=("weights = gradients = torch.float32.itemsize * N\n"
               "moments = weights + gradients",),
        wrong=(
            (Edit("2 * 4 * N", "4 * N"),
             "AdamW remembers two averages for each parameter"),
            ("weights = gradients = N\nmoments = 2 * N",
             "these are numbers, not bytes: a float32 takes 4"),
            (Edit("2 * 4 * N", "2 * N"),
             "the moments are numbers, not bytes: a float32 takes 4"),
            ("weights = gradients = 32 * N\nmoments = 64 * N",
             "these are bits: a float32 takes 4 bytes"),
            ("weights = gradients = 2 * N\nmoments = 4 * N",
             "this is for 16 bits: here everything is float32"),
            (Edit("gradients = 4 * N", "gradients = 4 * N * batch_size"),
             "the gradients depend on the parameters, not on the batch"),
            (Edit("2 * 4 * N", "3 * 4 * N"), "the moments hold no copy of the "
             "weights here: two averages, 8 bytes"),
            ("weights = 4 * N\ngradients = 4 * N",
             "three names are asked for: weights, gradients and moments"),
        ),
    ),
    Exercise(
        "scale.fit",
        "fit_power_law",
        cases=(
            Case("it finds the power law that the points lie on",
                 LAW.format("0.0") + "numbers(fit_power_law(x, y))"),
            Case("also above a floor",
                 LAW.format("0.25") + "numbers(fit_power_law(x, y, floor))"),
            Case("points that lie on no line get the best line", """
                x = [2, 6, 10, 80, number(100, 200)]
                y = [4.0, 2.5, number(10, 24) / 10, 1.25, 0.75]
                numbers(fit_power_law(x, y))"""),
            Case("double precision tells y from a floor of a million",
                 LAW.format("1e6") + "numbers(fit_power_law(x, y, floor))"),
            Case("a y below the floor is refused",
                 "numbers(fit_power_law([2.0, 8, 9], [3.0, 0.2, 2.0], 0.5))"),
            Case("a y at the floor is refused too",
                 "numbers(fit_power_law([2.0, 8, 9], [3.0, 0.5, 2.0], 0.5))"),
        ),
        hints=("Take the means off both, du = u - u.mean() and dv likewise. The "
               "slope is the sum of du · dv over the sum of du².",
               "The power is minus the slope, and the factor is the exp() of "
               "v.mean() + power · u.mean(). PowerLaw(factor.item(), "
               "power.item(), floor) makes plain numbers of them."),
        right=(
            "if not all(n > floor for n in y):\n"
            '    raise ValueError("y must be above the floor")\n'
            "x, y = (torch.tensor(n, dtype=torch.float64) for n in (x, y))\n"
            "u, v = x.log(), (y - floor).log()\n"
            "slope = torch.cov(torch.stack([u, v]))[0, 1] / u.var()\n"
            "factor = torch.exp(v.mean() - slope * u.mean())\n"
            "return PowerLaw(float(factor), -float(slope), floor)",
        ),
        wrong=(
            (Edit(f"-{SLOPE}", SLOPE), "the slope of a falling law is "
             "negative, its power positive: turn the sign"),
            (Edit(SLOPE, "du.square().sum() / (du * dv).sum()"),
             "this is the slope the other way round: divide by the sum of du²"),
            (Edit("power.item(), floor", "-power.item(), floor"),
             "the power has the sign of the slope: turn it"),
            (Edit(".log()", ".log10()"),
             "exp() undoes the natural logarithm only: log()"),
            (Edit("torch.double", "torch.float"),
             "float32 has seven digits, too few where y is near a high floor: "
             "torch.double"),
            (Edit("v.mean() + power * u.mean()", "v[0] + power * u[0]"),
             "the line runs through the means, not through the first point"),
            (Edit("PowerLaw(factor.item(), power.item(), floor)",
                  "factor.item(), power.item(), floor"),
             "these are three numbers: put them into a PowerLaw"),
            (Edit("u - u.mean(), v - v.mean()", "u, v"),
             "the means are not taken off: u - u.mean() and v - v.mean()"),
            (Edit(SLOPE, "(v[-1] - v[0]) / (u[-1] - u[0])"), "a line through "
             "two of the points is not the best line through all"),
            (Edit(SLOPE, "(dv / du).mean()"),
             "the mean of the slopes is not the slope: divide the sums"),
            (Edit(SLOPE, "du * dv / du.square()"),
             "the sums over the points are missing"),
            (Edit("+ power * u.mean()).exp()", "+ power * u.mean())"),
             "this is the logarithm of the factor: exp() is missing"),
            (Edit("v.mean() + power", "v.mean() - power"), "the power is "
             "subtracted where it must be added: log a is v̄ + power · ū"),
            (Edit(" + power * u.mean()", ""), "this is where the mean of v "
             "lies, not the line at x = 1: add power · ū"),
            (Edit("factor.item(), power.item()", "power.item(), factor.item()"),
             "factor and power are exchanged: PowerLaw takes the factor first"),
            (Edit("factor.item(), power.item()", "factor, power"),
             "PowerLaw holds plain numbers, and these are tensors: .item()"),
            (Edit("torch.double) - floor).log()", "torch.double)).log()"),
             "the power law is what is above the floor: subtract it from y"),
            (Edit("power.item(), floor)", "power.item())"),
             "the floor is part of the law: hand it to PowerLaw"),
            (Edit("torch.tensor(x, dtype=torch.double).log()", "np.log(x)"),
             "the module does not import numpy: torch does all of it too"),
            (Edit("torch.double).log()", "torch.double)"),
             "u must be the logarithm of x"),
            (Edit("<= floor", "< floor"),
             "a y at the floor has no logarithm either: refuse it too"),
            (Edit("return PowerLaw", "PowerLaw"),
             "it returns None: is the `return` missing?"),
            (Edit("min(y) <= floor", "min(y) <= 0"), "compare the smallest y "
             "with the floor, and raise a ValueError if it is not above it"),
        ),
        core=True,
    ),
    Exercise(
        "scale.tensor",
        "tensor_parallel",
        cases=(
            Case("two devices: equal to the undivided MLP",
                 MLP + "tensor_parallel(x, w1, w2, 2)"),
            Case("three devices too", MLP + "tensor_parallel(x, w1, w2, 3)"),
        ),
        hints=("`columns` are the hidden channels of one device, and `rows` what "
               "becomes of them. GELU works on each hidden channel alone.",
               "parts.append(F.gelu(x @ columns) @ rows)"),
        right=("hidden = F.gelu(x.matmul(columns))\n"
               "parts += [torch.einsum('bf,fc->bc', hidden, rows)]",),
        wrong=(
            ("parts.append(x @ columns @ rows)",
             "GELU is missing between the two products"),
            ("parts.append(F.gelu(x @ columns @ rows))",
             "GELU comes after the second product: it belongs between them"),
            ("parts.append(F.gelu(x @ w1) @ w2)", "every device computes all "
             "of it, so the sum is n times as large: use `columns` and `rows`"),
            ("parts.append(F.gelu(x @ columns) @ w2)",
             "the shapes do not fit: a device has a part of w1 and the same "
             "part of w2, `columns` and `rows`"),
            (Edit("gelu", "relu"), "this is ReLU: GELU is asked for"),
            ("parts.append(F.gelu(x @ columns))",
             "the second product is missing: @ rows"),
            (Edit("@ rows", "* rows"), "a product of matrices is asked for: @"),
            ("parts.append((F.gelu(x @ columns), rows))",
             "append one tensor (B, C) for each device"),
            ("parts = F.gelu(x @ columns) @ rows", "`parts` is overwritten, "
             "and the sum goes over the rows of the last device: append"),
            ("parts = [F.gelu(x @ columns) @ rows]",
             "`parts` starts anew, so only the last device is left: append"),
            ("parts += F.gelu(x @ columns) @ rows",
             "+= and extend add each row by itself: append the tensor"),
            ("return F.gelu(x @ columns) @ rows",
             "only the first device's part is there: append it and go on"),
            ("F.gelu(x @ columns) @ rows",
             "nothing was appended: each device adds its part to `parts`"),
        ),
        core=True,
    ),
    Exercise(
        "scale.pipeline",
        "pipeline",
        cases=(
            Case("each stage works one step after the one before it",
                 "pipeline(2, 3)"),
            Case("so it is for any number of stages", """
                stages, micro_batches = number(3, 5), number(2, 6)
                pipeline(stages, micro_batches)"""),
        ),
        hints=("Stage 0 has micro-batch m at step m. When can stage 1 have it?",
               "One step later for each stage: table[stage][stage + micro]."),
        right=("table[stage][micro + stage] = int(micro)",),
        wrong=(
            ("table[stage][micro] = micro", "every stage begins at once: what "
             "it needs comes from the stage before, one step later"),
            (Edit("= micro", "= stage"),
             "the table is to hold the number of the micro-batch"),
            (Edit("[stage + micro]", "[stages - 1 - stage + micro]"),
             "the last stage begins first: stage 0 has the first blocks"),
            (Edit("[stage + micro]", "[stage * micro_batches + micro]"),
             "a step beyond the last: stage 0 begins at step 0, and each stage "
             "one step after the one before it"),
            (Edit("[stage + micro]", "[steps - 1 - stage - micro]"),
             "the micro-batches go through in reverse"),
            ("table[stage + micro][stage] = micro",
             "there is no such row: a row is a stage, table[stage][…]"),
            ("table[stage].append(micro)", "the table has its places already: "
             "write into one, table[stage][…] = micro"),
            (Edit("= micro", "= True"), "the table holds True: the number of "
             "the micro-batch is asked for"),
            (Edit("= micro", "= micro + 1"),
             "the micro-batches are counted from 0"),
            (Edit("= micro", "== micro"),
             "nothing was written into the table: == compares, = writes"),
        ),
    ),
    Question(
        "scale.predict-flops",
        1.2e20,
        "6 · N · D with N = 10⁹ and D = 20 · N is 1.2 · 10²⁰: 1.4 PF-days",
        ("Twenty tokens for each parameter: how large is D?",
         "6 · N · D, with D = 2 · 10¹⁰."),
        wrong={
            4e19: "that is 2ND, the forward pass alone: training takes 6ND",
            6e18: "that is one token for each parameter: D is 20 times N",
            1.2e11: "that is 6 · 20 · N: D is not 20, but 20 times N",
        },
        within=1e18,
    ),
    Question(
        "scale.predict-bubble",
        0.2,
        "3 of 15 steps: (4 - 1) / (4 + 12 - 1)",
        ("How many steps are there, and in how many does a stage work?",
         "There are 4 + 12 - 1 steps; each stage works in 12."),
        wrong={
            0.25: "that is 3 of 12: there are more steps than micro-batches",
            0.8: "that is the share of the time in which it works",
            0.75: "that is 3 of 4, for a single micro-batch: here are 12",
            0.0625: "that is 1 of 16: each stage waits for three others",
        },
        within=0.004,
    ),
    Question(
        "scale.predict-halving",
        "c",
        "2^(1 / 0.076) is about 9,100, so a small power asks for patience",
        ("By which factor must N grow, so that N^(−0.076) becomes a half?",
         "The factor f has f^0.076 = 2."),
        wrong={
            "a": "twice the size lowers the loss by five percent: "
            "2^(−0.076) = 0.95",
            "b": "1 / 0.076 is 13, but it is an exponent: 2 to this power",
        },
    ),
]  # fmt: skip
