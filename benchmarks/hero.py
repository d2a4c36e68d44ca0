"""What the front page shows before anything is loaded: the model, recorded.

    python benchmarks/hero.py

Writes notebooks/results/hero.json from the first model of the playground: how
it writes three texts, and the numbers of the six small figures. Run it again
when the model changes, and choose the seeds of the texts again: these three are
the best of twelve each.
"""

import hashlib
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from common import RESULTS, save, today, versions

from minigpt.gpt import GPTConfig, count_parameters
from minigpt.lens import logit_lens, record_attention
from minigpt.run.log import read as read_log
from minigpt.run.models import load_model
from minigpt.run.probes import PROMPTS, open_probes
from minigpt.sample import Sampling, generate, temperature

sys.path.append(str(Path(__file__).parents[1] / "book" / "ext"))

from minigpt_book.playground import shipped  # noqa: E402

TAKES = (  # the beginning of a text, and the seed that continues it
    ("We must not forget that", 5),
    ("The state of the Union is", 11),
    ("We will not rest until every child in America has", 2),
)
SAMPLING = Sampling(temperature=0.7, top_p=0.9)
LONGEST = 28  # tokens that are written, of which whole sentences are kept
MOST = 5  # candidates that are shown, and the one that was drawn
ARCS = 3  # heads that are drawn as arcs
LEVELS = 7  # an attention weight is a digit: its root, rounded


@dataclass(frozen=True)
class Options:
    """What is recorded."""

    model: Path = shipped()[0]
    """The folder of the model that the playground offers first."""


def written(model, tokenizer, prompt, seed):
    """How many ids the prompt has, and the ids of the whole sentences."""
    start = tokenizer.encode(prompt)
    new = generate(
        model,
        torch.tensor([start]),
        n=LONGEST,
        sampling=SAMPLING,
        generator=torch.Generator().manual_seed(seed),
    )
    ids = start + [i.item() for i, _ in new]
    ends = [i for i, x in enumerate(ids) if tokenizer.decode([x]) == "."]
    if not ends:
        raise SystemExit(f"seed {seed} ends no sentence after {prompt!r}")
    return len(start), ids[: ends[-1] + 1]


def take(model, tokenizer, prompt, seed):
    """One text, and for each place what the model saw and expected there."""
    given, ids = written(model, tokenizer, prompt, seed)
    names = [tokenizer.decode([i]) for i in ids]
    idx = torch.tensor([ids])
    with torch.no_grad():
        probs = model(idx)[0].softmax(-1)
    weights = record_attention(model, idx)[:, 0].flatten(0, 1)  # (L * H, T, T)
    steps = []
    for place in range(given - 1, len(ids)):
        drawn = ids[place + 1] if place + 1 < len(ids) else None
        best = probs[place].topk(MOST).indices.tolist()
        if drawn is not None and drawn not in best:
            best.append(drawn)
        rows = (LEVELS * weights[:, place, : place + 1].sqrt()).round().int()
        steps.append(
            {
                "texts": [tokenizer.decode([i]) for i in best],
                "permille": [
                    round(1000 * probs[place, i].item()) for i in best
                ],
                "rows": "".join(str(x) for x in rows.flatten().tolist()),
            }
        )
    record = {"tokens": names, "given": given, "seed": seed, "steps": steps}
    return record, weights[:, given - 1 :]


def arc_heads(takes):
    """The heads that read most from one token that is not close by.

    Neither the first token counts, on which heads rest that find nothing, nor
    the last two.
    """
    score = 0
    for weights in takes:  # (L * H, steps, T)
        far = weights.clone()
        far[:, :, 0] = 0
        n = weights.size(2) - weights.size(1)
        for row in range(weights.size(1)):
            far[:, row, max(0, n + row - 1) :] = 0
        score = score + far.amax(-1).mean(-1)
    return sorted(score.topk(ARCS).indices.tolist())


def merges(tokenizer, word=" government"):
    """Where the pieces of a word end, after each merge of chapter 1."""
    pieces = [c.encode() for c in word]
    found = [[len(p) for p in pieces]]
    while True:
        ranks = [
            tokenizer.ranks.get(a + b, math.inf)
            for a, b in zip(pieces, pieces[1:], strict=False)
        ]
        if not ranks or min(ranks) == math.inf:
            return {"word": word, "lengths": found}
        i = ranks.index(min(ranks))
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
        found.append([len(p) for p in pieces])


def attention(model, tokenizer, text="The bill passed because it"):
    """Every row of the head that reads "bill" most from the last word."""
    ids = tokenizer.encode(text)
    names = [tokenizer.decode([i]) for i in ids]
    weights = record_attention(model, torch.tensor([ids]))[:, 0].flatten(0, 1)
    head = weights[:, -1, names.index(" bill")].argmax()
    rows = (1000 * weights[head]).round().int().tolist()
    return {
        "tokens": names,
        "permille": [row[: i + 1] for i, row in enumerate(rows)],
    }


def learning(folder):
    """What the model wrote at some steps of its training, and its loss."""
    _, points = open_probes(folder / "probes.safetensors")
    evals = [x for x in read_log(folder / "log.jsonl") if x["kind"] == "eval"]
    prompt = list(points[0]["texts"])[-1]
    assert prompt == PROMPTS[-1]
    return {
        "prompt": prompt,
        "steps": [p["step"] for p in points],
        "texts": [p["texts"][prompt][len(prompt) :][:60] for p in points],
        "eval_steps": [x["step"] for x in evals],
        "eval_loss": [round(x["loss"], 3) for x in evals],
    }


@torch.no_grad()
def lens(model, tokenizer, text="The people of the United States have a"):
    """The likeliest next token before the blocks and after each."""
    idx = torch.tensor([tokenizer.encode(text)])
    best = logit_lens(model, idx)[:, 0, -1].softmax(-1).max(-1)
    return {
        "text": text,
        "texts": [tokenizer.decode([i]) for i in best.indices.tolist()],
        "permille": (1000 * best.values).round().int().tolist(),
    }


@torch.no_grad()
def sampling(model, tokenizer, text="We must"):
    """The likeliest next tokens at several temperatures."""
    logits = model(torch.tensor([tokenizer.encode(text)]))[0, -1]
    best = logits.topk(6).indices
    heats = [round(0.2 + 0.1 * i, 1) for i in range(14)]
    rows = [temperature(logits, t).softmax(-1)[best] for t in heats]
    return {
        "text": text,
        "texts": [tokenizer.decode([i]) for i in best.tolist()],
        "temperatures": heats,
        "permille": [(1000 * row).round().int().tolist() for row in rows],
    }


def scale(model):
    """Parameters of this model and of three known ones."""

    def gpt(**sizes):
        return count_parameters(GPTConfig(mlp="gelu_tanh", **sizes))

    return {
        "names": ["this course", "GPT-2 small", "GPT-2 XL", "GPT-3"],
        "parameters": [
            sum(p.numel() for p in model.parameters()),
            gpt(),
            gpt(n_layer=48, n_head=25, n_embd=1600),
            gpt(block_size=2048, n_layer=96, n_head=96, n_embd=12288),
        ],
    }


def main(options):
    torch.set_num_threads(1)
    model, tokenizer = load_model(options.model)
    weights = (options.model / "model.safetensors").read_bytes()
    takes = [take(model, tokenizer, *x) for x in TAKES]
    config = model.config
    record = {
        "command": "python benchmarks/hero.py",
        "date": today(),
        "versions": versions(),
        "model": options.model.name,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "parameters": sum(p.numel() for p in model.parameters()),
        "temperature": SAMPLING.temperature,
        "top_p": SAMPLING.top_p,
        "arcs": arc_heads([looks for _, looks in takes]),
        "takes": [found for found, _ in takes],
        "merge": merges(tokenizer),
        "attention": attention(model, tokenizer),
        "learning": learning(options.model),
        "lens": lens(model, tokenizer),
        "sampling": sampling(model, tokenizer),
        "scale": scale(model),
    }
    save(RESULTS / "hero.json", record)
    for found in record["takes"]:
        print("".join(found["tokens"]))
    size = len(json.dumps(record, separators=(",", ":")))
    print(f"{size / 1000:.1f} kB")


if __name__ == "__main__":
    main(tyro.cli(Options))
