"""Chapter 16: what its exercises expect."""

import math

import torch
import torch.nn.functional as F

from minigpt.course.exercises import Case, Edit, Exercise, Question


class Script:
    """Writes as many tokens as a source adds up to, then eos, then others."""

    training, calls = False, 0

    def encode(self, source, *, source_mask=None, record=None):
        self.calls += 1
        real = True if source_mask is None else source_mask
        return (source * real).sum(-1, keepdim=True)

    def decode(self, idx, memory, *, source_mask=None, **_):
        at = torch.arange(idx.size(1))
        said = 3 + (idx.cumsum(-1) + at + 2 * memory) % 6
        if source_mask is not None:
            said = 11 - said
        return F.one_hot(said.masked_fill(at == memory, 2), 9).float()

    def __call__(self, source, idx, *, source_mask=None, **_):
        memory = self.encode(source, source_mask=source_mask)
        return self.decode(idx, memory, source_mask=source_mask)


LAYER = """
layer = fill(CrossAttention(12, 3))
x, source = 3 * torch.randn(2, 4, 12), torch.randn(2, {}, 12)
"""
BLOCK = """
block = fill(DecoderBlock(
    LayerNorm(12), MultiHeadAttention(12, 3), LayerNorm(12),
    CrossAttention(12, 3), LayerNorm(12), MLP(12, activation=F.relu)))
x, memory = torch.randn(2, 4, 12), torch.randn(2, {}, 12)
"""
MASKS = """
mask = torch.ones(4, 4).tril().bool()
source_mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])[:, None, None].bool()
"""
MODEL = """
model = fill(Seq2Seq(Seq2SeqConfig(9, 8, n_layer=2, n_head=2, n_embd=8)))
source = torch.tensor([[3, 1, 4, 1, 5], [0, 0, 2, number(1, 8), 7]])
idx = torch.tensor([[0, 6, number(1, 8)], [1, 8, 5]])
memory = torch.randn(2, 5, 8)
real, mask, record = source > 0, idx > 0, Record()
"""
WRITE = "translate(model, source, bos=1, eos=2, n=8)"
SPLIT = "q, k, v = (split_heads(y, self.n_head) for y in ({}, k, v))"
HALVES = "k, v = self.kv({}).chunk(2, dim=-1)\n"
KEYS = "(split_heads(y, self.n_head) for y in (k, v))"
OWN = "self.attention(x, mask=mask, record=record)"
ACROSS = "self.cross(x, memory, mask=source_mask, record=cross_record)"
SMOOTH = "loss = -(1 - smoothing) * chosen - smoothing * "
RATE = "min(n**-0.5, n * warmup_steps**-1.5)"
FILL = "    new = new.masked_fill(done, eos)\n"
NOTE = "    done = done | (new == eos)\n"
GROW = "torch.cat([idx, new[:, None]], 1)"

EXERCISES = [
    Exercise(
        "seq2seq.queries_keys",
        "CrossAttention.forward",
        cases=(
            Case("x asks, the source answers",
                 LAYER.format(4) + "layer(x, source)"),
            Case("the two may differ in length",
                 LAYER.format("number(5, 9)") + "layer(x, source)"),
        ),
        hints=("Who asks? The text that is written. Who answers? The source.",
               "self.q(x) for the queries; self.kv(source).chunk(2, dim=-1) "
               "for keys and values; split_heads for each of the three."),
        right=("q = split_heads(self.q(x), self.n_head)\n"
               "k, v = self.kv(source).split(x.size(-1), dim=-1)\n"
               f"k, v = {KEYS}",),
        wrong=(
            (HALVES.format("x") + SPLIT.format("self.q(x)"),
             "keys and values come from x: then it looks at itself, and the "
             "source is never read"),
            (HALVES.format("source") + SPLIT.format("self.q(source)"),
             "the source asks: queries come from x"),
            (HALVES.format("x") + SPLIT.format("self.q(source)"),
             "it is the wrong way round: x asks, the source answers"),
            (Edit("k, v = self", "v, k = self"),
             "keys and values are exchanged: keys are the first half"),
            ("q = split_heads(self.q(x), self.n_head)\nboth = split_heads("
             "self.kv(source), self.n_head)\nk, v = both.chunk(2, dim=-1)",
             "the heads were cut before the halves: chunk(2) first, then "
             "split_heads"),
            (Edit("(self.q(x), k", "(x, k"), "x itself asks: queries are "
             "self.q(x)"),
            (HALVES.format("source") + "q = self.q(x)", "the heads are "
             "missing: give q, k and v their heads with split_heads"),
            (HALVES.format("source") + f"q = self.q(x)\nk, v = {KEYS}",
             "the queries need heads as well: split_heads"),
            (Edit("split_heads(y, self.n_head)", "split_heads(y)"),
             "split_heads also wants to know how many: split_heads(…, "
             "self.n_head)"),
            ("q = split_heads(self.q(x), self.n_head)",
             "the blank must make every name that the next lines use"),
            (Edit(".chunk(2, dim=-1)", ""),
             "two halves are asked for: chunk(2, dim=-1)"),
            (Edit("chunk(2, dim=-1)", "chunk(2)"),
             "k and v must be (B, H, S, D): the channels of self.kv(source) "
             "are cut in two, chunk(2, dim=-1)"),
            (Edit("chunk", "split"), "split takes the size of a part, chunk "
             "how many parts there are: chunk(2, dim=-1)"),
            (HALVES.format("source") + "q, k = (split_heads(y, self.n_head) "
             "for y in (self.q(x), k))", "the values need heads as well: "
             "split_heads"),
            ("k, v = source.chunk(2, dim=-1)\nq, k, v = (split_heads(y, "
             "self.n_head)\n           for y in (self.q(x), self.kv(k), "
             "self.kv(v)))", "the source was cut too early: self.kv takes all "
             "C channels, and its result is cut in two"),
        ),
        core=True,
    ),
    Exercise(
        "seq2seq.mask",
        "padding_mask",
        cases=(
            Case("no query reads padding", """
                real = torch.tensor([[True, True, True], [False, True, True]])
                padding_mask(real)"""),
            Case("whatever is padding, in a batch of any size", """
                real = torch.rand(number(3, 5), number(6, 8)) < 0.5
                padding_mask(real)"""),
        ),
        hints=("The mask is about the source, and the source is the last "
               "dimension of the scores.",
               "real[:, None, None, :] is (B, 1, 1, S)."),
        right=("return real.view(len(real), 1, 1, -1)",),
        wrong=(
            ("return real[:, None, :, None]", "the mask stops the queries: it "
             "must stop the keys, the last dimension"),
            ("return torch.ones_like(real)[:, None, None, :]",
             "padding is read: the mask has no effect"),
            ("return ~real[:, None, None, :]",
             "only padding is read: True is a real token"),
            ("return real[:, None, :]", "the scores are (B, H, T, S): `real` "
             "needs a dimension for heads and one for queries, in the middle"),
            ("return real[None, None]",
             "the batch must stay first: the new dimensions are in the middle"),
        ),
    ),
    Exercise(
        "seq2seq.decoder_block",
        "DecoderBlock.forward",
        cases=(
            Case("three parts: each time norm(x + part(x))",
                 BLOCK.format("number(5, 9)") + "block(x, memory)"),
            Case("each attention gets its own mask", BLOCK.format(4)
                 + MASKS + "block(x, memory, mask=mask, source_mask=source_mask)"),
            Case("both maps are recorded", BLOCK.format(4) + MASKS + """
record, cross_record = [], []
block(x, memory, mask=mask, source_mask=source_mask, record=record,
      cross_record=cross_record), record, cross_record"""),
        ),
        hints=("Three times the same pattern: norm(x + part(x)).",
               "self.cross(x, memory, mask=source_mask, record=cross_record) "
               "is the second part; the first and the third are those of "
               "Block."),
        right=(f"y = x + {OWN}\nx = self.norm1(y)\nfound = {ACROSS}\n"
               "x = self.norm2(found + x)\nx = x + self.mlp(x)\n"
               "return self.norm3(x)",),
        wrong=(
            (f"x = x + {OWN.replace('(x', '(self.norm1(x)')}\n"
             f"x = x + {ACROSS.replace('(x', '(self.norm2(x)')}\n"
             "return x + self.mlp(self.norm3(x))",
             "this is pre-norm: in 2017 the norm comes after the sum"),
            (f"x = self.norm1({OWN})\nx = self.norm2({ACROSS})\n"
             "return self.norm3(self.mlp(x))",
             "the residuals are missing: norm(x + part(x))"),
            (Edit("norm2(x + found)", "norm2(found)"), "cross-attention has no "
             "residual: what the target knew of itself is lost"),
            (Edit("norm1(x + self", "norm1(self"), "self-attention has no "
             "residual: norm(x + part(x))"),
            (Edit("norm3(x + self", "norm3(self"), "the MLP has no residual: "
             "norm(x + part(x))"),
            (Edit("self.norm3(x + self.mlp(x))", "x + self.mlp(x)"),
             "the last norm is missing: norm3, after the MLP"),
            (Edit("norm2", "norm1"), "norm1 was used twice: each part has its "
             "own norm"),
            (Edit("norm3", "norm2"), "norm2 was used twice: each part has its "
             "own norm"),
            (f"x = x + {OWN}\nx = x + {ACROSS}\nreturn x + self.mlp(x)",
             "the norms are missing"),
            (f"x = self.norm2(x + {ACROSS})\nx = self.norm1(x + {OWN})\n"
             "return self.norm3(x + self.mlp(x))", "cross-attention comes "
             "second: first the target looks at itself"),
            (f"x = self.norm1(x) + {OWN}\nx = self.norm2(x) + {ACROSS}\n"
             "return self.norm3(x) + self.mlp(x)", "the norm goes over the "
             "sum: norm(x + part(x)), not norm(x) + part(x)"),
            (f"x = x + self.norm1({OWN})\nx = x + self.norm2({ACROSS})\n"
             "return x + self.norm3(self.mlp(x))", "the norm goes over the "
             "sum: norm(x + part(x)), not x + norm(part(x))"),
            (Edit("(x, memory", "(x, x"),
             "cross-attention looks at x: hand it memory"),
            (Edit("(x, memory", "(memory, x"), "memory asks and x answers: it "
             "is x that asks, so x comes first"),
            (f"x = self.norm1(x + {OWN})\nreturn self.norm3(x + self.mlp(x))",
             "cross-attention is missing"),
            (Edit("return self.norm3(x + self.mlp(x))", "return x"),
             "the MLP is missing, and the norm after it"),
            (Edit("mask=source_mask, ", ""), "padding of the source is read: "
             "cross-attention needs mask=source_mask"),
            (Edit("mask=mask, ", ""), "the target looks at what is still to "
             "come: self-attention needs mask=mask"),
            (Edit("=source_mask", "=mask"), "cross-attention was given the "
             "target's mask: it needs source_mask"),
            ("x = self.norm1(x + self.attention(x, mask=mask))\n"
             "x = self.norm2(x + self.cross(x, memory, mask=source_mask))\n"
             "return self.norm3(x + self.mlp(x))", "the records stay empty: "
             "pass record=record to self-attention and record=cross_record to "
             "cross-attention"),
            (Edit("=cross_record", "=record"),
             "cross-attention has its own record: cross_record"),
            (Edit("x, mask=mask, record=record", "x, mask, record"), "mask and "
             "record are keywords: self.attention(x, mask=mask, "
             "record=record)"),
            (Edit("(x, memory", "(x"), "self.cross takes x and memory"),
        ),
        core=True,
    ),
    Exercise(
        "seq2seq.model",
        "Seq2Seq",
        cases=(
            Case("encode: through every block, each token sees the others",
                 MODEL + "model.encode(source)"),
            Case("encode: nothing sees padding, and the maps are recorded",
                 MODEL + "model.encode(source, source_mask=real, "
                 "record=record), vars(record)", gradients=False),
            Case("decode: no token sees what is still to come",
                 MODEL + "model.decode(idx, memory)"),
            Case("decode: no token sees padding, and the maps are recorded",
                 MODEL + "model.decode(idx, memory, mask=mask, "
                 "source_mask=real, record=record), vars(record)",
                 gradients=False),
            Case("forward: both in turn, with their masks and the record",
                 MODEL + "model(source, idx, source_mask=real, mask=mask, "
                 "record=record), vars(record)"),
        ),
        hints=("Each of the first two embeds its ids, makes its masks, and "
               "sends x through its blocks: x = block(x, …).",
               "The encoder's blocks take padding_mask(source_mask). The "
               "decoder's take memory too, and two masks: attention_mask(T, "
               "T, mask, idx.device) and padding_mask(source_mask)."),
        right=(
            ("x = self.embed(source, source_mask)\nmask = padding_mask("
             "source_mask)\nfor i in range(len(self.encoder)):\n"
             "    x = self.encoder[i](x, mask=mask, record=kept.encoder)\n"
             "return x",
             "y = self.embed(idx, mask=mask)\nfor block in self.decoder:\n"
             "    y = block(y, memory, mask=attention_mask(T, T, mask),\n"
             "              source_mask=padding_mask(source_mask), record="
             "kept.decoder,\n              cross_record=kept.cross)\n"
             "return y @ self.token.weight.T",
             None),
        ),
        wrong=(
            (Edit("self.embed(source, source_mask)", "self.token(source)"),
             "encode: the tokens need their positions: self.embed"),
            (Edit("self.embed(source, source_mask)", "self.embed(source)"),
             "encode: padding counts as a position: embed takes the mask too"),
            (("x = self.embed(source)\nfor block in self.encoder:\n"
              "    x = block(x, record=kept.encoder)\nreturn x", None, None),
             "encode: source_mask is not used, by embed and by the blocks"),
            (Edit("x, mask=allowed, record=kept.e", "x, record=kept.e"),
             "encode: padding is read: the blocks need the padding mask"),
            (Edit("allowed = padding_mask(source_mask)",
                  "allowed = source_mask"), "encode: the mask of the ids is "
             "(B, S), the scores are (B, H, S, S): padding_mask"),
            (Edit("allowed = padding_mask(source_mask)",
                  "S = source.size(1)\n"
                  "allowed = attention_mask(S, S, source_mask)"),
             "encode: nothing in the source is still to come: no causal mask"),
            (Edit("    x = block(x, mask=allowed, record=kept.encoder)\n"
                  "return x",
                  "    y = block(x, mask=allowed, record=kept.encoder)\n"
                  "return y"), "encode: every block gets the embedding: hand "
             "it what the block before it made"),
            (Edit("\nreturn x", "\n    return x"), "encode: the return is "
             "inside the loop: only the first block works"),
            (Edit("x = block(x, mask=allowed, record=kept.e",
                  "block(x, mask=allowed, record=kept.e"), "encode: what the "
             "blocks return is lost: x = block(x, …)"),
            (Edit("for block in self.encoder:\n    x = block(",
                  "if True:\n    x = self.encoder("), "encode: self.encoder "
             "is a list of blocks: send x through one after another"),
            (Edit("kept.encoder", "kept"), "encode: a block appends to a list: "
             "record=kept.encoder"),
            (Edit("kept.encoder", "record"), "encode: the record holds three "
             "lists, and a block gets one: record=kept.encoder"),
            (Edit(", record=kept.encoder", ""),
             "encode: its maps are not recorded: record=kept.encoder"),
            (Edit("self.embed(idx, mask)", "self.embed(idx)"),
             "decode: padding counts as a position: embed takes the mask too"),
            (Edit("attention_mask(T, T, mask, idx.device)",
                  "padding_mask(mask)"), "decode: the target sees what is "
             "still to come: attention_mask is causal"),
            (Edit("(T, T, mask, idx.device)", "(T, T)"),
             "decode: the target's padding is read: attention_mask takes mask"),
            (Edit("mask=allowed, source_mask", "source_mask"),
             "decode: self-attention got no mask: mask=…"),
            (Edit(" source_mask=across,", ""), "decode: the source's padding "
             "is read: the blocks need source_mask=…"),
            (Edit("=across", "=source_mask"), "decode: the mask of the source "
             "is (B, S), the scores are (B, H, T, S): padding_mask"),
            (Edit("=allowed, source_mask=across",
                  "=across, source_mask=allowed"), "decode: the masks are "
             "exchanged: mask is the causal one"),
            (Edit("block(x, memory", "block(memory, x"),
             "decode: it is x that asks, so x comes first"),
            (Edit("block(x, memory", "block(x, x"),
             "decode: the source is never read: the blocks need memory"),
            (Edit("across = padding_mask(source_mask)",
                  "across = padding_mask(mask)"), "decode: cross-attention "
             "reads the source: padding_mask(source_mask)"),
            (Edit("cross_record=kept.cross", "cross_record=kept.decoder"),
             "decode: both maps are in one list: cross_record=kept.cross"),
            (Edit("return self.head(x)", "return x"), "decode: these are C "
             "channels, not V scores: self.head"),
            (Edit("self.head(x)", "self.head(x).softmax(-1)"),
             "decode: logits are asked for, without softmax"),
            (Edit("=kept.decoder, cross_record=kept.cross",
                  "=kept.cross, cross_record=kept.decoder"), "decode: the "
             "records are exchanged: kept.cross is for cross-attention"),
            (Edit("record=kept.decoder, cross_record=kept.cross", ""),
             "decode: its maps are not recorded: record=kept.decoder, "
             "cross_record=kept.cross"),
            ((None, None, "return self.decode(idx, self.encode(source))"),
             "forward: hand on the masks and the record"),
            (Edit("(source, source_mask=source_mask", "(source"),
             "forward: encode needs source_mask"),
            (Edit("mask=mask, source_mask=source_mask", "mask=mask"),
             "forward: decode needs source_mask as well, because "
             "cross-attention reads the source"),
            (Edit("mask=mask, ", ""), "forward: decode needs the target's "
             "mask"),
            (Edit("mask=mask, source_mask=source_mask",
                  "mask=source_mask, source_mask=mask"),
             "forward: the masks are exchanged"),
            (Edit("idx, memory", "idx, source"), "forward: the decoder reads "
             "memory, which encode made of the source, and not ids"),
            (Edit("idx, memory", "memory, idx"),
             "forward: decode takes idx first, then memory"),
            (Edit("record=record", "record=None"),
             "forward: the record stays empty: encode and decode need it"),
        ),
        core=True,
    ),
    Exercise(
        "seq2seq.smoothing",
        "smooth_cross_entropy",
        cases=(
            Case("a share of the probability is asked for everywhere", """
                logits = torch.randn(2, 3, 4)
                targets = torch.randint(4, (2, 3))
                smooth_cross_entropy(logits, targets, 0.2)"""),
            Case("also where the model is sure, and beside padding", """
                targets = torch.tensor([[1, 4, 0], [2, -100, -100]])
                logits = 3 * F.one_hot(targets.clamp(min=0), 5)
                logits = logits + 2 * torch.randn(2, 3, 5)
                smooth_cross_entropy(logits, targets, smoothing=0.3)"""),
        ),
        hints=("The formula has two terms: `chosen` is the first logarithm, "
               "the second is a mean over the vocabulary.",
               "-(1 - smoothing) * chosen - smoothing * logp.mean(-1)."),
        right=("even = logp.sum(-1) / logits.size(-1)\n"
               "loss = -torch.lerp(chosen, even, smoothing)",),
        wrong=(
            ("loss = -chosen", "this is the loss without smoothing"),
            (SMOOTH + "logp.sum(-1)", "the share was given to each token: "
             "spread it, by the mean over the vocabulary"),
            ("loss = -smoothing * chosen - (1 - smoothing) * logp.mean(-1)",
             "the shares are exchanged: 1 - smoothing for the right token"),
            ("loss = -chosen - smoothing * logp.mean(-1)", "the right token "
             "must give up what the others get: 1 - smoothing"),
            ("others = (logp.sum(-1) - chosen) / (logits.size(-1) - 1)\n"
             + SMOOTH + "others", "the share goes to the wrong tokens only: "
             "here it is spread over all V"),
            (Edit("-(1 - smoothing) * chosen - smoothing",
                  "(1 - smoothing) * chosen + smoothing"), "the sign is wrong: "
             "log probabilities are negative, a loss is not"),
            (Edit("- smoothing * logp", "+ smoothing * logp"), "the sign of "
             "the second term is wrong: both have a minus"),
            ("loss = -(1 - smoothing) * chosen",
             "what the other tokens should get is missing"),
            (SMOOTH + "logp.mean()", "one mean for all: each place has its "
             "own, over the vocabulary, dim -1"),
            (SMOOTH + "logp.sum(-1) / logp.size(1)",
             "it is divided by T: V is the last dimension"),
            (SMOOTH + "logits.mean(-1)", "the mean is that of the log "
             "probabilities, logp, not of the logits"),
            ("loss = -0.9 * chosen - 0.1 * logp.mean(-1)",
             "this is a share of 0.1, whatever `smoothing` says"),
            (Edit("loss = ", "return "), "call it `loss`: the line below takes "
             "the mean and returns it"),
            (Edit("loss = ", "smooth = "), "the blank must make `loss`"),
            (SMOOTH + "logp", "loss must be (B, T), a number for each target: "
             "take the mean over the vocabulary, dim -1"),
        ),
        core=True,
    ),
    Exercise(
        "seq2seq.rate",
        "inverse_sqrt",
        cases=(
            Case("up in a line to the end of the warmup",
                 "[inverse_sqrt(step, 16, 4) for step in (0, 1, 3)]",
                 atol=1e-7),
            Case("then down with the root", """
                n_embd, warmup_steps = number(8, 50), number(3, 9)
                steps = [0, 1, warmup_steps - 1, number(20, 90)]
                [inverse_sqrt(x, n_embd, warmup_steps) for x in steps]""",
                 atol=1e-7),
        ),
        hints=("Two lines cross where the warmup ends; which of them is lower "
               "before, and which after?",
               "n_embd**-0.5 * min(n**-0.5, n * warmup_steps**-1.5)."),
        right=("if n < warmup_steps:\n"
               "    return n / warmup_steps / (n_embd * warmup_steps) ** 0.5\n"
               "return (n_embd * n) ** -0.5",),
        wrong=(
            (Edit("min", "max"), "this is the larger of the two: the smaller"),
            (f"return {RATE}",
             "the width of the model is missing: times n_embd**-0.5"),
            (f"return n_embd**0.5 * {RATE}",
             "a wider model needs a smaller rate: n_embd**-0.5"),
            ("return (n_embd * n) ** -0.5", "there is no warmup"),
            ("return n_embd**-0.5 * n * warmup_steps**-1.5", "it never falls"),
            (Edit("-1.5", "-0.5"), "the two lines must meet at the end of the "
             "warmup: warmup_steps**-1.5"),
            ("return n_embd**-0.5 * min(\n    step**-0.5, step * "
             "warmup_steps**-1.5)",
             "the first step is 0: take n, which counts from 1"),
            ("return n_embd**-1/2 * min(n**-1/2, n * warmup_steps**-3/2)",
             "a**-1/2 is half of a**-1: write **-0.5 and **-1.5"),
            (f"rate = n_embd**-0.5 * {RATE}",
             "it returns None: is the `return` missing?"),
        ),
    ),
    Exercise(
        "seq2seq.translate",
        "translate",
        cases=(
            Case("it writes one token after another, n of them", """
                model = Script()
                source = torch.tensor([[number(5, 9)]])
                translate(model, source, bos=1, eos=2, n=4)"""),
            Case("and ends after eos", f"""
                model = Script()
                source = torch.tensor([[number(1, 3)]])
                {WRITE}"""),
            Case("a row that has ended writes eos until all have", f"""
                model = Script()
                source = torch.tensor([[1], [number(3, 5)]])
                {WRITE}"""),
            Case("the padding of a source does not count", """
                model = Script()
                source = torch.tensor([[7, 1], [2, 2]])
                mask = torch.tensor([[False, True], [True, True]])
                translate(model, source, bos=1, eos=2, n=8, source_mask=mask)
                """),
            Case("each source is encoded once", f"""
                model = Script()
                source = torch.tensor([[3]])
                {WRITE}, model.calls == 1"""),
        ),
        hints=("Before the loop: memory, a column of bos, and a row of False. "
               "In it: logits of what is written so far, the new token, who "
               "is done, and idx one longer.",
               "new.masked_fill(done, eos); done | (new == eos); "
               "torch.cat([idx, new[:, None]], 1)."),
        right=(
            "B = source.size(0)\n"
            "idx = torch.full((B, 1), bos)\n"
            "done = torch.zeros(B, dtype=torch.bool)\n"
            "memory = model.encode(source, source_mask=source_mask)\n"
            "while idx.size(1) <= n and not done.all():\n"
            "    logits = model.decode(idx, memory, source_mask=source_mask)\n"
            "    new = torch.where(done, eos, logits[:, -1].argmax(-1))\n"
            "    done = new == eos\n"
            "    idx = torch.hstack([idx, new.unsqueeze(1)])",
        ),
        wrong=(
            (Edit(f"    idx = {GROW}", "    pass"),
             "idx does not grow: put new behind it"),
            (Edit(FILL, ""),
             "a row that has ended goes on writing: it must repeat eos"),
            (Edit(NOTE, ""),
             "nobody is ever done: note who has written eos"),
            (Edit("(done, eos)", "(~done, eos)"),
             "the wrong rows were filled: those that are done write eos"),
            (Edit("        break", "        break\nidx = idx[:, 1:]"),
             "the line below cuts off bos already: leave it in idx"),
            (Edit("idx, memory", "memory, idx"),
             "decode takes idx first, then memory"),
            (Edit("(done, eos)", "(done, 0)"),
             "rows that are done write something else than eos"),
            (Edit("(new == eos)", "(new == eos).any()"),
             "all rows end with the first one: each row ends by itself"),
            (Edit("    if done.all():\n        break", ""),
             "the loop goes on when all rows are done: break"),
            (Edit(FILL, f"    if (new == eos).all():\n        break\n{FILL}"),
             "eos is written too: the loop ends after it, not before"),
            (Edit("for _ in range(n)", "while not done.all()"),
             "at most n tokens are asked for, whether or not eos came"),
            (Edit(", bos)", ", eos)"), "idx must begin with bos"),
            (Edit("greedy(logits[:, -1])", "greedy(logits)"), "the last "
             "position says what comes next: greedy(logits[:, -1])"),
            (Edit("decode(idx, ", "decode(idx[:, -1:], "), "the decoder needs "
             "all that is written so far, not only the last token"),
            (Edit("new[:, None]]", "new]"),
             "new is (B,): give it a dimension, new[:, None]"),
            (Edit("]], 1)", "]])"), "new[:, None] is (B, 1): put it after the "
             "tokens, along dim 1"),
            (Edit("new.masked_fill(done, eos)", "eos if done else new"),
             "new and done have an entry for each row: masked_fill or "
             "torch.where does all rows at once"),
            (Edit(f"idx = {GROW}", "idx.append(new)"), "idx is a tensor: "
             "torch.cat puts new[:, None] behind it"),
            (Edit("encode(source, source_mask=source_mask)", "encode(source)"),
             "the encoder reads padding: it needs source_mask"),
            (Edit("memory, source_mask=source_mask", "memory"),
             "the decoder reads padding: it needs source_mask too"),
            (Edit("model.decode(idx, memory,", "model(source, idx,"), "the "
             "source is encoded again for each token: encode before the loop, "
             "decode in it"),
        ),
    ),
    Question(
        "seq2seq.predict-smoothing",
        0.91,
        "0.9, and its own tenth of the 0.1 that is spread over all ten",
        ("The loss is smallest where the model gives what is asked for.",
         "The share is spread over all ten, the right one too."),
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
        "the natural logarithm of the number of days it cannot tell apart",
        ("What is the expected loss of a model that knows nothing but how "
         "many answers there are?",
         "The loss of a guess among n is ln n."),
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
        "the decoder sees every source token, and the last ones have seen all "
        "before them",
        ("Who looks at the year: the encoder's first tokens, or the decoder?",
         "Does cross-attention have a causal mask?"),
        wrong={
            "a": "the year is a token like any other for the decoder, which "
            "sees the whole source",
            "c": "it does not matter where the year is: cross-attention has "
            "no causal mask",
        },
    ),
]  # fmt: skip
