"""Chapter 9: what its exercises expect."""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from minigpt.course.exercises import Exercise, Question


def recipe(**changes):
    """Has the fields of Recipe that the exercises use."""
    fields = dict(
        max_steps=10, warmup_steps=2, lr=1.0, min_lr=0.1, decay="cosine",
        grad_clip=1.0, bf16=False, weight_decay=0.1, batch_size=2,
        micro_batch_size=1, optimizer="adamw", seed=0,
    )  # fmt: skip
    return SimpleNamespace(**(fields | changes))


class Tiny(nn.Module):
    """A table, a matrix and a norm; the head is tied to the table."""

    def __init__(self, V=5, C=3):
        super().__init__()
        self.token = nn.Embedding(V, C)
        self.mix = nn.Linear(C, C)
        self.norm = nn.LayerNorm(C)
        self.head = nn.Linear(C, V, bias=False)
        self.head.weight = self.token.weight

    def forward(self, idx):
        return self.head(self.norm(self.mix(self.token(idx))))


def tiny(seed):
    torch.manual_seed(seed)
    return Tiny()


def check_groups(t):
    model = tiny(t.seed)
    names = {id(p): name for name, p in model.named_parameters()}
    given = "a model with token.weight, mix and norm, head tied to token"
    got = t.call(t.answer, model, 0.3, given=given, dice=True)
    held = [group["params"] for group in got]
    kinds = [type(x).__name__ for x in held]
    t.true(
        not any(iter(x) is x for x in held),
        "the groups can be gone through more than once",
        "a generator is empty after one pass, and from then on nothing "
        "decays: make lists",
        given=given, expected="two lists", got=" and ".join(kinds),
    )  # fmt: skip
    shrink, keep = (
        sorted(names.get(id(p), "?") for p in group["params"]) for group in got
    )
    matrices = ["mix.weight", "token.weight"]
    vectors = ["mix.bias", "norm.bias", "norm.weight"]
    mistakes = {
        "the groups are exchanged: matrices shrink": vectors,
        "everything shrinks, gains and biases too: only what has two or more "
        "dimensions": sorted(matrices + vectors),
        "nothing shrinks": [],
        "the gains of norms have one dimension, although they are called "
        "weight: go by dim()": sorted([*matrices, "norm.weight"]),
        "a tied weight is in the list twice": sorted(
            [*matrices, "token.weight"]
        ),
        "the embedding shrinks too: it has two dimensions": ["mix.weight"],
    }
    t.same(shrink, matrices, "matrices and embeddings shrink, each once",
           given=given, mistakes=mistakes)  # fmt: skip
    t.same(keep, vectors, "gains and biases do not", given=given)


def check_rate(t):
    top = 1.0 if t.seed == 1 else 1.0 + t.seed % 7
    r = recipe(lr=top)
    given = (
        f"max_steps 10, warmup_steps 2, lr {top:g}, min_lr 0.1: steps 2 … 10"
    )
    got = [t.call(t.answer, step, r, given=given) for step in range(2, 11)]

    def curve(function):
        return [float(function(step)) for step in range(2, 11)]

    def cosine(done, floor=0.1):
        return floor + (top - floor) * (1 + math.cos(math.pi * done)) / 2

    t.same(
        [float(x) for x in got],
        curve(lambda s: cosine((s - 2) / 8)),
        "half a cosine from lr to min_lr",
        given=given,
        mistakes={
            "the way down begins at step 0: warmup ends at r.warmup_steps": (
                curve(lambda s: cosine(s / 10))
            ),
            "it goes down for r.max_steps steps, but warmup took some": curve(
                lambda s: cosine((s - 2) / 10)
            ),
            "this is a straight line: half a cosine": curve(
                lambda s: top + (0.1 - top) * (s - 2) / 8
            ),
            "it goes down to 0, not to min_lr": curve(
                lambda s: cosine((s - 2) / 8, 0)
            ),
            "it goes up: cos(0) is 1, and that is lr": curve(
                lambda s: 0.1 + (top - 0.1)
                * (1 - math.cos(math.pi * (s - 2) / 8)) / 2
            ),
            "a whole cosine comes back up: half of one, cos(π · done)": curve(
                lambda s: cosine((s - 2) / 4)
            ),
            "min_lr was added on top: the first value is too high": curve(
                lambda s: 0.1 + top
                * (1 + math.cos(math.pi * (s - 2) / 8)) / 2
            ),
        },
    )  # fmt: skip
    line = recipe(lr=top, decay="linear")
    t.same(
        [
            float(t.call(t.answer, step, line, given=given))
            for step in range(2, 11)
        ],
        curve(lambda s: top + (0.1 - top) * (s - 2) / 8),
        "a straight line where decay is linear",
        given=given + ', decay "linear"',
        mistakes={
            "this is the cosine again: r.decay says which way down": curve(
                lambda s: cosine((s - 2) / 8)
            ),
        },
    )
    short = recipe(max_steps=2, warmup_steps=2, lr=top)
    given = "max_steps 2, warmup_steps 2: no step is left for the way down"
    got = t.call(
        t.answer, 2, short, given=given,
        errors={"ZeroDivisionError": "with no steps after the warmup it "
                "divides by 0: max(1, …)"},
    )  # fmt: skip
    t.same(float(got), top, "no way down is no error", given=given)


def check_accumulate(t):
    x = torch.tensor([[0, 1, 2], [3, 4, 0]])
    y = torch.tensor([[1, 2, 3], [4, -100, -100]])
    batches = [(x[:1], y[:1]), (x[1:], y[1:])]
    given = "two micro-batches, with 3 targets and with 1"

    def loss(model, x, y):
        return F.cross_entropy(
            model(x).flatten(0, 1), y.flatten(), ignore_index=-100
        )

    def total(*weights):
        model = tiny(t.seed)
        parts = zip(weights, batches, strict=True)
        value = sum(w * loss(model, *b) for w, b in parts)
        value.backward()
        return value.detach(), model.token.weight.grad.clone()

    model = tiny(t.seed)
    got = t.call(
        t.answer, model, batches, given=given, dice=True,
        errors={"second time": "backward is called below: only weigh the loss"},
    )  # fmt: skip
    grad = model.token.weight.grad
    t.same(
        (torch.as_tensor(got).detach(), grad),
        total(3 / 4, 1 / 4),
        "loss and gradient of one large batch",
        given=given,
        mistakes={
            "every micro-batch counts the same: weigh by its targets": (
                total(1 / 2, 1 / 2)
            ),
            "the losses are added up: the gradient grows with the number of "
            "micro-batches": total(1, 1),
            "the loss is multiplied by the number of targets: divide by all "
            "of them": total(3, 1),
            "the weights are upside down: a share is count / sum(counts)": (
                total(4 / 3, 4)
            ),
            "padding is counted as targets, by the size of y": total(0.5, 0.5),
        },
    )


def check_step(t):
    x, y = torch.tensor([[0, 1, 2]]), torch.tensor([[1, 2, 3]])
    clip = 0.01 if t.seed == 1 else 0.02 + t.seed % 5 / 100

    def moved(change):
        model = tiny(t.seed)
        sgd = torch.optim.SGD(model.parameters(), lr=0.5)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        length = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
        change(model)
        sgd.step()
        return model.token.weight.detach(), length.item()

    def by_norm(limit):
        return lambda m: nn.utils.clip_grad_norm_(m.parameters(), limit)

    def by_value(m):
        nn.utils.clip_grad_value_(m.parameters(), clip)

    def each(m):
        for p in m.parameters():
            nn.utils.clip_grad_norm_([p], clip)

    model = tiny(t.seed)
    sgd = torch.optim.SGD(model.parameters(), lr=9.0)
    given = f"one step with lr 0.5, grad_clip {clip:g}"
    got = t.call(
        t.answer, model, sgd, [(x, y)], recipe(grad_clip=clip), lr=0.5,
        given=given, dice=True,
        errors={
            "isfinite": "norm must be a tensor: what clip_grad_norm_ returns",
            "has no attribute 'item'": "norm must be a tensor, the length "
            "before clipping",
            "UnboundLocalError": "norm must get a value: what clip_grad_norm_ "
            "returns",
        },
    )  # fmt: skip
    want, length = moved(by_norm(clip))
    t.same(
        model.token.weight.detach(), want,
        "the step is taken along a gradient of limited length", given=given,
        mistakes={
            "the gradient is not clipped": moved(lambda m: None)[0],
            "each number is clipped alone, which turns the gradient: clip its "
            "length": moved(by_value)[0],
            "the limit is 1, not recipe.grad_clip": moved(by_norm(1.0))[0],
            "each parameter is clipped alone: one length for all": (
                moved(each)[0]
            ),
        },
    )  # fmt: skip
    t.same(
        float(got[1]), length, "and its length before clipping is told",
        given=given,
        mistakes={
            "this is the length after clipping: clip_grad_norm_ returns the "
            "one before": float(min(clip, length)),
        },
    )  # fmt: skip


TWO = (
    "matrices = [p for p in model.parameters() if p.dim() {}]\n"
    "vectors = [p for p in model.parameters() if p.dim() {}]"
)
DONE = """done = (step - r.warmup_steps) / max(1, r.max_steps - r.warmup_steps)
"""
COS = "(1 + math.cos(math.pi * done)) / 2"
DOWN = f"""left = {COS}
if r.decay == "linear":
    left = 1 - done
return r.min_lr + (r.lr - r.min_lr) * left"""

EXERCISES = [
    Exercise(
        "train.parameter_groups",
        "parameter_groups",
        check_groups,
        (
            "A matrix has two dimensions, a gain or a bias one: p.dim().",
            "Two lists over model.parameters(), which has a tied weight once.",
        ),
        right=(
            "matrices, vectors = [], []\nfor p in model.parameters():\n"
            "    (matrices if p.ndim > 1 else vectors).append(p)",
        ),
        wrong=(
            (TWO.format("< 2", ">= 2"), "exchanged"),
            (
                "matrices, vectors = list(model.parameters()), []",
                "everything shrinks",
            ),
            (
                "named = dict(model.named_parameters())\n"
                'matrices = [p for n, p in named.items() if "weight" in n]\n'
                'vectors = [p for n, p in named.items() if "bias" in n]',
                "go by dim()",
            ),
            (TWO.format("> 2", "<= 2"), "nothing shrinks"),
            (
                "matrices = (p for p in model.parameters() if p.dim() >= 2)\n"
                "vectors = (p for p in model.parameters() if p.dim() < 2)",
                "nothing decays",
            ),
        ),
    ),
    Exercise(
        "train.learning_rate",
        "learning_rate",
        check_rate,
        (
            "First how much of the way down is done, from 0 to 1; then how "
            "much is left: half a cosine of it, or 1 - done.",
            "(1 + cos(π · done)) / 2 goes from 1 to 0; stretch that from r.lr "
            "to r.min_lr.",
        ),
        right=(
            "left = 1 - (step - r.warmup_steps) / "
            "max(1, r.max_steps - r.warmup_steps)\n"
            'if r.decay != "linear":\n'
            "    left = math.sin(math.pi / 2 * left) ** 2\n"
            "return r.min_lr + (r.lr - r.min_lr) * left",
        ),
        wrong=(
            ("done = step / r.max_steps\n" + DOWN, "begins at step 0"),
            (
                "done = (step - r.warmup_steps) / r.max_steps\n" + DOWN,
                "warmup took some",
            ),
            (DONE + f"return r.lr * {COS}", "down to 0"),
            (
                DONE + "return r.lr + (r.min_lr - r.lr) * done",
                "straight line: half a cosine",
            ),
            (
                DONE + f"return r.min_lr + (r.lr - r.min_lr) * {COS}",
                "the cosine again",
            ),
            (
                "done = (step - r.warmup_steps) / "
                "(r.max_steps - r.warmup_steps)\n" + DOWN,
                "divides by 0",
            ),
            (DONE + f"return r.min_lr + r.lr * {COS}", "too high"),
        ),
        core=True,
    ),
    Exercise(
        "train.accumulate",
        "accumulate",
        check_accumulate,
        (
            "A micro-batch with three quarters of the targets has three "
            "quarters of the say.",
            "Multiply its loss, a mean, by count / sum(counts).",
        ),
        right=("loss = loss * count / torch.stack(counts).sum()",),
        wrong=(
            ("loss = loss / len(batches)", "counts the same"),
            ("pass", "added up"),
            ("loss = loss * count", "by the number of targets"),
            ("loss = loss * sum(counts) / count", "upside down"),
        ),
        core=True,
    ),
    Exercise(
        "train.train_step",
        "train_step",
        check_step,
        (
            "nn.utils has a function that limits the length of a gradient.",
            "nn.utils.clip_grad_norm_(parameters, limit) returns the length "
            "before.",
        ),
        right=(
            "norm = nn.utils.get_total_norm(\n"
            "    [p.grad for p in model.parameters()])\n"
            "nn.utils.clip_grads_with_norm_(\n"
            "    model.parameters(), recipe.grad_clip, norm)",
        ),
        wrong=(
            (
                "norm = nn.utils.get_total_norm(\n"
                "    [p.grad for p in model.parameters()])",
                "is not clipped",
            ),
            (
                "norm = nn.utils.get_total_norm(\n"
                "    [p.grad for p in model.parameters()])\n"
                "nn.utils.clip_grad_value_(model.parameters(), recipe.grad_clip)",
                "turns the gradient",
            ),
            (
                "norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
                "not recipe.grad_clip",
            ),
            (
                "nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)\n"
                "norm = nn.utils.get_total_norm(\n"
                "    [p.grad for p in model.parameters()])",
                "after clipping",
            ),
        ),
    ),
    Question(
        "train.predict-batch",
        4,
        "the gradient is that of one batch of 32 windows: 4 micro-batches",
        (
            "How many windows enter one step, and how many fit at once?",
            "batch_size divided by micro_batch_size.",
        ),
        wrong={
            8: "that is micro_batch_size, the windows in each",
            32: "that is batch_size, the windows of a step",
            256: "the product: a step uses 32 windows, not more",
        },
    ),
    Question(
        "train.predict-warmup",
        0.5,
        "the warmup is linear: step 49 is the fiftieth of a hundred",
        (
            "Steps count from 0, and the learning rate at step t is "
            "(t + 1) / warmup_steps of lr.",
            "Which part of lr is reached after 50 of 100 steps?",
        ),
        wrong={
            0.49: "steps count from 0, so step 49 is the fiftieth",
            1: "that is reached at the end of the warmup, at step 99",
            0.05: "the steps of the whole run do not matter during warmup",
        },
        within=0.001,
    ),
]
