"""Chapter 12: what its exercises expect."""

from minigpt.course.exercises import Case, Edit, Exercise, Question
from minigpt.gpt import GPT, GPTConfig  # noqa: F401

MODEL = """
model = fill(GPT(GPTConfig(11, 8, n_layer=3, n_head=2, n_embd=6)))
idx = torch.randint(11, (2, 5))
"""
MEANS = "means = torch.randn(3, 2, 3)\n"
OFF = "inside(ablated(model, {}), lambda m: m(idx).tolist())"
PAST = "same = ids[..., :, None] == ids[..., None, :]\n"
SUM = "landed = (weights * where).sum(-1)\n"
LATE = """\
D = model.config.n_embd // model.config.n_head
handles = []
for layer, head in heads:
    def hook(proj, args):
        x = args[0].clone()
        value = 0.0 if means is None else means[layer, head]
        x[..., head * D : (head + 1) * D] = value
        return (x,)

    proj = model.blocks[layer].attention.proj
    handles.append(proj.register_forward_pre_hook(hook))
with hooked(handles):
    yield model"""
WITH = "with hooked([silence(*place) for place in heads]):\n    yield model"


def inside(context, call):
    """What call gives inside, for what the context yields."""
    with context as model:
        return call(model)


EXERCISES = [
    Exercise(
        "lens.induction", "induction", core=True,
        cases=(
            Case("a row names what followed its token before",
                 "ids = torch.tensor([4, 2, 4, 2])\ninduction(ids)"),
            Case("so it is for other texts", """
                a, b, c, d = torch.randperm(9)[:4].tolist()
                ids = torch.tensor([a, b, c, a, b, d, a])
                induction(ids)"""),
            Case("a batch works, and a part of one", """
                ids = torch.randint(3, (2, 3, 9))
                induction(ids[..., 2:])"""),
        ),
        hints=("duplicate_token(ids) has the earlier copies. What followed "
               "them is one column further.",
               "F.pad(where, (1, -1)) adds a column on the left and drops the "
               "last."),
        right=(
            "where = torch.zeros_like(duplicate_token(ids))\n"
            "where[..., 1:] = duplicate_token(ids)[..., :-1]\nreturn where",
            "return duplicate_token(ids).roll(1, -1)",
        ),
        wrong=(
            ("return duplicate_token(ids)",
             "these are the earlier copies: go one column further"),
            ("return F.pad(duplicate_token(ids), (-1, 1))",
             "this is what came before the copies: move right, not left"),
            ("return F.pad(duplicate_token(ids), (0, 0, 1, -1))",
             "rows were moved, not columns: the row is the token that looks"),
            ("return duplicate_token(ids).roll(-1, -1)",
             "the columns were moved to the left: what followed is one further"),
            ("where = duplicate_token(ids)\n"
             "where[..., 1:] = where[..., :-1].clone()\nreturn where",
             "column 0 is left as it was: nothing is before it, so no token "
             "looks there"),
            ("return F.pad(duplicate_token(ids), (1, 0))",
             "a column was added and none dropped: there are T of them"),
            (PAST + "return F.pad(same.tril(), (1, -1))",
             "a token counts as its own earlier copy: only earlier ones"),
            (PAST + "return F.pad(same, (1, -1))",
             "the future is in it: only earlier copies"),
        ),
    ),
    Exercise(
        "lens.pattern_score", "pattern_score", core=True,
        cases=(
            Case("the mean over the rows that have a place to look", """
                weights = torch.tensor([[1, 0, 0], [0.5, 0.5, 0],
                                        [0.25, 0.25, 0.5]])
                where = torch.tensor([[0, 0, 0], [1, 0, 0], [1, 1, 1]]).bool()
                pattern_score(weights, where)"""),
            Case("so it is for any head, one number each", """
                weights = torch.randn(3, 5, 5).softmax(-1)
                where = torch.zeros(5, 5, dtype=torch.bool)
                where[2, 0] = where[4, 1] = where[4, 3] = True
                pattern_score(weights, where)"""),
            Case("each text counts its own rows", """
                weights = torch.randn(2, 3, 5, 5).softmax(-1)
                where = torch.rand(2, 1, 5, 5) < 0.3
                where[0, 0, 2:], where[:, 0, 1] = False, True
                where[1, 0, 3] = True
                pattern_score(weights, where)"""),
            Case("a text without any place to look has no score: nan", """
                weights = torch.randn(2, 4, 4).softmax(-1)
                where = torch.zeros(2, 4, 4, dtype=torch.bool)
                where[0, 2, 1] = True
                pattern_score(weights, where)""", gradients=False),
        ),
        hints=("First the attention that lands on the pattern, for each row; "
               "then the mean over the rows that count.",
               "(weights * where).sum(-1) is the first; divide its sum by "
               "rows.sum(-1)."),
        right=(
            "return (weights * where).sum((-2, -1)) / rows.sum(-1)",
            "landed = weights.masked_fill(~where, 0).sum(-1)\n"
            "return landed.sum(-1) / rows.float().sum(-1)",
        ),
        wrong=(
            (SUM + "return landed.mean(-1)",
             "divided by all rows: one without a place must not count"),
            (SUM + "return landed.sum(-1) / where.sum((-2, -1))",
             "divided by the places: two places of one row count together"),
            (SUM + "return landed.sum(-1)",
             "these are sums: divide by the number of rows that count"),
            (SUM + "return landed[..., rows].mean(-1)",
             "this picks the same rows for every text: multiply by them"),
            (SUM + "return landed.sum() / rows.sum()",
             "all heads are in one number: one for each"),
            ("return (weights * where).mean((-2, -1))",
             "divided by all places of the table: by the rows that count"),
            ("return weights[where].sum(-1) / rows.sum(-1)",
             "weights[where] forgets which head a number is from: multiply by "
             "where"),
            (SUM + "return landed[rows].mean(-1)",
             "landed[rows] forgets which head a number is from: sum over its "
             "rows"),
            (Edit("where).sum(-1)", "where).sum(-2)"),
             "summed over columns: what one token looks at is a row, dim=-1"),
            (Edit("rows.sum(-1)", "rows.sum(-1).clamp(min=1)"),
             "a score without any row is nan, not 0: divide all the same"),
        ),
    ),
    Exercise(
        "lens.logit_lens", "logit_lens",
        cases=(
            Case("each layer's guess, and the last is the model's own",
                 MODEL + "logit_lens(model, idx)"),
            Case("a head of its own is used too", """
                config = GPTConfig(9, 8, 2, 2, 8, tied=False)
                model = fill(GPT(config))
                idx = torch.randint(9, (1, 8))
                logit_lens(model, idx)"""),
        ),
        hints=("GPT.forward ends with two modules after the last block.",
               "model.head(model.norm(stream)): both work on any (…, C)."),
        right=(
            "return torch.stack([model.head(model.norm(x)) for x in stream])",
        ),
        wrong=(
            ("return model.head(stream)",
             "the norm is missing: the head expects what the norm gives"),
            ("return model.norm(stream)",
             "the head is missing: logits are over the vocabulary"),
            ("return stream", "this is the stream itself: norm and head are missing"),
            ("return model.head(model.norm(stream)).softmax(-1)",
             "these are probabilities: logits are asked for"),
            ("return model.head(model.norm(stream[-1]))",
             "only the last layer: one guess for each point"),
            ("return model.norm(model.head(stream))",
             "the norm takes C channels, so it comes before the head"),
            ("return model.norm(stream) @ model.token.weight.T",
             "the token table is the head only where it is tied: model.head"),
        ),
    ),
    Exercise(
        "lens.ablated", "ablated", core=True,
        cases=(
            Case("without heads, the model inside is the model",
                 MODEL + OFF.format("[]")),
            Case("a head's channels are zero at every token",
                 MODEL + OFF.format("[(1, 1)]")),
            Case("with means, each channel has its mean",
                 MODEL + MEANS + OFF.format("[(2, 1)], means")),
            Case("several heads at once, in several layers",
                 MODEL + OFF.format("[(0, 1), (2, 0)]")),
            Case("so it is with means", MODEL + MEANS
                 + OFF.format("[(0, 1), (2, 0), (2, 1)], means")),
            Case("what another hook has kept stays as it was", MODEL + """
proj, seen = model.blocks[1].attention.proj, []
proj.register_forward_pre_hook(lambda proj, args: seen.append(args[0]))
""" + OFF.format("[(1, 1)]")),
            Case("afterward the model is as before", MODEL
                 + OFF.format("[(0, 0), (1, 1)]") + "\nmodel(idx)"),
            Case("also where an error ended the block", MODEL + """
import contextlib
with contextlib.suppress(ValueError):
    inside(ablated(model, [(1, 1)]), lambda m: m(idx + 11))
model(idx)"""),
        ),
        hints=("An inner function can make and register the hook for one "
               "(layer, head); call it for each pair. Head 0 has the first D "
               "channels of x, head 1 the next D, and so on.",
               "In the hook: x = args[0].clone(), then x[..., head * D : (head "
               "+ 1) * D] = value, then return (x,). Register it with "
               "proj.register_forward_pre_hook(hook), collect what that "
               "returns, and `yield model` inside `with hooked(handles):`."),
        right=(
            Edit("x[..., head * D : (head + 1) * D] = value",
                 "x.unflatten(-1, (-1, D))[..., head, :] = value"),
            Edit("return (x,)", "return x"),
            LATE.replace("(proj, args)", "(_, args, layer=layer, head=head)"),
        ),
        wrong=(
            (Edit("        return (x,)\n", ""),
             "nothing changed: a hook returns what goes into proj, (x,), and "
             "the yield is inside `with hooked(…)`"),
            (LATE,
             "every hook acts on the last head: hooks run after the loop, so "
             "make each in a function of its own"),
            (Edit("head * D : (head + 1) * D", ": head * D"),
             "the other head is off: head h has channels h * D to (h + 1) * D"),
            (Edit("..., head * D : (head + 1) * D", "..., head"),
             "one channel only: D of them"),
            (Edit("..., head * D : (head + 1) * D", "..."),
             "every head of the block is off"),
            (Edit("..., head", "head"),
             "texts of the batch were cut, not channels: x[..., a:b]"),
            (Edit(" // model.config.n_head", ""),
             "a head has D channels: n_embd // n_head"),
            (Edit("args[0]", "args"), "args is a tuple: x is args[0]"),
            (Edit("0.0 if means is None else means[layer, head]",
                  "means[layer, head] if means else 0.0"),
             "`if means` asks for one truth value: means is None"),
            (Edit("[silence(*place) for place in heads]", "heads"),
             "hooked takes what register_forward_pre_hook returns, not the "
             "heads"),
            (Edit(WITH, "handles = [silence(*place) for place in heads]\n"
                  "yield model\nfor handle in handles:\n    handle.remove()"),
             "an error in the block ends the function at the yield: hooked "
             "removes the hooks then, too"),
            (Edit("..., head", ":, head"),
             "tokens were cut, not channels: the last dimension"),
            (Edit("head * D : (head + 1) * D", "head :: model.config.n_head"),
             "every H-th channel was taken: the heads are side by side"),
            (Edit("] = value", "] = 0.0"),
             "zeros were written although means were given: write value"),
            (Edit("means[layer, head]", "means[layer, head].mean()"),
             "one number for the whole head: means[layer, head] has D"),
            (Edit("args[0].clone()", "args[0]"),
             "x is changed in place, and with it what others kept: clone it"),
            (Edit("blocks[layer].attention.proj", "blocks[layer].attention"),
             "this changes what attention reads: the hook belongs on proj"),
            (Edit("forward_pre_hook", "forward_hook"),
             "proj has mixed the heads by then: register_forward_pre_hook"),
            (Edit(WITH, "[silence(*place) for place in heads]\nyield model"),
             "the hooks are still there: yield inside `with hooked(…)`"),
            (Edit("yield model", "yield"),
             "nothing is yielded: `with ablated(…) as same` needs the model"),
            (Edit("yield model", "return model"),
             "a context manager yields, where the with block runs"),
        ),
    ),
    Exercise(
        "lens.mean_outputs", "mean_outputs",
        cases=(
            Case("one vector for each head, averaged over texts and tokens",
                 MODEL + "mean_outputs(model, idx)"),
        ),
        hints=("Average over texts and tokens, then cut the channels into "
               "heads.",
               "joined.mean((1, 2)).view(len(seen), n_head, -1)"),
        right=(
            "heads = joined.unflatten(-1, (n_head, -1))\n"
            "return heads.mean((1, 2))",
        ),
        wrong=(
            (Edit("n_head, -1)", "-1, n_head).mT"),
             "the channels of the heads are mixed: head 0 has the first D"),
            (Edit("joined.mean((1, 2))", "joined[:, 0].mean(1)"),
             "only one text was averaged"),
            (Edit("joined.mean((1, 2))", "joined[:, :, -1].mean(1)"),
             "only the last token of each text was averaged: all of them"),
            (Edit("joined.mean", "joined.sum"), "these are sums"),
            (Edit(".view(len(seen), n_head, -1)", ""),
             "the heads are not cut apart: (L, H, D)"),
            ("D = joined.size(-1) // n_head\n"
             "return joined.mean(1).view(len(seen), n_head, D)",
             "the sizes do not multiply: average over texts and tokens first"),
            ("means = joined.mean((0, 1, 2)).view(n_head, -1)\n"
             "return means.expand(len(seen), -1, -1)",
             "the layers were averaged too: one vector for each of them"),
        ),
    ),
    Question(
        "lens.predict-layers", 2,
        "one head must first tell each token what stood before it, so that a "
        "head of a later layer can search for that",
        ("A head compares what two tokens carry. Which token must be found, "
         "and what must it carry for that?",
         "The token after the earlier A must carry A. Who tells it?"),
        wrong={1: "one layer compares tokens with tokens, and the place it "
                "needs holds another token",
               3: "fewer are enough: the model of this chapter does it"},
    ),
    Question(
        "lens.predict-evidence", "b",
        "attention must sum to 1, so a head with nothing to do must look "
        "somewhere, and only a change of the output shows use",
        ("What does the ablation measure that the weight does not?",
         "A weight says where a head reads. Is what it reads there used?"),
        wrong={"a": "then taking it away would change the loss",
               "c": "both can be right: looking and mattering are different"},
    ),
]  # fmt: skip
