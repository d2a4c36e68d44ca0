"""Chapter 16: what its exercises expect."""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from minigpt.attention import causal_mask
from minigpt.block import MLP, LayerNorm
from minigpt.course.exercises import Exercise, Question
from minigpt.multihead import MultiHeadAttention


def look(m, x, source, mask=None, *, q=None, kv=None, swap=False,
         cut="halves", project=True):  # fmt: skip
    """What cross-attention gives, with faults that can be chosen."""
    q, kv = (x if q is None else q), (source if kv is None else kv)
    H = m.n_head

    def split(z):
        return z.reshape(*z.shape[:2], H, -1).transpose(1, 2)

    pair = m.kv(kv)
    k, v = (split(z) for z in pair.chunk(2, -1))
    if cut == "heads":
        k, v = split(pair).chunk(2, -1)
    k, v = (v, k) if swap else (k, v)
    q = split(m.q(q) if project else q)
    scores = q @ k.mT * q.size(-1) ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    y = scores.softmax(-1) @ v
    return m.proj(y.transpose(1, 2).reshape(x.shape))


class Cross(nn.Module):
    """Cross-attention for a block: the course's is not there when graded."""

    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.q = nn.Linear(n_embd, n_embd)
        self.kv = nn.Linear(n_embd, 2 * n_embd)
        self.proj = nn.Linear(n_embd, n_embd)

    def forward(self, x, source, *, mask=None, record=None):
        if record is not None:
            record.append("weights")
        return look(self, x, source, mask)


SHAPES = {
    "expected 4, got 3": "the heads are missing: give q, k and v their heads "
    "with split_heads",
    "argument: 'n_head'": "split_heads also wants to know how many: "
    "split_heads(…, self.n_head)",
    "cannot access local variable": "the blank must make every name that the "
    "next lines use",
    "not enough values to unpack": "two halves are asked for: chunk(2, dim=-1)",
    "too many values to unpack": "two halves are asked for: chunk(2, dim=-1)",
    "cannot be multiplied": "self.q takes what asks, self.kv what answers, "
    "each with C channels",
    "must match": "the shapes do not fit: q is (B, H, T, D), k and v "
    "(B, H, S, D), so give each head its channels with split_heads",
}


def a_layer(t, S=4):
    given = "CrossAttention(n_embd=12, n_head=3)"
    layer = t.make(t.answer, 12, 3, given=given)
    torch.manual_seed(t.seed)
    return layer.eval(), 3 * torch.randn(2, 4, 12), torch.randn(2, S, 12)


def check_queries_keys(t):
    m, x, source = a_layer(t)
    given = "12 channels, 3 heads, x (2, 4, 12), source (2, 4, 12)"
    got = t.call(m, x, source, given=given, errors=SHAPES)
    t.same(
        got,
        look(m, x, source),
        "x asks, the source answers",
        given=given,
        mistakes={
            "keys and values come from x: then it looks at itself, and the "
            "source is never read": lambda: look(m, x, source, kv=x),
            "the source asks: queries come from x": lambda: look(
                m, x, source, q=source
            ),
            "it is the wrong way round: x asks, the source answers": lambda: (
                look(m, x, source, q=source, kv=x)
            ),
            "keys and values are exchanged: keys are the first half": lambda: (
                look(m, x, source, swap=True)
            ),
            "the heads were cut before the halves: chunk(2) first, then "
            "split_heads": lambda: look(m, x, source, cut="heads"),
            "x itself asks: queries are self.q(x)": lambda: look(
                m, x, source, project=False
            ),
        },
    )
    m, x, source = a_layer(t, S=7)
    given = "a source of 7 tokens for 4 that ask"
    got = t.call(m, x, source, given=given, errors=SHAPES)
    t.same(got, look(m, x, source), "the two may differ in length", given=given)


def check_mask(t):
    real = torch.rand(2, 5, generator=torch.Generator().manual_seed(t.seed))
    real = real < 0.5
    real[:, 0], real[:, -1] = torch.tensor([False, True]), True
    given = f"real = {real.int().tolist()}, scores (2, 3, 4, 5)"
    got = t.call(t.answer, real, given=given)

    def allowed(mask):
        return torch.ones(2, 3, 4, 5, dtype=torch.bool) & mask

    def fits():
        return got.dim() == 4 and allowed(got)

    seen = t.call(
        fits, given=given,
        errors={
            "must match": "the mask stops the queries: it must stop the keys, "
            "the last dimension",
            "has no attribute": "padding_mask must give a tensor",
        },
    )  # fmt: skip
    t.true(
        seen is not False, "four dimensions",
        "the scores are (B, H, T, S): `real` needs a dimension for heads and "
        "one for queries, in the middle",
        given=given, expected="four dimensions", got=tuple(got.shape),
    )  # fmt: skip
    keys = real[:, None, None, :]
    t.same(
        seen,
        allowed(keys),
        "no query reads padding",
        given=given,
        mistakes={
            "padding is read: the mask has no effect": allowed(True),
            "only padding is read: True is a real token": allowed(~keys),
        },
    )


def a_block(t):
    """A block of the learner's, its parts, and what it is given."""
    torch.manual_seed(t.seed)
    norms = [LayerNorm(12) for _ in range(3)]
    for norm in norms:
        nn.init.normal_(norm.weight, 1.0, 0.3)
        nn.init.normal_(norm.bias, std=0.3)
    own, cross = MultiHeadAttention(12, 3), Cross(12, 3)
    mlp = MLP(12, activation=F.relu)
    n1, n2, n3 = norms
    given = "DecoderBlock(norm1, attention, norm2, cross, norm3, mlp)"
    block = t.make(t.answer, n1, own, n2, cross, n3, mlp, given=given)
    return block.eval(), torch.randn(2, 4, 12), torch.randn(2, 4, 12)


def through(b, x, memory, across, own, *, order="post", norm=(1, 1, 1),
            residual=(1, 1, 1), swap=False, at="memory", drop=None):  # fmt: skip
    """What the decoder's block gives, with faults that can be chosen."""
    read = {
        "memory": lambda x: b.cross(x, memory, mask=across),
        "x": lambda x: b.cross(x, x, mask=across),
        "exchanged": lambda x: b.cross(memory, x, mask=across),
    }
    parts = [
        (b.norm1, lambda x: b.attention(x, mask=own)),
        (b.norm2, read[at]),
        (b.norm3, b.mlp),
    ]
    if swap:
        parts = [parts[1], parts[0], parts[2]]
    for i, (n, f) in enumerate(parts):
        if i == drop:
            continue
        n = n if norm[i] else nn.Identity()
        if order == "pre":
            x = x + f(n(x))
        elif order == "of x":
            x = n(x) + f(x)
        elif order == "of part":
            x = x + n(f(x))
        else:
            x = n(x * residual[i] + f(x))
    return x


PASSED = {
    "missing 1 required positional argument": "self.cross takes x and memory",
    "positional argument": "mask and record are keywords: "
    "self.attention(x, mask=mask, record=record)",
}


def check_decoder_block(t):
    b, x, memory = a_block(t)
    own = causal_mask(4)
    real = torch.tensor([[True] * 4, [False, False, True, True]])
    across = real[:, None, None, :]
    given = "x and memory (2, 4, 12), a causal mask, the second source padded"
    got = t.call(
        b, x, memory, mask=own, source_mask=across, given=given, errors=PASSED
    )

    def mistake(*masks, **options):
        return lambda: through(
            b, x, memory, *(masks or (across, own)), **options
        )

    t.same(
        got,
        through(b, x, memory, across, own),
        "three parts, each with its residual and its norm",
        given=given,
        mistakes={
            "that is pre-norm: in 2017 the norm comes after the sum": mistake(
                order="pre"
            ),
            "the residuals are missing: norm(x + part(x))": mistake(
                residual=(0, 0, 0)
            ),
            "cross-attention has no residual: what the target knew of itself "
            "is lost": mistake(residual=(1, 0, 1)),
            "the norms are missing": mistake(norm=(0, 0, 0)),
            "cross-attention comes second: first the target looks at itself": (
                mistake(swap=True)
            ),
            "the norm goes over the sum: norm(x + part(x)), not norm(x) + "
            "part(x)": mistake(order="of x"),
            "the norm goes over the sum: norm(x + part(x)), not x + "
            "norm(part(x))": mistake(order="of part"),
            "cross-attention looks at x: hand it memory": mistake(at="x"),
            "memory asks and x answers: it is x that asks, so x comes "
            "first": mistake(at="exchanged"),
            "cross-attention is missing": mistake(drop=1),
            "the MLP is missing": mistake(drop=2),
            "padding of the source is read: cross-attention needs "
            "mask=source_mask": mistake(None, own),
            "the target looks at what is still to come: self-attention needs "
            "mask=mask": mistake(across, None),
            "cross-attention was given the target's mask: it needs "
            "source_mask": mistake(own, own),
        },
        otherwise="the numbers are others: three times norm(x + part(x)), "
        "where part is attention, cross-attention, MLP",
    )
    kept, seen = [], []
    given = "the same, with a list for the weights of each attention"
    lists = dict(record=kept, cross_record=seen)
    t.call(
        lambda: b(x, memory, mask=own, source_mask=across, **lists),
        given=given, errors=PASSED,
    )  # fmt: skip
    found = len(kept), len(seen)
    t.true(
        found == (1, 1),
        "both maps are recorded",
        "a record stays empty: pass record=record to self-attention and "
        "record=cross_record to cross-attention",
        given=given, expected="one map of each attention", got=found,
    )  # fmt: skip


def check_smoothing(t):
    dice = torch.Generator().manual_seed(t.seed)
    logits = torch.randn(2, 3, 5, generator=dice)
    targets = torch.tensor([[1, 4, 0], [2, -100, -100]])
    logits += 3 * F.one_hot(targets.clamp(min=0), 5)  # as after training
    logits[1, 1:] *= 4  # padding: who counts it must be seen
    given = "logits (2, 3, 5), targets [[1, 4, 0], [2, -100, -100]], 0.2"
    got = t.call(
        t.answer, logits, targets, 0.2, given=given,
        errors={
            "must match the size": "loss must be (B, T): take the mean over "
            "the vocabulary, dim -1",
            "shape of the mask": "loss must be (B, T), a number for each "
            "target",
            "too many indices": "loss must be (B, T), a number for each target",
            "cannot access local variable": "the blank must make `loss`",
        },
    )  # fmt: skip
    logp = logits.log_softmax(-1)
    real = targets >= 0
    right = logp.gather(-1, targets.clamp(min=0)[..., None])[..., 0]

    def mean(loss):
        return loss[real].mean()

    t.same(
        got,
        F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), label_smoothing=0.2
        ),
        "a fifth of the probability is asked for everywhere",
        given=given,
        mistakes={
            "that is the loss without smoothing": mean(-right),
            "the share was given to each token: spread it, by the mean over "
            "the vocabulary": mean(-0.8 * right - 0.2 * logp.sum(-1)),
            "the shares are exchanged: 1 - smoothing for the right token": (
                mean(-0.2 * right - 0.8 * logp.mean(-1))
            ),
            "the right token must give up what the others get: 1 - smoothing": (
                mean(-right - 0.2 * logp.mean(-1))
            ),
            "the share goes to the wrong tokens only: here it is spread over "
            "all V": mean(-0.8 * right - 0.2 * (logp.sum(-1) - right) / 4),
            "the sign is wrong: log probabilities are negative, a loss is "
            "not": mean(0.8 * right + 0.2 * logp.mean(-1)),
            "what the other tokens should get is missing": mean(-0.8 * right),
            "one mean for all: each place has its own, over the vocabulary, "
            "dim -1": mean(-0.8 * right - 0.2 * logp.mean()),
            "it is divided by T: V is the last dimension": mean(
                -0.8 * right - 0.2 * logp.sum(-1) / 3
            ),
            "that is a share of 0.1, whatever `smoothing` says": mean(
                -0.9 * right - 0.1 * logp.mean(-1)
            ),
            "call it `loss`: the line below takes the mean and returns it": (
                -0.8 * right - 0.2 * logp.mean(-1)
            ),
        },
    )


def check_rate(t):
    C, W = (16, 4) if t.seed == 1 else (4 + t.seed % 50, 3 + t.seed % 7)
    steps = [0, W - 1, 4 * W - 1]
    given = f"steps {steps}, n_embd={C}, warmup_steps={W}"

    def rates():
        return [t.answer(step, C, W) for step in steps]

    got = t.call(
        rates, given=given,
        errors={
            "ZeroDivisionError": "the first step is 0: take n, which counts "
            "from 1",
        },
    )  # fmt: skip

    def all_of(rate):
        return [float(rate(step + 1)) for step in steps]

    t.same(
        got,
        all_of(lambda n: C**-0.5 * min(n**-0.5, n * W**-1.5)),
        "up in a line, then down with the root",
        given=given,
        atol=1e-7,
        mistakes={
            "the larger of the two was taken: the smaller": all_of(
                lambda n: C**-0.5 * max(n**-0.5, n * W**-1.5)
            ),
            "there is no warmup": all_of(lambda n: C**-0.5 * n**-0.5),
            "it never falls": all_of(lambda n: C**-0.5 * n * W**-1.5),
            "the width of the model is missing: times n_embd**-0.5": all_of(
                lambda n: min(n**-0.5, n * W**-1.5)
            ),
            "a wider model needs a smaller rate: n_embd**-0.5": all_of(
                lambda n: C**0.5 * min(n**-0.5, n * W**-1.5)
            ),
            "the two lines must meet at the end of the warmup: "
            "warmup_steps**-1.5": all_of(
                lambda n: C**-0.5 * min(n**-0.5, n * W**-0.5)
            ),
            "a**-1/2 is half of a**-1: write **-0.5 and **-1.5": all_of(
                lambda n: C**-1 / 2 * min(n**-1 / 2, n * W**-3 / 2)
            ),
            "it returns None: is the `return` missing?": [None] * 3,
        },
        otherwise="the numbers are others: n_embd**-0.5 · the smaller of "
        "n**-0.5 and n · warmup_steps**-1.5",
    )


class Script(nn.Module):
    """Says eos when as many tokens were written as the source says, and
    something else before and after.
    """

    config = SimpleNamespace(block_size=16, vocab_size=9)

    def encode(self, source, *, source_mask=None, record=None):
        return source

    def decode(self, idx, memory, *, mask=None, source_mask=None, record=None):
        at = torch.arange(idx.size(1))  # (T,)
        said = 3 + (idx.cumsum(-1) + at) % 6  # (B, T)
        said = said.masked_fill(at == memory[:, :1], 2)
        return 9.0 * F.one_hot(said, 9).float()


def written(source, *, fill=2, note=True, grow=True, anyone=False, n=8):
    """What `translate` gives with faults that can be chosen."""
    idx = torch.ones(len(source), 1).long()
    done = torch.zeros(len(source)).bool()
    for _ in range(n):
        new = Script().decode(idx, source)[:, -1].argmax(-1)
        if fill is not None:
            new = new.masked_fill(done, fill)
        if note:
            done = done | (new == 2)
        if anyone:
            done = done | done.any()
        if grow:
            idx = torch.cat([idx, new[:, None]], 1)
        if done.all():
            break
    return idx[:, 1:]


def check_translate(t):
    ends = [2, 4] if t.seed == 1 else [1 + t.seed % 3, 4 + t.seed % 2]
    source = torch.tensor([[ends[0], 0], [ends[1], 0]])
    given = f"rows that say eos after {ends[0]} and {ends[1]} tokens, n = 8"
    got = t.call(
        t.answer, Script(), source, bos=1, eos=2, n=8, given=given,
        errors={
            "same number of dimensions": "new is (B,): give it a dimension, "
            "new[:, None]",
            "Dimension out of range": "new is (B,): give it a dimension, "
            "new[:, None]",
            "Sizes of tensors must match": "new[:, None] is (B, 1): put it "
            "after the tokens, along dim 1",
            "is ambiguous": "new and done have an entry for each row: "
            "masked_fill or torch.where does all rows at once",
            "has no attribute 'append'": "idx is a tensor: torch.cat puts "
            "new[:, None] behind it",
        },
    )  # fmt: skip
    t.same(
        got,
        written(source),
        "a row that has ended writes eos until all have",
        given=given,
        mistakes={
            "idx does not grow: put new behind it": written(source, grow=False),
            "a row that has ended goes on writing: it must repeat eos": (
                written(source, fill=None)
            ),
            "nobody is ever done: note who has written eos": written(
                source, note=False
            ),
            "nobody is ever done, and rows go on writing after eos": written(
                source, note=False, fill=None
            ),
            "rows that are done write something else than eos": written(
                source, fill=0
            ),
            "all rows end with the first one: each row ends by itself": (
                written(source, anyone=True)
            ),
        },
    )


FILL = "new = new.masked_fill(done, eos)\n"
NOTE = "done = done | (new == eos)\n"
GROW = "idx = torch.cat([idx, new[:, None]], 1)"
HALVES = "k, v = self.kv({}).chunk(2, dim=-1)\n"
SPLIT = "q, k, v = (split_heads(y, self.n_head) for y in ({}, k, v))"
OWN = "self.attention(x, mask=mask, record=record)"
ACROSS = "self.cross(x, memory, mask=source_mask, record=cross_record)"
POST = (
    f"x = self.norm1(x + {OWN})\n"
    f"x = self.norm2(x + {ACROSS})\n"
    "return self.norm3(x + self.mlp(x))"
)

EXERCISES = [
    Exercise(
        "seq2seq.queries_keys",
        "CrossAttention.forward",
        check_queries_keys,
        (
            "Who asks? The text that is written. Who answers? The source.",
            "self.q(x) for the queries; self.kv(source).chunk(2, dim=-1) for "
            "keys and values; split_heads for each of the three.",
        ),
        right=(
            "q = split_heads(self.q(x), self.n_head)\n"
            "k, v = self.kv(source).split(x.size(-1), dim=-1)\n"
            "k, v = split_heads(k, self.n_head), split_heads(v, self.n_head)",
        ),
        wrong=(
            (
                HALVES.format("x") + SPLIT.format("self.q(x)"),
                "never read",
            ),
            (
                HALVES.format("source") + SPLIT.format("self.q(source)"),
                "source asks",
            ),
            (
                HALVES.format("x") + SPLIT.format("self.q(source)"),
                "wrong way round",
            ),
            (
                HALVES.format("source").replace("k, v", "v, k")
                + SPLIT.format("self.q(x)"),
                "exchanged",
            ),
            (
                "q = split_heads(self.q(x), self.n_head)\n"
                "both = split_heads(self.kv(source), self.n_head)\n"
                "k, v = both.chunk(2, dim=-1)",
                "before the halves",
            ),
            (
                HALVES.format("source") + "q = self.q(x)",
                "with split_heads",
            ),
            (
                HALVES.format("source") + "q = split_heads(self.q(x))",
                "how many",
            ),
        ),
        core=True,
    ),
    Exercise(
        "seq2seq.mask",
        "padding_mask",
        check_mask,
        (
            "The mask is about the source, and the source is the last "
            "dimension of the scores.",
            "real[:, None, None, :] is (B, 1, 1, S).",
        ),
        right=("return real.view(len(real), 1, 1, -1)",),
        wrong=(
            ("return real[:, None, :, None]", "stops the queries"),
            ("return torch.ones_like(real)[:, None, None, :]", "no effect"),
            ("return ~real[:, None, None, :]", "only padding"),
            ("return real[:, None, :]", "for heads and one"),
        ),
    ),
    Exercise(
        "seq2seq.decoder_block",
        "DecoderBlock.forward",
        check_decoder_block,
        (
            "Three times the same pattern: norm(x + part(x)).",
            "self.cross(x, memory, mask=source_mask, record=cross_record) is "
            "the second part; the first and the third are those of Block.",
        ),
        right=(
            f"y = x + {OWN}\n"
            "x = self.norm1(y)\n"
            f"found = {ACROSS}\n"
            "x = self.norm2(found + x)\n"
            "x = x + self.mlp(x)\n"
            "return self.norm3(x)",
        ),
        wrong=(
            (
                f"x = x + {OWN.replace('(x', '(self.norm1(x)')}\n"
                f"x = x + {ACROSS.replace('(x', '(self.norm2(x)')}\n"
                "return x + self.mlp(self.norm3(x))",
                "pre-norm",
            ),
            (POST.replace(f"x + {ACROSS}", ACROSS), "has no residual"),
            (POST.replace("memory", "x"), "hand it memory"),
            (POST.replace("source_mask", "None"), "padding of the source"),
            (POST.replace("=source_mask", "=mask"), "the target's mask"),
            (
                f"x = self.norm2(x + {ACROSS})\n"
                f"x = self.norm1(x + {OWN})\n"
                "return self.norm3(x + self.mlp(x))",
                "comes second",
            ),
            (
                f"x = self.norm1({OWN})\n"
                f"x = self.norm2({ACROSS})\n"
                "return self.norm3(self.mlp(x))",
                "residuals are missing",
            ),
            (POST.replace("mask=mask, ", ""), "still to come"),
            (
                POST.replace(", record=record", "").replace(
                    ", record=cross_record", ""
                ),
                "stays empty",
            ),
            (
                f"x = self.norm1(x) + {OWN}\n"
                f"x = self.norm2(x) + {ACROSS}\n"
                "return self.norm3(x) + self.mlp(x)",
                "not norm(x)",
            ),
            (
                f"x = x + self.norm1({OWN})\n"
                f"x = x + self.norm2({ACROSS})\n"
                "return x + self.norm3(self.mlp(x))",
                "not x + norm",
            ),
            (POST.replace("x, memory", "memory, x"), "x that asks"),
            (POST.replace("x, mask=mask", "x, mask"), "are keywords"),
            (POST.replace("x, memory", "x"), "takes x and memory"),
        ),
        core=True,
    ),
    Exercise(
        "seq2seq.smoothing",
        "smooth_cross_entropy",
        check_smoothing,
        (
            "The formula has two terms: `chosen` is the first logarithm, the "
            "second is a mean over the vocabulary.",
            "-(1 - smoothing) * chosen - smoothing * logp.mean(-1).",
        ),
        right=(
            "even = logp.sum(-1) / logits.size(-1)\n"
            "loss = -torch.lerp(chosen, even, smoothing)",
        ),
        wrong=(
            ("loss = -chosen", "without smoothing"),
            (
                "loss = -(1 - smoothing) * chosen - smoothing * logp.sum(-1)",
                "given to each",
            ),
            (
                "loss = -smoothing * chosen - (1 - smoothing) * logp.mean(-1)",
                "shares are exchanged",
            ),
            ("loss = -chosen - smoothing * logp.mean(-1)", "give up"),
            (
                "others = (logp.sum(-1) - chosen) / (logits.size(-1) - 1)\n"
                "loss = -(1 - smoothing) * chosen - smoothing * others",
                "wrong tokens only",
            ),
            (
                "loss = (1 - smoothing) * chosen + smoothing * logp.mean(-1)",
                "sign is wrong",
            ),
            (
                "loss = -(1 - smoothing) * chosen - smoothing * logp.mean()",
                "one mean for all",
            ),
            (
                "loss = -0.9 * chosen - 0.1 * logp.mean(-1)",
                "whatever `smoothing` says",
            ),
            (
                "return -(1 - smoothing) * chosen - smoothing * logp.mean(-1)",
                "call it `loss`",
            ),
        ),
        core=True,
    ),
    Exercise(
        "seq2seq.rate",
        "inverse_sqrt",
        check_rate,
        (
            "Two lines cross where the warmup ends; which of them is lower "
            "before, and which after?",
            "n_embd**-0.5 * min(n**-0.5, n * warmup_steps**-1.5).",
        ),
        right=(
            "if n < warmup_steps:\n"
            "    return n / warmup_steps / (n_embd * warmup_steps) ** 0.5\n"
            "return (n_embd * n) ** -0.5",
        ),
        wrong=(
            (
                "return n_embd**-0.5 * max(n**-0.5, n * warmup_steps**-1.5)",
                "the smaller",
            ),
            (
                "return min(n**-0.5, n * warmup_steps**-1.5)",
                "width of the model",
            ),
            ("return (n_embd * n) ** -0.5", "no warmup"),
            (
                "return n_embd**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)",
                "the first step is 0",
            ),
            (
                "return n_embd**-1/2 * min(n**-1/2, n * warmup_steps**-3/2)",
                "half of a",
            ),
            (
                "rate = n_embd**-0.5 * min(n**-0.5, n * warmup_steps**-1.5)",
                "`return` missing",
            ),
        ),
    ),
    Exercise(
        "seq2seq.translate",
        "translate",
        check_translate,
        (
            "Three things, in this order: who is done writes eos; who has "
            "written eos is done; idx takes new in.",
            "new.masked_fill(done, eos); done | (new == eos); "
            "torch.cat([idx, new[:, None]], 1).",
        ),
        right=(
            "new = torch.where(done, eos, new)\n"
            "done = new == eos\n"
            "idx = torch.hstack([idx, new.unsqueeze(1)])",
        ),
        wrong=(
            (NOTE + GROW, "goes on writing"),
            (FILL + GROW, "ever done: note"),
            (FILL + NOTE, "does not grow"),
            (
                FILL + "done = done | (new == eos).any()\n" + GROW,
                "each row ends",
            ),
            (
                FILL + NOTE + "idx = torch.cat([idx, new], 1)",
                "give it a dimension",
            ),
            ("new = eos if done else new\n" + NOTE + GROW, "at once"),
            (FILL + NOTE + "idx.append(new)", "idx is a tensor"),
        ),
    ),
    Question(
        "seq2seq.predict-smoothing",
        0.91,
        "0.9, and its own tenth of the 0.1 that is spread over all ten",
        (
            "The loss is smallest where the model gives what is asked for.",
            "The share is spread over all ten, the right one too.",
        ),
        wrong={
            0.9: "the right token is one of the ten that the share is spread "
            "over, and gets its part of it",
            1.0: "certainty is punished: the other nine should have something",
            0.1: "that is the share which is spread",
        },
        within=0.001,
    ),
    Question(
        "seq2seq.predict-bridge",
        round(math.log(365), 2),
        "the natural logarithm of the number of days that it cannot tell apart",
        (
            "What is the expected loss of a model that knows nothing but how "
            "many answers there are?",
            "The loss of a guess among n is ln n.",
        ),
        wrong={
            0: "that would mean that it knows the day",
            8.51: "that is in bits: in nats it is the natural logarithm",
            365: "each day has the probability 1/365; the loss is its "
            "logarithm, with the sign turned",
        },
        within=0.02,
    ),
    Question(
        "seq2seq.break-causal-encoder",
        "b",
        "every source token is seen by the decoder, and the last ones have "
        "seen all before them",
        (
            "Who looks at the year: the encoder's first tokens, or the "
            "decoder?",
            "Does cross-attention have a causal mask?",
        ),
        wrong={
            "a": "the year is a token like any other for the decoder, which "
            "sees the whole source",
            "c": "where the year stands does not matter: cross-attention has "
            "no causal mask",
        },
    ),
]
