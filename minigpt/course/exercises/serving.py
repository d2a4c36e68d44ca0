"""Chapter 21: what its exercises expect."""

from minigpt.course.exercises import Case, Edit, Exercise, Question

PARTS = """
scores, v = 5 * torch.randn(2, 6), torch.randn(6, 3)
def part(at):
    s = scores[:, at]
    m = s.amax(-1, keepdim=True)
    w = (s - m).exp()
    return m, w.sum(-1, keepdim=True), w @ v[at]
left, right = part(slice(0, number(1, 3))), part(slice(4, 6))
"""
MATRIX = """
w = torch.randn(5, 24) * torch.logspace(-1, 2, 5)[:, None]
w[2, 3] = 40 * number(3, 9)
bits, group = {}
"""
TOKENS = """
bits = {}
half = 2 ** (bits - 1)
q = torch.randint(-half, half, (3, 24)).to(torch.int8)
"""
DICE = """
def dice(seed):
    return torch.Generator().manual_seed(seed)
"""
PLACES = f"""{DICE}
V, k = 4, number(1, 3)
p = torch.randn(k + 1, V).softmax(-1)
q = torch.randn(k, V).softmax(-1)
drafted = torch.randint(V, (k,)).tolist()
"""
SHARES = f"""{DICE}
p = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
q = torch.tensor([[{{}}]])
def shares(place):
    g, seen = dice(number(0, 999)), torch.zeros(3)
    for _ in range(3000):
        guess = torch.multinomial(q[0], 1, generator=g).item()
        new = verify(p, q, [guess], g)
        if len(new) > place:
            seen[new[place]] += 1
    return seen / seen.sum()
"""
LIBRARY = """
n, size = number(3, 5), number(2, 4)
blocks = Blocks(n, size)
def state():
    return (list(blocks.users), list(blocks.free), dict(blocks.known),
            dict(blocks.holds))
"""
MODEL = """
from minigpt.gpt import GPT, GPTConfig
model = fill(GPT(GPTConfig(9, 24, 2, 2, 8)))
pool = Pool(model.config, 12, 4)
ids = [number(0, 8) for _ in range(number(9, 12))]
"""
PASSED = """
passed = []
model.token.register_forward_pre_hook(
    lambda module, args: passed.append(args[0].size(1)))
"""
RULE = "chance = p[i][token] / q[i][token]"
REST = "rest = (p[i] - q[i]).clamp(min=0)  # where q says too little"

EXERCISES = [
    Exercise(
        "serving.merge", "merge", core=True,
        cases=(
            Case("the largest score of both is the larger of the two",
                 PARTS + "merge(left, right)[0]"),
            Case("the sums are repaired before they are added",
                 PARTS + "merge(left, right)[1]"),
            Case("and so are the mixed values",
                 PARTS + "merge(left, right)[2]"),
            Case("the order of the parts does not matter",
                 PARTS + "merge(right, left)"),
            Case("large scores do not overflow", """
                big = torch.tensor([300.0 + number(1, 9)])
                left = big, torch.ones(1), torch.ones(2)
                merge(left, (big - 5, torch.ones(1), torch.zeros(2)))"""),
        ),
        hints=("What was measured against m becomes measured against a larger "
               "m by a factor of exp(old - new).",
               "m = torch.maximum(left[0], right[0]); the factor of the left "
               "part is (left[0] - m).exp(), and it repairs its sum and its "
               "mix."),
        right=(
            "new = torch.stack([left[0], right[0]]).amax(0)\n"
            "sums = [x[1] * torch.exp(x[0] - new) for x in (left, right)]\n"
            "mixes = [x[2] * torch.exp(x[0] - new) for x in (left, right)]\n"
            "return new, sum(sums), sum(mixes)",
        ),
        wrong=(
            (Edit("return m, a * left[1] + b * right[1], a * left[2] + b * "
                  "right[2]", "return m, left[1] + right[1], left[2] + "
                  "right[2]"),
             "the parts are added as they are: each was measured against its "
             "own largest score, so repair it by exp(old - new) first"),
            (Edit("a, b = (left[0] - m).exp(), (right[0] - m).exp()",
                  "a, b = (m - left[0]).exp(), (m - right[0]).exp()"),
             "the factors are upside down: exp(old - new) is at most 1"),
            (Edit("a, b = (left[0] - m).exp(), (right[0] - m).exp()",
                  "b, a = (left[0] - m).exp(), (right[0] - m).exp()"),
             "each part is repaired by the factor of the other"),
            (Edit("a * left[2] + b * right[2]", "left[2] + right[2]"),
             "the sums are repaired, but the mixed values are not"),
            (Edit("a * left[1] + b * right[1]", "left[1] + right[1]"),
             "the mixed values are repaired, but the sums are not"),
            (Edit("torch.maximum(left[0], right[0])", "left[0]"),
             "the largest score of the left part may be the smaller one, and "
             "then exp() can overflow: take the larger of both"),
            (Edit("torch.maximum(left[0], right[0])", "left[0] + right[0]"),
             "the largest score of both is the larger one, not the sum"),
            (Edit("torch.maximum(left[0], right[0])",
                  "torch.maximum(left[0], right[0]).amax()"),
             "every query has a largest score of its own: compare them one by "
             "one, with torch.maximum"),
            (Edit("a * left[2] + b * right[2]",
                  "(a * left[2] + b * right[2]) / (a * left[1] + b * "
                  "right[1])"),
             "the mix is divided already: that comes once, after the last "
             "part"),
        ),
    ),
    Exercise(
        "serving.bytes", "attention_bytes",
        cases=(
            Case("one tile reads everything once", """
                T = number(5, 9)
                attention_bytes(T, 8, tile=T)"""),
            Case("every tile of queries reads all keys and values", """
                T, tile = 12 * number(2, 5), 12
                attention_bytes(T, 8, tile)"""),
            Case("so does the last one, which may be smaller", """
                T, D, tile = number(20, 29), number(3, 9), 7
                attention_bytes(T, D, tile)"""),
            Case("numbers may have two bytes", """
                T = number(20, 29)
                attention_bytes(T, 4, 8, itemsize=2)"""),
        ),
        hints=("Queries and results: 2 · T · D numbers. Keys and values: as "
               "many, for each tile of queries. How many tiles are there?",
               "math.ceil(T / tile) tiles, and itemsize bytes for a number."),
        right=(
            "n_tiles = -(-T // tile)\nonce = 2 * T * D\n"
            "return itemsize * (once + n_tiles * once)",
        ),
        wrong=(
            (Edit("math.ceil(T / tile)", "T // tile"),
             "the last, smaller tile is left out: round up"),
            (Edit("math.ceil(T / tile)", "T / tile"),
             "a part of a tile reads all keys too: round up"),
            (Edit("(2 * T * D + 2 * T * D * math", "(2 * T * D * math"),
             "queries and results are missing: 2 · T · D numbers"),
            (Edit("+ 2 * T * D * math", "+ T * D * math"),
             "each tile reads the keys and the values"),
            (Edit(" * math.ceil(T / tile)", ""),
             "keys and values are read once for each tile of queries"),
            (Edit(" * itemsize", ""), "these are numbers: bytes are asked for"),
            (Edit("* itemsize", "* 4"), "itemsize has no effect"),
            (Edit("math.ceil(T / tile)", "math.ceil(T / tile) ** 2"),
             "that is the number of squares: each tile of queries reads every "
             "key once, whatever portions it comes in"),
        ),
    ),
    Exercise(
        "serving.quantize", "quantize", core=True,
        cases=(
            Case("the largest number of a row becomes 7 in 4 bits", """
                w = torch.tensor([[0.5, -2.0, 1.0, 0.25]]) * number(2, 9)
                quantize(w, 4)""", gradients=False),
            Case("scales have the shape (rows, groups), in half precision",
                 MATRIX.format("6, 8") + "scale = quantize(w, bits, group)[1]\n"
                 "scale.shape, str(scale.dtype)"),
            Case("each row has its own scale",
                 MATRIX.format("8, None") + "quantize(w, bits, group)",
                 gradients=False),
            Case("and so has each group",
                 MATRIX.format("3, 6") + "quantize(w, bits, group)",
                 gradients=False),
            Case("a row of zeros stays zeros", """
                w = torch.zeros(2, 4)
                w[0, 1] = number(2, 9)
                quantize(w, 4)""", gradients=False),
            Case("no number leaves its range where the scale was rounded", """
                w = 10 ** -torch.arange(3.0, 7.0, 0.05)[:, None]
                w = torch.cat([w, -w, w / number(2, 9)], 1)
                quantize(w, 8)""", gradients=False),
            Case("bits that are not offered are refused",
                 "quantize(torch.ones(2, 4), 5)"),
        ),
        hints=("The largest of each group is parts.abs().amax(-1). Which scale "
               "makes it `most`? It is stored in half precision.",
               "steps = parts / scale.float().clamp(min=2**-24)[..., None], "
               "then steps.round().clamp(-most, most).to(torch.int8)."),
        right=(
            "scale = parts.abs().max(-1).values.div(most).to(torch.float16)\n"
            "by = torch.maximum(scale.float(), torch.tensor(2**-24))\n"
            "q = torch.round(parts / by.unsqueeze(-1))\n"
            "q = torch.clip(q, -most, most).char()",
        ),
        wrong=(
            (Edit("parts.abs().amax(-1) / most", "parts.amax(-1) / most"),
             "a large negative number needs a large scale too: abs() first"),
            (Edit("parts.abs().amax(-1) / most", "parts.abs().amax() / most"),
             "one scale for the whole matrix: every group has its own"),
            (Edit("parts.abs().amax(-1) / most",
                  "parts.abs().amax(-1) / (most + 1)"),
             "the largest number becomes most, 2^(bits - 1) - 1"),
            (Edit("parts.abs().amax(-1) / most", "parts.abs().amax(-1)"),
             "the scale is one step: divide the largest number by `most`"),
            (Edit("parts.abs().amax(-1) / most",
                  "parts.abs().mean(-1) / most"),
             "the mean is no bound: the largest number would not fit"),
            (Edit(".half()", ""),
             "scales are stored in half precision, so that they take 2 bytes"),
            (Edit("scale.float().clamp(min=2**-24)",
                  "(parts.abs().amax(-1) / most).clamp(min=2**-24)"),
             "divide by the scale as it was stored: it was rounded to half "
             "precision, and dequantize will multiply by that"),
            (Edit(".clamp(min=2**-24)", ""),
             "a group of zeros has a scale of 0, and 0 / 0 is no number"),
            (Edit(".round()", ""),
             "without rounding, the numbers are cut off toward 0"),
            (Edit(".round()", ".floor()"),
             "floor() always goes down: round() goes to the nearest"),
            (Edit(".clamp(-most, most)", ""),
             "where the stored scale was rounded down, the largest number may "
             "become more than `most`: cut it off"),
            (Edit(".clamp(-most, most)", ".clamp(0, 2 * most)"),
             "the numbers go from -most to most"),
        ),
    ),
    Exercise(
        "serving.pack", "pack",
        cases=(
            Case("two numbers of 4 bits fill a byte", """
                q = torch.tensor([[number(-8, 7), -8]], dtype=torch.int8)
                pack(q, 4)"""),
            Case("the first number is in the low bits", """
                q = torch.tensor([[-8, number(-7, 7)]], dtype=torch.int8)
                pack(q, 4)"""),
            Case("the result has the type and shape of bytes",
                 TOKENS.format(6) + "x = pack(q, bits)\n"
                 "str(x.dtype), x.shape"),
            Case("8 bits are a byte", TOKENS.format(8) + "pack(q, bits)"),
            Case("four numbers of 2 bits fill a byte",
                 TOKENS.format(2) + "pack(q, bits)"),
            Case("four numbers of 6 bits fill three bytes",
                 TOKENS.format(6) + "pack(q, bits)"),
            Case("eight numbers of 3 bits fill three bytes",
                 TOKENS.format(3) + "pack(q, bits)"),
            Case("columns that fill no whole word are refused",
                 "pack(torch.zeros(1, 6, dtype=torch.int8), 3)"),
        ),
        hints=("Make the numbers 0 or more, in a type that is wide enough, and "
               "view them as (rows, words, numbers). By how many bits does "
               "each of a word move up?",
               "(codes << bits * torch.arange(numbers)).sum(-1) makes the "
               "words. A byte of a word is word >> 8 * i & 255."),
        right=(
            "codes = (q.int() + 2 ** (bits - 1)).reshape(len(q), -1, numbers)\n"
            "words = sum(codes[..., i] * 2 ** (bits * i)\n"
            "            for i in range(numbers))\n"
            "parts = [(words // 256**i) % 256 for i in range(n_bytes)]\n"
            "return torch.stack(parts, -1).reshape(len(q), -1).byte()",
        ),
        wrong=(
            (Edit(" + 2 ** (bits - 1)", ""),
             "negative numbers have bits set all the way up: add 2^(bits - 1) "
             "first"),
            (Edit("2 ** (bits - 1)", "2 ** (bits - 1) - 1"),
             "the smallest number is -2^(bits - 1), which must become 0"),
            (Edit("<< bits * torch.arange(numbers)",
                  "<< bits * torch.arange(numbers).flip(0)"),
             "the first number belongs into the low bits"),
            (Edit("<< bits * torch.arange(numbers)",
                  "<< torch.arange(numbers)"),
             "each number moves up by `bits` bits more than the one before"),
            (Edit("<< bits * torch.arange(numbers)",
                  "<< 8 * torch.arange(numbers)"),
             "that leaves every number a whole byte: move by `bits` bits"),
            (Edit(">> 8 * torch.arange(n_bytes)",
                  ">> 8 * torch.arange(n_bytes).flip(0)"),
             "the lowest byte of a word comes first"),
            (Edit(">> 8 * torch.arange(n_bytes)",
                  ">> bits * torch.arange(n_bytes)"),
             "a byte has 8 bits: cut the word every 8"),
            (Edit(".flatten(1)", ""),
             "the bytes of all words of a row belong side by side: flatten"),
            (Edit(".to(torch.uint8)", ""),
             "these are bytes in a wide type: convert to torch.uint8"),
        ),
    ),
    Exercise(
        "serving.int8", "int8_product",
        cases=(
            Case("one row and one column", """
                x = torch.tensor([[1.0, -2.0, 0.5]]) * number(2, 9)
                q = torch.tensor([[100, 50, -127]], dtype=torch.int8)
                int8_product(x, q, torch.tensor([[0.5]]).half())""",
                 gradients=False),
            Case("every row of activations has its own scale", """
                x = torch.randn(4, 6) * torch.tensor([[1.0], [9], [0.1], [3]])
                q, scale = quantize(torch.randn(5, 6), 8)
                int8_product(x, q, scale)""", gradients=False),
            Case("long sums do not overflow", """
                x = torch.full((1, 200), 1.0 * number(2, 9))
                q = torch.full((2, 200), 127, dtype=torch.int8)
                int8_product(x, q, torch.ones(2, 1).half())""",
                 gradients=False),
            Case("the result is in float32", """
                x = torch.randn(2, number(3, 8))
                str(int8_product(x, *quantize(x, 8)).dtype)"""),
        ),
        hints=("quantize(x, 8) gives whole numbers and a scale for each row of "
               "x. Multiply the whole numbers as torch.int32.",
               "sums (N, rows) times size (N, 1), times scale transposed, "
               "(1, rows)."),
        right=(
            "xq, xs = quantize(x, bits=8)\n"
            "exact = torch.einsum('nc,rc->nr', xq.int(), q.int())\n"
            "return exact.float() * xs.float() * scale.float().view(1, -1)",
        ),
        wrong=(
            ("return x @ dequantize(q, scale).T",
             "this multiplies floats: the activations are to be quantized too"),
            (Edit("steps.int() @ q.int().T", "steps @ q.T"),
             "int8 holds only -128 to 127, and the sums overflow: multiply "
             "as torch.int32"),
            (Edit("quantize(x, 8)", "quantize(x.view(1, -1), 8)"),
             "one scale for all activations: every row has its own"),
            (Edit(" * size.float()", ""),
             "the scale of the activations is missing"),
            (Edit(" * scale.float().T", ""),
             "the scale of the weights is missing"),
            (Edit("scale.float().T", "scale.float()"),
             "the scale of a weight row belongs to a column of the result: "
             "transpose it"),
            (Edit("size.float() * scale.float().T", "size * scale.T"),
             "two scales in half precision lose digits when they are "
             "multiplied: make them float32 first"),
        ),
    ),
    Exercise(
        "serving.verify", "verify", core=True,
        cases=(
            Case("a guess that the model finds likelier is always accepted",
                 DICE + """
p = torch.tensor([[0.2, 0.7, 0.1], [0.0, 0.0, 1.0]])
q = torch.tensor([[0.6, 0.3, 0.1]])
[verify(p, q, [1], dice(i)) for i in range(20)]"""),
            Case("a guess that the model rules out never is", DICE + """
p = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
q = torch.tensor([[0.9, 0.05, 0.05]])
[verify(p, q, [0], dice(i)) for i in range(20)]"""),
            Case("what follows a rejected guess is thrown away", DICE + """
p = torch.eye(4)[[1, 2, 3]]
q = torch.full((2, 4), 0.25)
[verify(p, q, [0, 2], dice(i)) for i in range(5)]"""),
            Case("one more token comes after guesses that are all accepted",
                 DICE + """
p = torch.eye(4)[[1, 2, 3]]
q = torch.full((2, 4), 0.25)
verify(p, q, [1, 2], dice(number(0, 99)))"""),
            Case("without guesses, one token is drawn", DICE + """
p = torch.eye(4)[[number(0, 3)]]
verify(p, torch.zeros(0, 4), [], dice(1))"""),
            Case("a likely guess is accepted as often as p / q says",
                 SHARES.format("0.2, 0.6, 0.2") + """
g = dice(number(0, 99))
same = sum(len(verify(p, q, [1], g)) == 2 for _ in range(3000))
same / 3000""", atol=0.05),
            Case("so each token comes as often as the model says",
                 SHARES.format("0.2, 0.6, 0.2") + "shares(0)", atol=0.05),
            Case("whatever the draft likes",
                 SHARES.format("0.1, 0.1, 0.8") + "shares(0)", atol=0.05),
            Case("the token after the guesses too",
                 SHARES.format("0.5, 0.3, 0.2") + "shares(1)", atol=0.05),
            Case("equal dice give equal tokens", PLACES + """
g = number(0, 99)
first = verify(p, q, drafted, dice(g))
first == verify(p, q, drafted, dice(g))"""),
            Case("tokens are plain numbers in a list", PLACES + """
new = verify(p, q, drafted, dice(1))
type(new).__name__, {type(x).__name__ for x in new}"""),
        ),
        hints=("For each guess compare torch.rand((), generator=generator) "
               "with p[i][token] / q[i][token]. What is returned at the first "
               "that is rejected?",
               "rest = (p[i] - q[i]).clamp(min=0); draw from rest / "
               "rest.sum(). After the loop draw from p[len(drafted)]."),
        right=(
            "for i, token in enumerate(drafted):\n"
            "    dart = torch.rand((), generator=generator) * q[i][token]\n"
            "    if dart < p[i][token]:\n"
            "        continue\n"
            "    left = torch.relu(p[i] - q[i])\n"
            "    new = torch.multinomial(left, 1, generator=generator)\n"
            "    return list(drafted[:i]) + [new.item()]\n"
            "last = draw(p[-1], generator)\n"
            "return list(drafted) + [last.item()]",
        ),
        wrong=(
            (Edit(RULE, "chance = p[i][token]"),
             "that accepts too seldom: divide by what the draft says, p / q"),
            (Edit(RULE, "chance = q[i][token] / p[i][token]"),
             "the ratio is upside down: p / q"),
            (Edit(RULE, "chance = 1.0"),
             "every guess is accepted: then the text is the draft's"),
            (Edit(RULE, "chance = float(p[i].argmax() == token)"),
             "only the model's first choice is accepted: that is right for "
             "greedy decoding, but draws must follow p"),
            (Edit(REST, "rest = p[i]"),
             "after a rejection you draw from p: what the draft proposes "
             "anyway would come too often; draw from what is missing, p - q"),
            (Edit(REST, "rest = (q[i] - p[i]).clamp(min=0)"),
             "that is what the draft proposes too often: max(0, p - q) is "
             "missing"),
            (Edit(REST, "rest = (p[i] - q[i]).abs()"),
             "where q is above p, nothing is missing: max(0, p - q)"),
            (Edit("return [*kept, draw(rest / rest.sum(), generator).item()]",
                  "kept.append(draw(rest / rest.sum(), generator).item())\n"
                  "        continue"),
             "what follows a rejected guess was guessed for another text: "
             "return there"),
            (Edit("return [*kept, draw(rest / rest.sum(), generator).item()]",
                  "return kept"),
             "a rejected guess is replaced by a token of the model, so that "
             "every call gives at least one"),
            (Edit("    kept.append(token)\n", "    pass\n"),
             "the accepted guesses are missing"),
            (Edit("return [*kept, draw(p[len(drafted)], generator).item()]",
                  "return kept"),
             "the model has also said what comes after the last guess: draw "
             "one more token from the last row of p"),
            (Edit("p[len(drafted)], generator", "p[0], generator"),
             "the token after all guesses comes from the last row of p"),
            (Edit("torch.rand((), generator=generator)", "torch.rand(())"),
             "the random number does not come from the generator"),
            (Edit("draw(p[len(drafted)], generator).item()",
                  "draw(p[len(drafted)], generator)"),
             "the last token is a tensor: .item() makes it a number"),
        ),
    ),
    Exercise(
        "serving.expected", "expected_tokens",
        cases=(
            Case("a useless draft leaves one token for each call",
                 "k = number(2, 6)\nfloat(expected_tokens(0.0, k))"),
            Case("a perfect one gives k + 1",
                 "k = number(2, 6)\nfloat(expected_tokens(1.0, k))"),
            Case("one guess that is right half of the time gives 1.5",
                 "expected_tokens(0.5, 1)"),
            Case("a later guess counts only if all before it were right", """
                a, k = number(2, 9) / 10, number(2, 6)
                expected_tokens(a, k)"""),
        ),
        hints=("The first guess counts with probability a, the second only if "
               "both are right, with a². And one token comes in any case.",
               "1 + a + a² + … + a^k"),
        right=(
            "total = 1.0\nfor _ in range(k):\n    total = 1 + a * total\n"
            "return total",
            "return k + 1 if a == 1 else (1 - a ** (k + 1)) / (1 - a)",
        ),
        wrong=(
            ("return 1 + a * k",
             "a guess counts only if all guesses before it were right"),
            (Edit("range(k + 1)", "range(k)"),
             "the last guess is missing: the powers go from 0 to k"),
            (Edit("range(k + 1)", "range(1, k + 1)"),
             "the token that comes in any case is missing"),
            ("return (1 - a ** (k + 1)) / (1 - a)",
             "at a = 1 the closed form divides by zero: the sum is k + 1"),
            ("return a**k", "that is the chance that all guesses are right"),
        ),
    ),
    Exercise(
        "serving.blocks", "Blocks", core=True,
        cases=(
            Case("take gives the blocks in order, each to one user", LIBRARY +
                 "taken = [blocks.take(), blocks.take()]\n"
                 "taken, blocks.users"),
            Case("a taken block is no longer free",
                 LIBRARY + "blocks.take()\nblocks.take()\nlist(blocks.free)"),
            Case("a MemoryError says that all are in use", LIBRARY +
                 "for _ in range(n):\n    blocks.take()\nblocks.take()"),
            Case("share adds a user and returns the block", LIBRARY +
                 "a = blocks.take()\n"
                 "blocks.share(a), blocks.share(a), blocks.users"),
            Case("drop removes a user", LIBRARY +
                 "a = blocks.take()\nblocks.share(a)\nblocks.drop(a)\nstate()"),
            Case("a block without users is free, as the last in the line",
                 LIBRARY + "a, b = blocks.take(), blocks.take()\n"
                 "blocks.drop(b)\nblocks.drop(a)\nstate()[:2]"),
            Case("what has been free the longest is taken first", LIBRARY +
                 "for _ in range(n):\n    blocks.take()\n"
                 "for b in (2, 0, 1):\n    blocks.drop(b)\n"
                 "blocks.take(), blocks.take(), state()[:2]"),
            Case("remember notes the ids and the block", LIBRARY +
                 "ids = [number(0, 9) for _ in range(size)]\n"
                 "a = blocks.take()\nblocks.remember(ids, a)\nstate()[2:]"),
            Case("ids that are known keep their block", LIBRARY +
                 "a, b = blocks.take(), blocks.take()\n"
                 "blocks.remember([1, 2], a)\nblocks.remember([1, 2], b)\n"
                 "state()[2:]"),
            Case("a free block still knows what it holds", LIBRARY +
                 "a = blocks.take()\nblocks.remember([1, 2], a)\n"
                 "blocks.drop(a)\nstate()"),
            Case("a free block that is shared is free no longer", LIBRARY +
                 "a = blocks.take()\nblocks.remember([1, 2], a)\n"
                 "blocks.drop(a)\nblocks.share(a)\nstate()"),
            Case("what a block held is forgotten when it is taken", LIBRARY +
                 "for b in range(n):\n"
                 "    blocks.remember([b, 2], blocks.take())\n"
                 "blocks.drop(1)\nblocks.take()\nstate()"),
        ),
        hints=("A dict keeps the order in which its keys came, so its first key "
               "is the block that has been free the longest: "
               "next(iter(self.free)).",
               "take: del self.free[block], then self.known.pop("
               "self.holds.pop(block, None), None). drop: self.free[block] = "
               "None where no user is left."),
        right=(
            ("if len(self.free) == 0:\n    raise MemoryError('no block left')\n"
             "block = list(self.free)[0]\nself.free.pop(block)\n"
             "if block in self.holds:\n"
             "    del self.known[self.holds.pop(block)]\n"
             "self.users[block] += 1\nreturn block",
             "if block in self.free:\n    del self.free[block]\n"
             "self.users[block] = self.users[block] + 1\nreturn block",
             "self.users[block] = self.users[block] - 1\n"
             "if not self.users[block]:\n    self.free[block] = None",
             "key = tuple(ids)\nif key in self.known:\n    return\n"
             "self.known[key], self.holds[block] = block, key"),
        ),
        wrong=(
            (Edit("block = next(iter(self.free))",
                  "block = list(self.free)[-1]"),
             "that is the block that became free last: take the first, which "
             "has been free the longest"),
            (Edit("block = next(iter(self.free))", "block = min(self.free)"),
             "that is the smallest number: take the block that has been free "
             "the longest, the first of the dict"),
            (Edit("del self.free[block]\n", ""),
             "a taken block must leave self.free, or it is given away twice"),
            (Edit("self.users[block] = 1\n", ""),
             "a taken block has a user: self.users[block] = 1"),
            (Edit('if not self.free:\n    raise MemoryError(f"all '
                  '{len(self.users)} blocks are in use")\n', ""),
             "where no block is free, a MemoryError says so"),
            (Edit("self.known.pop(self.holds.pop(block, None), None)\n", ""),
             "the block will hold something else: forget what it held in "
             "known and in holds"),
            (Edit("self.known.pop(self.holds.pop(block, None), None)\n",
                  "self.holds.pop(block, None)\n"),
             "known still leads to a block that holds something else"),
            (Edit("self.known.pop(self.holds.pop(block, None), None)\n",
                  "self.known.pop(self.holds.get(block), None)\n"),
             "holds still says what the block held before"),
            (Edit("self.free.pop(block, None)\n", ""),
             "a free block that is shared is free no longer: somebody would "
             "take it away"),
            (Edit("self.free.pop(block, None)\n", "self.free.pop(block)\n"),
             "a block in use is not in self.free: pop(block, None) does not "
             "mind"),
            ((None, "self.free.pop(block, None)\nself.users[block] = 1\n"
              "return block", None, None),
             "share adds a user to those that are there"),
            ((None, "self.free.pop(block, None)\nself.users[block] += 1",
              None, None), "share returns the block"),
            ((None, None, "self.users[block] = 0\nself.free[block] = None",
              None), "others may still use it: only one user leaves"),
            ((None, None, "self.users[block] -= 1", None),
             "a block without users is free again: add it to self.free"),
            ((None, None, "self.users[block] -= 1\nself.free[block] = None",
              None), "it is free only when nobody uses it any more"),
            ((None, None, "self.users[block] -= 1\n"
              "if self.users[block] == 0:\n    self.free[block] = None\n"
              "    self.known.pop(self.holds.pop(block, None), None)", None),
             "a free block keeps what it holds, for the next prompt that "
             "begins like this; it is forgotten when the block is taken"),
            ((None, None, "self.users[block] -= 1\n"
              "if self.users[block] == 0:\n"
              "    self.free = {block: None, **self.free}", None),
             "a block that becomes free is the last in the line"),
            (Edit("if tuple(ids) not in self.known:\n    self.known",
                  "if True:\n    self.known"),
             "known ids keep the block that they have"),
            (Edit("\n    self.holds[block] = tuple(ids)", ""),
             "holds must know it too, so that take can forget it"),
        ),
    ),
    Exercise(
        "serving.prefill", "prefill",
        cases=(
            Case("the whole prompt passes at once by default", MODEL + PASSED +
                 "prefill(model, pool, ids)[0].ids, passed"),
            Case("at most `chunk` tokens pass at a time", MODEL + PASSED +
                 "prefill(model, pool, ids, 4)[0].ids, passed"),
            Case("the logits are those after the last token", MODEL +
                 "prefill(model, pool, ids, number(2, 5))[1]"),
            Case("what the pool holds already does not pass again", MODEL +
                 "prefill(model, pool, ids)\n" + PASSED + """
[prefill(model, pool, [*ids[:8], 1, 2, 3], 2)[1], passed]"""),
        ),
        hints=("text.ids are the tokens that are there already. What is left "
               "of ids?",
               "for i in range(0, len(rest), chunk): the portion is "
               "rest[i : i + chunk], as a tensor (1, T)."),
        right=(
            "while len(text.ids) < len(ids):\n"
            "    at = len(text.ids)\n"
            "    part = torch.tensor(ids[at : at + chunk])[None]\n"
            "    logits = paged_logits(model, pool, [text], part)",
        ),
        wrong=(
            (Edit("rest = ids[len(text.ids) :]", "rest = ids"),
             "a known beginning passes again: leave out what text.ids has"),
            (Edit("rest[i : i + chunk]", "rest[i:]"),
             "a portion ends after `chunk` tokens"),
            (Edit("rest[i : i + chunk]", "rest[:chunk]"),
             "every portion is the first one: begin at i"),
            (Edit("range(0, len(rest), chunk)",
                  "range(0, len(rest) - chunk + 1, chunk)"),
             "the last, smaller portion is left out"),
            (Edit("idx = torch.tensor([rest[i : i + chunk]])",
                  "idx = torch.tensor(rest[i : i + chunk])"),
             "paged_logits expects (B, T): put the portion into a list"),
        ),
    ),
    Question(
        "serving.predict-share", 12,
        "two full blocks hold the first 32 tokens and are shared by all; the "
        "other 8 tokens of each prompt are in a block of its own",
        ("Only full blocks can be shared, and only where all of their tokens "
         "are the same.",
         "36 tokens fill two blocks; the third differs from person to "
         "person."),
        wrong={30: "that is without sharing: the first two blocks are the same "
                   "for all",
               13: "the third block has 4 common tokens, but it is not full "
                   "of them, so nobody can share it",
               3: "the prompts differ after 36 tokens, so the third block is "
                  "not shared",
               2: "the last 8 tokens of each prompt need room too",
               22: "32 common tokens are two blocks in total, not two for each "
                   "person and two more"},
    ),
    Question(
        "serving.break-verify", 0.35,
        "0.2 are guessed and accepted, and half of the other draws after the "
        "0.3 of rejections: 0.2 + 0.3 · 0.5",
        ("How often is the first token guessed, and is it then accepted?",
         "Rejections happen with probability 0.6 · 0.5. What share of them "
         "becomes the first token?"),
        wrong={0.5: "that is the right rule; here too many rejections become "
                    "something else",
               0.2: "some of the rejections become the first token too",
               0.15: "the accepted guesses count too: 0.2",
               0.32: "the draft guesses the second token in 0.6 of all cases, "
                     "and half of these are rejected"},
        within=0.001,
    ),
    Question(
        "serving.predict-bits", 4.5,
        "16 bits for 32 numbers are half a bit for each",
        ("How many bits of the scale does each of the 32 numbers pay for?",
         "4 + 16 / 32"),
        wrong={4: "the scale takes room too",
               20: "the scale is shared by 32 numbers",
               4.25: "a scale takes 16 bits, not 8"},
        within=0.001,
    ),
]  # fmt: skip
