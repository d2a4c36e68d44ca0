"""Chapter 9: what its exercises expect."""

import torch

from minigpt.course.exercises import Case, Edit, Exercise, Question

MODEL = """
model = nn.Sequential(
    nn.Embedding(6, 3), nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 6))
model[3].weight = model[0].weight  # tied
model = fill(model)
"""
BATCHES = MODEL + """
batches = [(torch.randint(6, (1, 4)), torch.tensor([[3, -100, -100, -100]])),
           (torch.randint(6, (2, 4)), torch.randint(6, (2, 4)))]
"""  # fmt: skip
STEP = BATCHES + """
sgd = torch.optim.SGD(parameter_groups(model, 0.1), lr=9.0)
r = Recipe(grad_clip={}, bf16={})
"""  # fmt: skip
WIDE = STEP.format(99.0, False)  # grad_clip changes nothing
TAKE = "train_step(model, sgd, batches, r, lr=0.5)"
MOVED = f"({TAKE}, weights(model))[1]"
RUN = """
model = nn.Sequential(nn.Embedding(6, 4), nn.Dropout(0.5), nn.Linear(4, 6))
model = fill(model.eval())
ids = torch.randint(6, (50,))
r = Recipe(max_steps={}, warmup_steps=1, seed={}, lr=0.1, min_lr=0.01,
           batch_size=7, micro_batch_size=3)
"""
LOG = "logged(train, model, ids, r)"
RATES = "\n[float(learning_rate(step, r)) for step in range(2, 11)]"
TWO = ("matrices = [p for p in model.parameters() if p.dim() {}]\n"
       "vectors = [p for p in model.parameters() if p.dim() {}]")  # fmt: skip
DONE = "(step - r.warmup_steps) / max(1, r.max_steps - r.warmup_steps)"
LINE = 'if r.decay == "linear":\n    left = 1 - done\n'
DOWN = "return r.min_lr + (r.lr - r.min_lr) * left"
GROUPS = "for group in optimizer.param_groups:\n    group"
SUM = "accumulate(model, batches, bf16=recipe.bf16)"
CLIP = "norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)"
NORM = ("norm = nn.utils.get_total_norm("
        "[p.grad for p in model.parameters()])\n")  # fmt: skip
EACH = NORM + "for p in model.parameters():\n    "
TEST = ("if not torch.isfinite(norm):\n    raise FloatingPointError("
        'f"loss is {loss:.3g}, gradient {norm:.3g}")\n')  # fmt: skip
SEED = "torch.manual_seed(step_seed(recipe.seed, step))"
BATCH = "step_batches(ids, step, recipe, block_size=block_size)"
CALL = "    if callback:\n        callback"


def shapes(groups):
    return [sorted(tuple(p.shape) for p in g["params"]) for g in groups]


def logged(train, *args):
    """What `train` tells its callback, step by step."""
    log = []
    train(*args, block_size=5, callback=lambda *told: log.append(told))
    return log


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


EXERCISES = [
    Exercise(
        "train.parameter_groups",
        "parameter_groups",
        cases=(
            Case("matrices shrink, a tied one once; gains and biases do not",
                 MODEL + "shapes(parameter_groups(model, 0.3))"),
            Case("AdamW takes them; embeddings and three dimensions shrink", """
                V, C = number(4, 9), number(2, 3)
                model = nn.Sequential(
                    nn.Embedding(V, C), nn.Conv1d(C, C, 5), nn.Linear(C, V))
                optimizer = torch.optim.AdamW(parameter_groups(model, 0.3))
                shapes(optimizer.param_groups)"""),
            Case("the groups can be gone through twice", MODEL
                 + "[shapes(x) for x in 2 * [parameter_groups(model, 0.3)]]"),
        ),
        hints=(
            "A matrix has two dimensions, a gain or a bias one: p.dim().",
            "Two lists over model.parameters(), which has a tied weight once.",
        ),
        right=(
            "matrices, vectors = [], []\nfor p in model.parameters():\n"
            "    (matrices if p.ndim > 1 else vectors).append(p)",
        ),
        wrong=(
            (TWO.format("< 2", ">= 2"),
             "the groups are exchanged: matrices shrink"),
            ("matrices, vectors = list(model.parameters()), []",
             "everything shrinks, gains and biases too: only what has two or "
             "more dimensions should"),
            (TWO.format("> 2", "<= 2"),
             "nothing shrinks: a matrix has exactly two dimensions"),
            ("named = dict(model.named_parameters())\n"
             'matrices = [p for n, p in named.items() if "weight" in n]\n'
             'vectors = [p for n, p in named.items() if "bias" in n]',
             "the gains of norms have one dimension, although they are called "
             "weight: go by dim()"),
            ("every = [p for m in model for p in m.parameters()]\n"
             "matrices = [p for p in every if p.dim() >= 2]\n"
             "vectors = [p for p in every if p.dim() < 2]",
             "a tied weight is in the list twice: model.parameters()"),
            ("matrices = [m.weight for m in model if isinstance(m, nn.Linear)"
             "]\nvectors = [p for p in model.parameters() if p.dim() < 2]",
             "the embedding shrinks too: it has two dimensions"),
            ("matrices = [p for p in model.parameters() if p.dim() >= 2]\n"
             "vectors = [p for p in model.parameters() if p not in matrices]",
             "`in` compares the numbers of tensors: go by dim() here too"),
            ("matrices = {p for p in model.parameters() if p.dim() >= 2}\n"
             "vectors = set(model.parameters()) - matrices",
             "a set has no order, and optimizers need one: make lists"),
            (TWO.replace("[", "(").replace("]", ")").format(">= 2", "< 2"),
             "a generator is empty after one pass, and from then on nothing "
             "decays: make lists"),
        ),
    ),
    Exercise(
        "train.learning_rate",
        "learning_rate",
        cases=(
            Case("half a cosine from lr to min_lr", "r = Recipe(max_steps=10, "
                 "warmup_steps=2, lr=1.0, min_lr=0.1)" + RATES),
            Case("a straight line where decay is linear",
                 "r = Recipe(max_steps=10, warmup_steps=2, lr=1.0, "
                 'min_lr=0.1, decay="linear")' + RATES),
            Case("the same holds for any recipe",
                 "first, last = number(0, 2), number(11, 20)\n"
                 "low, high = number(0, 4) / 100, number(5, 9) / 100\n"
                 "r = Recipe(max_steps=last, warmup_steps=first, lr=high, "
                 "min_lr=low)" + RATES),
            Case("if no step is left for the way down, the result is lr",
                 "r = Recipe(max_steps=2, warmup_steps=2, lr=1.0)\n"
                 "float(learning_rate(2, r))"),
        ),
        hints=(
            "First how much of the way down is done, from 0 to 1; then how "
            "much is left: half a cosine of it, or 1 - done.",
            "(1 + cos(π · done)) / 2 goes from 1 to 0; stretch that from r.lr "
            "to r.min_lr.",
        ),
        right=(
            "left = 1 - (step - r.warmup_steps) / "
            "max(1, r.max_steps - r.warmup_steps)\n"
            'if r.decay != "linear":\n'
            "    left = math.sin(math.pi / 2 * left) ** 2\n" + DOWN,
        ),
        wrong=(
            (Edit(DONE, "step / r.max_steps"),
             "the way down begins at step 0: warmup ends at r.warmup_steps"),
            (Edit(DONE, "(step - r.warmup_steps) / r.max_steps"),
             "it goes down for r.max_steps steps, but warmup took some"),
            (Edit(DONE, DONE.replace("max(1, ", "(")),
             "with no steps after the warmup it divides by 0: max(1, …)"),
            (Edit(LINE, "left = 1 - done\n"),
             "this is a straight line: half a cosine"),
            (Edit(LINE, ""),
             "this is the cosine again: r.decay says which way down"),
            (Edit("left = 1 - done", "left = done"),
             "the line goes up: what is left is 1 - done"),
            (Edit("1 + math.cos", "1 - math.cos"),
             "it goes up: cos(0) is 1, and that is lr"),
            (Edit("math.pi * done", "2 * math.pi * done"),
             "a whole cosine comes back up: half of one, cos(π · done)"),
            (Edit(DOWN, "return r.lr * left"),
             "it goes down to 0, not to min_lr"),
            (Edit(DOWN, "return r.min_lr + r.lr * left"),
             "min_lr was added on top: the first value is too high"),
        ),
        core=True,
    ),
    Exercise(
        "train.accumulate",
        "accumulate",
        cases=(
            Case("loss and gradient of one large batch", BATCHES
                 + "accumulate(model, batches), model[0].weight.grad"),
            Case("three micro-batches work too", BATCHES
                 + "batches.append(tuple(torch.randint(6, (2, 3, 4))))\n"
                 "accumulate(model, batches), model[0].weight.grad"),
        ),
        hints=(
            "A micro-batch with three quarters of the targets has three "
            "quarters of the say.",
            "Multiply its loss, a mean, by count / sum(counts).",
        ),
        right=("loss = loss * count / torch.stack(counts).sum()",),
        wrong=(
            ("loss = loss / len(batches)",
             "every micro-batch counts the same: weigh by its targets"),
            ("pass", "the losses are added up: the gradient grows with the "
             "number of micro-batches"),
            ("loss = loss * count", "the loss is multiplied by the number of "
             "targets: divide by all of them"),
            ("loss = loss * sum(counts) / count",
             "the weights are upside down: a share is count / sum(counts)"),
            ("loss = loss * y.numel() / sum(y.numel() for _, y in batches)",
             "padding is counted as targets, by the size of y"),
            ("loss = loss * count / y.numel()",
             "this is the share of real targets in one micro-batch: divide by "
             "the targets of all, sum(counts)"),
            ("loss = loss.item() * count / sum(counts)",
             "a number has no gradient: `loss` must stay the tensor it is"),
            ("loss = loss * count / sum(counts)\nloss.backward()",
             "backward is called below: only weigh the loss"),
        ),
        core=True,
    ),
    Exercise(
        "train.train_step",
        "train_step",
        cases=(
            Case("loss and length of the gradient are returned, as floats",
                 WIDE + TAKE),
            Case("every weight moves by lr times its gradient",
                 WIDE + MOVED),
            Case("the next step has a new gradient",
                 WIDE + TAKE + "\n" + MOVED),
            Case("a long gradient is shortened to grad_clip",
                 "limit = number(1, 5) / 100\n"
                 + STEP.format("limit", False) + MOVED),
            Case("its length before that is returned",
                 STEP.format(0.01, False) + TAKE),
            Case("a recipe with bf16 computes in bfloat16",
                 STEP.format(99.0, True) + TAKE),
            Case("a gradient that is not finite raises FloatingPointError",
                 WIDE + "model[3].bias.register_hook(lambda grad: grad + "
                 "torch.inf)\n" + TAKE),
            Case("and the weights stay as they were", WIDE
                 + "model[3].bias.data[0] = torch.inf\n"
                 "import contextlib\nwith contextlib.suppress("
                 f"FloatingPointError):\n    {TAKE}\nweights(model)"),
        ),
        hints=(
            "Five parts: the learning rate, zero_grad, accumulate, a limit "
            "on the length, step. What must come before what?",
            "norm = nn.utils.clip_grad_norm_(model.parameters(), "
            "recipe.grad_clip) limits it, and is the length before.",
        ),
        right=(
            "optimizer.zero_grad()\nmean = " + SUM + "\n" + NORM
            + "if not norm.isfinite():\n    raise FloatingPointError\n"
            "nn.utils.clip_grads_with_norm_(\n"
            "    model.parameters(), recipe.grad_clip, norm)\n"
            "for group in optimizer.param_groups:\n    group.update(lr=lr)\n"
            "optimizer.step()\nreturn float(mean), float(norm)",
        ),
        wrong=(
            (Edit(GROUPS + '["lr"] = lr\n', ""),
             "the learning rate of the step is not used: lr"),
            (Edit(GROUPS, "optimizer.param_groups[0]"),
             "only the first group gets the learning rate: all of them"),
            (Edit('group["lr"] = lr', 'group["lr"] = recipe.lr'),
             "this is the highest learning rate of the run: the step's is lr"),
            (Edit("optimizer.zero_grad()", ""),
             "the gradient of the step before is still there: zero_grad"),
            (Edit("optimizer.zero_grad()\nloss = " + SUM,
                  "loss = " + SUM + "\noptimizer.zero_grad()"),
             "the new gradient is cleared: zero_grad before accumulate"),
            (Edit(SUM, SUM + "\nloss.backward()"),
             "accumulate has called backward: the gradients are there"),
            (Edit(SUM, "accumulate(model, batches)"),
             "bf16 is left out: accumulate needs bf16=recipe.bf16"),
            (Edit(CLIP, NORM), "the gradient is not clipped"),
            (Edit(CLIP, NORM + "nn.utils.clip_grad_value_("
                  "model.parameters(), recipe.grad_clip)"),
             "each number is clipped alone, which turns the gradient: clip "
             "its length"),
            (Edit(CLIP, EACH + "nn.utils.clip_grad_norm_(p, "
                  "recipe.grad_clip)"),
             "each parameter is clipped alone: one length for all"),
            (Edit(CLIP, EACH + "p.grad *= recipe.grad_clip / norm"),
             "a short gradient became longer: only shorten what is too long"),
            (Edit("recipe.grad_clip", "1.0"),
             "the limit is 1, not recipe.grad_clip"),
            (Edit(CLIP, CLIP.replace("norm = ", "") + "\n" + NORM),
             "this is the length after clipping: clip_grad_norm_ returns the "
             "one before"),
            (Edit("norm = nn", "nn"),
             "norm must get a value: what clip_grad_norm_ returns"),
            (Edit(CLIP, CLIP + ".item()"),
             "isfinite takes a tensor: norm becomes a float only at the end"),
            (Edit("optimizer.step()\n", ""),
             "the weights did not move: optimizer.step"),
            (Edit(TEST + "optimizer.step()\n", "optimizer.step()\n" + TEST),
             "the weights have moved before the error: test the length first"),
            (Edit("isfinite(norm)", "isfinite(loss)"),
             "a loss can be finite where the gradient is not: test norm"),
            (Edit(TEST, ""), "a gradient that is not finite must stop the "
             "step: FloatingPointError"),
            (Edit("loss.item(), norm.item()", "loss, norm"),
             "loss and length are tensors: floats are asked for, item()"),
        ),
        core=True,
    ),
    Exercise(
        "train.train",
        "train",
        cases=(
            Case("steps count from 0, and each has its learning rate",
                 RUN.format(3, 0) + f"[(x[0], x[2]) for x in {LOG}]"),
            Case("the first loss is that in training mode, with the dropout "
                 "that step_seed gives", RUN.format(1, 0) + f"{LOG}[0][1]"),
            Case("the callback gets step, loss, learning rate, length",
                 RUN.format(1, 0) + LOG),
            Case("each step continues where the one before it ended",
                 "steps = number(5, 8)\n" + RUN.format("steps", 0) + LOG),
            Case("another seed makes another run",
                 "seed = number(1, 99)\n" + RUN.format(2, "seed") + LOG),
            Case("the model is also trained without a callback",
                 RUN.format(3, 0)
                 + "(train(model, ids, r, block_size=5), weights(model))[1]"),
        ),
        hints=(
            "What is made once, and what in each step? An optimizer remembers "
            "the steps before.",
            "In each step, in this order: torch.manual_seed, learning_rate, "
            "step_batches, train_step, callback.",
        ),
        right=(
            "optimizer = make_optimizer(model, recipe)\nstep = 0\n"
            "while step < recipe.max_steps:\n    model.train()\n"
            "    batches = " + BATCH + "\n"
            "    rate = learning_rate(step, recipe)\n    " + SEED + "\n"
            "    told = train_step(\n"
            "        model, optimizer, batches, recipe, lr=rate)\n"
            "    (callback or print)(step, told[0], rate, told[1])\n"
            "    step += 1",
        ),
        wrong=(
            (Edit("make_optimizer(model, recipe)",
                  "torch.optim.AdamW(model.parameters(), lr=recipe.lr)"),
             "the recipe names the optimizer: make_optimizer"),
            (Edit(SEED, SEED + "\n    optimizer = make_optimizer(model, "
                  "recipe)"),
             "a new optimizer in every step forgets its running means: make "
             "it once, before the loop"),
            (Edit("model.train()\n", ""),
             "there is no dropout in evaluation mode: model.train()"),
            (Edit("recipe.max_steps", "recipe.max_steps + 1"),
             "this is one step too many"),
            (Edit("recipe.max_steps", "1, recipe.max_steps + 1"),
             "steps count from 0"),
            (Edit(SEED, "pass"),
             "the dropout depends on what was drawn before: seed each step"),
            (Edit(SEED, "torch.manual_seed(recipe.seed)"),
             "every step has the same dropout: step_seed counts the steps in"),
            (Edit(SEED, "torch.manual_seed(step)"),
             "the recipe's seed does not change the dropout: step_seed"),
            (Edit("learning_rate(step, recipe)", "recipe.lr"),
             "the learning rate never changes: learning_rate has the step's"),
            (Edit("learning_rate(step", "learning_rate(step + 1"),
             "this is the learning rate of the next step"),
            (Edit(BATCH, BATCH.replace("step,", "0,")),
             "every step sees the same batch: step_batches needs the step"),
            (Edit(", block_size=block_size", ""),
             "step_batches needs block_size too"),
            (Edit("    batches = ", "    x, y = "),
             "step_batches gives a list of micro-batches, as many as the "
             "recipe asks for: do not unpack it"),
            (Edit("loss, norm = train_step(model, optimizer, batches",
                  "for b in batches:\n        loss, norm = train_step("
                  "model, optimizer, [b]"),
             "each micro-batch took a step of its own: hand train_step all "
             "of them"),
            (Edit("step, loss, lr, norm", "step, loss, norm, lr"),
             "the callback gets step, loss, lr, norm, in this order"),
            (Edit(CALL, "if callback:\n    callback"),
             "the callback is called once, after the run: call it in the "
             "loop"),
            (Edit(CALL, "    callback"),
             "without a callback there is nothing to call: if callback"),
        ),
        core=True,
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
]  # fmt: skip
