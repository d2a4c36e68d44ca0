"""Chapter 12: what its exercises expect."""

import torch

from minigpt.attention import causal_mask
from minigpt.course.exercises import Exercise, Question
from minigpt.gpt import GPT, GPTConfig

SHAPE = {"vocab_size": 11, "block_size": 8, "n_head": 2, "n_embd": 8}


def some_model(t, n_layer=2):
    """A small GPT with large random weights, and two texts for it."""
    torch.manual_seed(t.seed)
    model = GPT(GPTConfig(n_layer=n_layer, **SHAPE)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.4)
    return model, torch.randint(11, (2, 5))


def shifted(where, by):
    """Columns moved to the right, or to the left; what falls out is lost."""
    moved = torch.zeros_like(where)
    T = where.size(-1)
    if by > 0:
        moved[..., by:] = where[..., : T - by]
    else:
        moved[..., :by] = where[..., -by:]
    return moved


def check_induction(t):
    a, b, c, d = torch.randperm(9)[:4].tolist() if t.seed > 1 else (0, 1, 2, 3)
    ids = torch.tensor([a, b, c, a, b, d, a])
    given = f"ids {ids.tolist()}"
    got = t.call(t.answer, ids, given=given)
    same = ids[:, None] == ids
    earlier = same.tril(-1)
    t.same(
        got,
        shifted(earlier, 1),
        "each row names what followed where its token stood before",
        given=given,
        mistakes={
            "these are the places of the token itself: what came *after* "
            "them is one column further": earlier,
            "these are the places before the earlier copies: the other way, "
            "one column to the right": shifted(earlier, -1),
            "rows were moved, not columns: the row is the token that looks": (
                shifted(earlier.mT, 1).mT
            ),
            "a token counts as its own earlier copy, so its successor is in "
            "it: only earlier ones": shifted(same.tril(), 1),
            "the future is in it: only earlier copies": shifted(same, 1),
        },
    )
    batch = torch.stack([ids, ids.flip(0)])
    given = f"a batch of two texts, {batch.tolist()}"
    got = t.call(t.answer, batch, given=given)
    both = (batch[:, :, None] == batch[:, None]).tril(-1)
    t.same(got, shifted(both, 1), "a batch works", given=given)


def check_score(t):
    g = torch.Generator().manual_seed(t.seed)
    weights = torch.rand(3, 5, 5, generator=g).tril()
    weights = weights / weights.sum(-1, keepdim=True)  # (H, T, T)
    where = torch.zeros(5, 5, dtype=torch.bool)
    where[2, 0] = where[4, 1] = where[4, 3] = True
    given = (
        "three heads over 5 tokens; row 2 has one place to look, row 4 has "
        "two, the others none"
    )
    got = t.call(t.answer, weights, where, given=given)
    landed = (weights * where).sum(-1)  # (H, T)
    t.same(
        got,
        landed.sum(-1) / 2,
        "the mean over the rows that have a place, one number a head",
        given=given,
        mistakes={
            "divided by all rows: a row without a place has nothing to look "
            "at, and must not count": landed.mean(-1),
            "divided by the places: two places of one row count together": (
                landed.sum(-1) / 3
            ),
            "these are sums: divide by the number of rows that count": (
                landed.sum(-1)
            ),
            "all heads are in one number: one for each": landed.sum() / 6,
            "summed over the wrong dimension: a row is what one token looks "
            "at, the last dimension": (
                (weights * where).sum(-2)[..., where.any(-1)].sum(-1) / 2
            ),
        },
    )
    batch = where.repeat(2, 1, 1)
    batch[1] = torch.ones(5, 5).tril(-1).bool()
    weights = weights[:2]
    given = "two texts, one with two rows that count, one with four"
    got = t.call(t.answer, weights, batch, given=given)
    landed = (weights * batch).sum((-2, -1))
    t.same(
        got,
        landed / torch.tensor([2.0, 4.0]),
        "each text counts its own rows",
        given=given,
    )


def check_logit_lens(t):
    model, idx = some_model(t)
    given = "a GPT of 2 blocks, idx (2, 5)"
    got = t.call(t.answer, model, idx, given=given)
    with torch.no_grad():
        stream, mask = [model.embed(idx)], causal_mask(idx.size(1))
        for block in model.blocks:
            stream.append(block(stream[-1], mask=mask))
        stream = torch.stack(stream)
        t.same(
            got,
            model.head(model.norm(stream)),
            "each layer's guess, and the last is the model's own",
            given=given,
            mistakes={
                "the norm is missing: the head expects what the norm gives": (
                    model.head(stream)
                ),
                "the head is missing: logits are over the vocabulary": (
                    model.norm(stream)
                ),
                "this is the stream itself": stream,
                "these are probabilities: logits are asked for": (
                    model.head(model.norm(stream)).softmax(-1)
                ),
                "only the last layer: one guess for each point": (
                    model.head(model.norm(stream[-1]))
                ),
            },
        )


def written(model, idx, change):
    """Logits when `change(x)` edits what stands before proj of block 1."""
    proj = model.blocks[1].attention.proj

    def hook(module, args):
        x = args[0].clone()
        change(x)
        return (x,)

    handle = proj.register_forward_pre_hook(hook)
    with torch.no_grad():
        out = model(idx)
    handle.remove()
    return out


def check_ablated(t):
    model, idx = some_model(t)
    given = "a GPT of 2 heads with 4 channels each; head 1 of block 1 off"

    def run(means=None):
        with t.answer(model, [(1, 1)], means), torch.no_grad():
            return model(idx)

    got = t.call(run, given=given)

    def put(value, *place):
        def change(x):
            x[place] = value

        return written(model, idx, change)

    t.same(
        got,
        put(0.0, ..., slice(4, 8)),
        "its channels are zero at every token",
        given=given,
        mistakes={
            "nothing changed: write into x, x[...] = value": (
                lambda: put(0.0, ..., slice(0, 0))
            ),
            "the other head was switched off: head h has the channels h * D "
            "to (h + 1) * D": lambda: put(0.0, ..., slice(0, 4)),
            "one channel only: D of them": lambda: put(0.0, ..., 1),
            "every head of the block is off": lambda: put(0.0, ...),
            "tokens were cut, not channels: the last dimension": lambda: put(
                0.0, slice(None), slice(4, 8)
            ),
            "every D-th channel was taken: the heads stand side by side": (
                lambda: put(0.0, ..., slice(1, None, 2))
            ),
        },
    )
    means = torch.arange(16.0).view(2, 2, 4)
    given = "the same, with means 12, 13, 14, 15 for that head"
    got = t.call(run, means, given=given)
    t.same(
        got,
        put(means[1, 1], ..., slice(4, 8)),
        "with means, each channel has its mean",
        given=given,
        mistakes={
            "zeros were written although means were given: write value": (
                lambda: put(0.0, ..., slice(4, 8))
            ),
        },
    )


def check_means(t):
    model, idx = some_model(t)
    given = "a GPT of 2 blocks and 2 heads of 4 channels, idx (2, 5)"
    joined = []
    handles = [
        b.attention.proj.register_forward_pre_hook(
            lambda m, args: joined.append(args[0].detach())
        )
        for b in model.blocks
    ]
    with torch.no_grad():
        model(idx)
    for handle in handles:
        handle.remove()
    joined = torch.stack(joined)  # (L, B, T, C)
    got = t.call(
        t.answer, model, idx, given=given,
        errors={
            "is invalid for input": "the sizes do not multiply: average over "
            "texts and tokens first, then cut C into H heads of D",
        },
    )  # fmt: skip
    want = joined.mean((1, 2)).view(2, 2, 4)
    t.same(
        got,
        want,
        "one vector for each head, averaged over texts and tokens",
        given=given,
        mistakes={
            "the channels of the heads are mixed: head 0 has the first D": (
                joined.mean((1, 2)).view(2, 4, 2).mT
            ),
            "only one text was averaged": joined[:, 0].mean(1).view(2, 2, 4),
            "these are sums": joined.sum((1, 2)).view(2, 2, 4),
            "the heads are not cut apart: (L, H, D)": joined.mean((1, 2)),
            "only the last token of each text was averaged: all of them": (
                joined[:, :, -1].mean(1).view(2, 2, 4)
            ),
            "the layers were averaged too: one vector for each of them": (
                joined.mean((0, 1, 2)).view(2, 4).expand(2, 2, 4)
            ),
        },
    )


SUM = "landed = (weights * where).sum(-1)\n"

EXERCISES = [
    Exercise(
        "lens.induction",
        "induction",
        check_induction,
        (
            "duplicate_token(ids) has the earlier copies. What followed them "
            "stands one column further.",
            "F.pad(where, (1, -1)) adds a column on the left and drops the "
            "last.",
        ),
        right=(
            "where = torch.zeros_like(duplicate_token(ids))\n"
            "where[..., 1:] = duplicate_token(ids)[..., :-1]\n"
            "return where",
        ),
        wrong=(
            ("return duplicate_token(ids)", "one column further"),
            ("return F.pad(duplicate_token(ids), (-1, 1))", "the other way"),
            ("return F.pad(duplicate_token(ids), (0, 0, 1, -1))", "rows"),
            (
                "same = ids[..., :, None] == ids[..., None, :]\n"
                "return F.pad(same.tril(), (1, -1))",
                "its own earlier copy",
            ),
            (
                "same = ids[..., :, None] == ids[..., None, :]\n"
                "return F.pad(same, (1, -1))",
                "future",
            ),
        ),
        core=True,
    ),
    Exercise(
        "lens.pattern_score",
        "pattern_score",
        check_score,
        (
            "First the attention that lands on the pattern, for each row; "
            "then the mean over the rows that count.",
            "(weights * where).sum(-1) is the first; divide its sum by "
            "rows.sum(-1).",
        ),
        right=("return (weights * where).sum((-2, -1)) / rows.sum(-1)",),
        wrong=(
            ("return (weights * where).sum(-1).mean(-1)", "all rows"),
            (
                "return (weights * where).sum((-2, -1)) / where.sum((-2, -1))",
                "by the places",
            ),
            ("return (weights * where).sum((-2, -1))", "these are sums"),
            (
                "return (weights * where).sum() / rows.sum() / len(weights)",
                "one number",
            ),
            (
                "return ((weights * where).sum(-2) * rows).sum(-1) "
                "/ rows.sum(-1)",
                "wrong dimension",
            ),
        ),
        core=True,
    ),
    Exercise(
        "lens.logit_lens",
        "logit_lens",
        check_logit_lens,
        (
            "GPT.forward ends with two modules after the last block.",
            "model.head(model.norm(stream)): both work on any (…, C).",
        ),
        right=(
            "return torch.stack([model.head(model.norm(x)) for x in stream])",
        ),
        wrong=(
            ("return model.head(stream)", "norm is missing"),
            ("return model.norm(stream)", "head is missing"),
            ("return stream", "stream itself"),
            ("return model.head(model.norm(stream)).softmax(-1)", "probab"),
            ("return model.head(model.norm(stream[-1]))", "only the last"),
        ),
    ),
    Exercise(
        "lens.ablated",
        "ablated",
        check_ablated,
        (
            "Head 0 has the first D channels of x, head 1 the next D, …",
            "x[..., head * D : (head + 1) * D] = value",
        ),
        right=(
            "x.unflatten(-1, (-1, D))[..., head, :] = value",
            "first = head * D\nx[:, :, first : first + D] = value",
        ),
        wrong=(
            ("x = x", "nothing changed"),
            ("x[..., : head * D] = value", "other head"),
            ("x[..., head] = 0.0", "one channel"),
            ("x[...] = 0.0", "every head"),
            ("x[:, head * D : (head + 1) * D] = 0.0", "tokens were cut"),
            ("x[..., head::2] = 0.0", "every D-th"),
            ("x[..., head * D : (head + 1) * D] = 0.0", "zeros were written"),
        ),
        core=True,
    ),
    Exercise(
        "lens.mean_outputs",
        "mean_outputs",
        check_means,
        (
            "Average over texts and tokens, then cut the channels into heads.",
            "joined.mean((1, 2)).view(len(seen), n_head, -1)",
        ),
        right=(
            "heads = joined.unflatten(-1, (n_head, -1))\n"
            "return heads.mean((1, 2))",
        ),
        wrong=(
            (
                "return joined.mean((1, 2)).view(len(seen), -1, n_head).mT",
                "are mixed",
            ),
            (
                "return joined[:, 0].mean(1).view(len(seen), n_head, -1)",
                "one text",
            ),
            (
                "return joined.sum((1, 2)).view(len(seen), n_head, -1)",
                "are sums",
            ),
            ("return joined.mean((1, 2))", "not cut apart"),
            (
                "return joined[:, :, -1].mean(1).view(len(seen), n_head, -1)",
                "last token",
            ),
        ),
    ),
    Question(
        "lens.predict-layers",
        2,
        "one head must first tell each token what stood before it, so that "
        "a head of a later layer can search for that",
        (
            "A head compares what two tokens carry. Which token must be "
            "found, and what must it carry for that?",
            "The token after the earlier A must carry A. Who tells it?",
        ),
        wrong={
            1: "one layer compares tokens with tokens, and the place it needs "
            "holds another token",
            3: "fewer are enough: the model of this chapter does it",
        },
    ),
    Question(
        "lens.predict-evidence",
        "b",
        "attention must sum to 1, so a head with nothing to do must look "
        "somewhere, and only a change of the output shows use",
        (
            "What does the ablation measure that the weight does not?",
            "A weight says where a head reads. Is what it reads there used?",
        ),
        wrong={
            "a": "then taking it away would change the loss",
            "c": "both can be right: looking and mattering are different",
        },
    ),
]
