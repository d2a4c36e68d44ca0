"""Does a model of the little world keep its stories straight?

    python benchmarks/world.py
    python benchmarks/world.py --model runs/world

Everything is measured on stories of the test part, whose combinations of
names, things and places no training story has. The model, a model of the same
shape with random weights, and 5-grams of the same tokens answer the same
cases and continue the same openings. A case is a choice between endings that
are all grammatical, and of which the story so far allows one; the ending with
the highest probability is the answer. Continuations are read sentence by
sentence by `minigpt.world.check`, which knows what is true by then.

Writes notebooks/results/world.json.
"""

import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from common import RESULTS, save, today, versions

import minigpt
from minigpt.bigram import WittenBell
from minigpt.cache import new_cache
from minigpt.data import pad
from minigpt.gpt import GPT
from minigpt.run.corpus import encode, end_token
from minigpt.run.models import load_model
from minigpt.sample import Sampling, generate
from minigpt.world import check, stories
from minigpt.world.language import Context, inflect
from minigpt.world.words import BOYS, NAMES, PAIRS, PLACES

ORDER = 5
BATCH = 50
PARTNERS = {"was": "were", "is": "are", "has": "have"}
PARTNERS |= {plural: single for single, plural in PARTNERS.items()}


@dataclass
class Arguments:
    """Measure a model on held-out stories of the little world."""

    model: Path = Path(minigpt.__file__).parent / "assets" / "world"
    """Folder of a run or of an exported model."""
    stories: int = 300
    """Stories to ask about, from the start of the test part."""
    openings: int = 150
    """Stories to continue from their middle."""
    tokens: int = 80
    """The most tokens of a continuation."""
    temperatures: tuple[float, ...] = (0.5, 1.0)
    training_stories: int = 20_000
    """Stories that the n-grams count."""
    seed: int = 0
    out: Path = RESULTS / "world.json"
    """Where the record goes."""


@dataclass(frozen=True)
class Case:
    """A beginning and its possible endings; the first one is right."""

    task: str
    prompt: str
    endings: tuple[str, ...]


# --- cases -------------------------------------------------------------------


def make_cases(tales, seed):
    """Stories -> cases of each task; singular and plural equally often."""
    rng = random.Random(seed)
    cases, verbs = [], []
    for tale in tales:
        cut = rng.randint(len(tale.sentences) // 2, len(tale.sentences))
        cases += state_cases(tale, " ".join(tale.sentences[:cut]))
        cases += pronoun_cases(tale)
        verbs += verb_cases(tale)
    singular = [
        c for c in verbs if c.endings[0].strip() in ("was", "is", "has")
    ]
    plural = [c for c in verbs if c not in singular]
    n = min(len(singular), len(plural), 200)
    return cases + rng.sample(singular, n) + rng.sample(plural, n)


def state_cases(tale, so_far):
    """Where a thing is, who has it, and how many someone has."""
    state = check(so_far).state
    for thing in tale.cast.things:
        where, place = state.where.get(thing), state.place_of(thing)
        be = inflect("be", tale.tense, thing in PAIRS)
        if place is not None:
            yield Case(
                "place of a thing",
                f"{so_far} Now the {thing} {be}",
                endings(place, tale.cast.places, inside),
            )
        if where in NAMES:
            yield Case(
                "holder of a thing",
                f"{so_far} Now the {thing} {be} in",
                endings(where, tale.cast.names, " {}'s hands.".format),
            )
    for name in tale.cast.names:
        if name in state.place:
            be = inflect("be", tale.tense, False)
            yield Case(
                "place of a person",
                f"{so_far} Meanwhile, {name} {be}",
                endings(state.place[name], tale.cast.places, inside),
            )


def inside(place):
    return f" {PLACES[place]} the {place}."


def endings(right, words, form):
    """The right word first, in the form of an ending, then the others."""
    others = [word for word in words if word != right]
    return tuple(form(word) for word in (right, *others))


def pronoun_cases(tale):
    """He or she, where the sentence before names people of one kind."""
    context = Context()
    for i, (event, sentence) in enumerate(zip(tale.events, tale.sentences)):
        first = sentence.split()[0]
        boys = {name in BOYS for name in context.people}
        if first in ("He", "She") and len(boys) == 1:
            other = "She" if first == "He" else "He"
            so_far = " ".join(tale.sentences[:i])
            yield Case("pronoun", so_far, (f" {first}", f" {other}"))
        context.after(dict(event.args))


def verb_cases(tale):
    """was or were, is or are, has or have, outside of what people say."""
    for i, sentence in enumerate(tale.sentences):
        found = re.search(r" (was|were|is|are|has|have)\b", sentence)
        if found and '"' not in sentence:
            so_far = [*tale.sentences[:i], sentence[: found.start()]]
            pair = (found[0], f" {PARTNERS[found[1]]}")
            yield Case("agreement of a verb", " ".join(so_far), pair)


# --- who answers -------------------------------------------------------------


class Neural:
    """A GPT that scores endings and continues openings."""

    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model.eval(), tokenizer
        self.end = end_token(tokenizer)

    def ids(self, text):
        return [self.end, *self.tokenizer.encode(text)]

    @torch.no_grad()
    def scores(self, case):
        """The log-probability of each ending."""
        prompt = self.ids(case.prompt)
        ends = [self.tokenizer.encode(text) for text in case.endings]
        rows = [prompt + end for end in ends]
        size = self.model.config.block_size
        x, mask = pad([row[-size - 1 : -1] for row in rows], self.end)
        logs = self.model(x).log_softmax(-1)  # (B, T, V)
        found = []
        for row, end, real in zip(logs, ends, mask.sum(1).tolist()):
            at = torch.arange(real - len(end), real)
            found.append(row[at, torch.tensor(end)].sum().item())
        return found

    def continuations(self, openings, n, temperature, seed):
        """Opening -> what follows, up to the end of the story."""
        generator = torch.Generator().manual_seed(seed)
        for start in range(0, len(openings), BATCH):
            rows = [self.ids(text) for text in openings[start : start + BATCH]]
            size = self.model.config.block_size
            idx, mask = pad([r[-size:] for r in rows], self.end, left=True)
            steps = generate(
                self.model,
                idx,
                n=min(n, size - idx.size(1)) or 1,
                sampling=Sampling(temperature=temperature),
                generator=generator,
                stop=(self.end,),
                mask=mask,
                cache=new_cache(self.model),
            )
            for row in torch.stack([new for new, _ in steps], 1).tolist():
                yield self.text(row)

    def text(self, ids):
        """Ids -> the text up to the end of the story, and if it was reached."""
        ended = self.end in ids
        ids = ids[: ids.index(self.end)] if ended else ids
        return self.tokenizer.decode(ids), ended


class Counting(Neural):
    """n-grams of the same tokens, which see four tokens back."""

    def __init__(self, counts, tokenizer):
        self.counts, self.tokenizer = counts, tokenizer
        self.end = end_token(tokenizer)

    def scores(self, case):
        before = ([self.end] * ORDER + self.ids(case.prompt))[1 - ORDER :]
        return [
            self.counts.log_probs(before + self.tokenizer.encode(text)).sum()
            for text in case.endings
        ]

    def continuations(self, openings, n, temperature, seed):
        rng = np.random.default_rng(seed)
        V = self.tokenizer.n_vocab
        for opening in openings:
            ids = [self.end] * ORDER + self.ids(opening)
            new = []
            while len(new) < n and self.end not in new:
                grams = np.empty((V, ORDER), dtype=np.int64)
                grams[:, :-1] = (ids + new)[1 - ORDER :]
                grams[:, -1] = np.arange(V)
                logs = self.counts.log_probs(grams.ravel())[::ORDER]
                p = np.exp(logs / temperature)
                new.append(int(rng.choice(V, p=p / p.sum())))
            yield self.text(new)


# --- measures ----------------------------------------------------------------


def accuracy(who, cases):
    """Cases of each task, and how many of them the likeliest ending solves."""
    table = {}
    for case in cases:
        scores = who.scores(case)
        row = table.setdefault(case.task, {"cases": 0, "right": 0, "chance": 0})
        row["cases"] += 1
        row["right"] += int(np.argmax(scores) == 0)
        row["chance"] += 1 / len(case.endings)
    return {
        task: {
            "cases": row["cases"],
            "accuracy": round(row["right"] / row["cases"], 4),
            "chance": round(row["chance"] / row["cases"], 4),
        }
        for task, row in table.items()
    }


def consistency(who, openings, a, temperature):
    """Sentences that follow the openings: of this world, and true or not.

    A last sentence that the limit of tokens cut off does not count.
    """
    new = unreadable = contradicting = 0
    written = who.continuations(openings, a.tokens, temperature, a.seed)
    for opening, (text, ended) in zip(openings, written):
        verdicts = check(opening + text).verdicts
        verdicts = verdicts[check(opening).sentences :]
        if not ended and not text.endswith((".", '"', "!", "?")):
            verdicts = verdicts[:-1]
        new += len(verdicts)
        unreadable += sum(v.event is None for v in verdicts)
        contradicting += sum(bool(v.contradiction) for v in verdicts)
    return {
        "temperature": temperature,
        "sentences": new,
        "unreadable": round(unreadable / max(new, 1), 4),
        "contradicting": round(contradicting / max(new, 1), 4),
    }


def contestants(a):
    """The model, one of the same shape that learned nothing, and 5-grams."""
    model, tokenizer = load_model(a.model)
    yield "trained", Neural(model, tokenizer)
    torch.manual_seed(a.seed)
    yield "untrained", Neural(GPT(model.config), tokenizer)
    tales = zip(stories("train"), range(a.training_stories))
    ids = np.array(encode(tokenizer, [tale.text for tale, _ in tales]))
    counts = WittenBell(ids, ORDER, tokenizer.n_vocab)
    yield f"{ORDER}-grams", Counting(counts, tokenizer)


def main(a):
    torch.set_num_threads(1)
    tales = [tale for tale, _ in zip(stories("test"), range(a.stories))]
    cases = make_cases(tales, a.seed)
    openings = [
        " ".join(tale.sentences[: len(tale.sentences) // 2])
        for tale in tales[: a.openings]
    ]
    measured = {}
    for name, who in contestants(a):
        measured[name] = {
            "choices": accuracy(who, cases),
            "continuations": [
                consistency(who, openings, a, t) for t in a.temperatures
            ],
        }
        print(name)
        for task, row in measured[name]["choices"].items():
            print(
                f"  {task:20} {row['accuracy']:7.1%} of {row['cases']}, "
                f"chance {row['chance']:.0%}"
            )
        for row in measured[name]["continuations"]:
            print(
                f"  temperature {row['temperature']}: {row['sentences']} "
                f"sentences, {row['contradicting']:.1%} contradict, "
                f"{row['unreadable']:.1%} unreadable",
                flush=True,
            )
    save(
        a.out,
        {
            "command": "python benchmarks/world.py",
            "date": today(),
            "versions": versions(),
            "stories": a.stories,
            "openings": a.openings,
            "tokens": a.tokens,
            "training_stories": a.training_stories,
            "seed": a.seed,
            "measured": measured,
        },
    )


if __name__ == "__main__":
    main(tyro.cli(Arguments))
