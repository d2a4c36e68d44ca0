"""Serving: each trick of chapter 21 beside what it replaces, in one run.

    python benchmarks/serving.py

Six parts: attention with and without its matrix (seconds and peak memory), a
shipped model in 8 to 2 bits (loss on test documents, size), the same packed
(speed), a draft that counts (accepted guesses, tokens a call, speed), a stream
of requests under three schedulers (calls, waiting, empty memory), and 64
clients at once at the endpoint. Everything runs on one thread, what is compared
takes turns, and seconds are those of the processor, not of the clock: so they
hold on a busy machine too. It takes about eight minutes.

The record goes to notebooks/results/serving.json; chapter 21 draws it. Each
part is written when it is done, and parts that are there are left alone: an
interrupted run goes on where it stopped. `--fresh` measures them again.
"""

import json
import math
import multiprocessing
import os
import resource
import statistics
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from common import (
    RESULTS,
    load_average,
    read,
    save,
    today,
    versions,
)

from minigpt import load_model, new_cache
from minigpt.attention import attention, causal_mask
from minigpt.bigram import WittenBell, bits_per_char, evaluate
from minigpt.data import load_text
from minigpt.run.server import Engine, running
from minigpt.sample import Sampling, generate
from minigpt.serving import (
    CountingDraft,
    Pool,
    Request,
    Scheduler,
    pack_model,
    round_model,
    speculate,
    tiled_attention,
)

PARTS = ("attention", "bits", "speed", "speculation", "batching", "server")
GREEDY = Sampling(temperature=0)
OPENINGS = (
    "My fellow citizens,", "The state of the Union is", "We must",
    "In the last year", "To the Congress of the United States:", "I ask you",
)  # fmt: skip
VARIANTS = (
    (8, None), (6, None), (4, None), (3, None), (2, None),
    (8, 32), (6, 32), (4, 32), (3, 32), (2, 32),
)  # fmt: skip


@dataclass
class Arguments:
    """Measure what chapter 21 builds."""

    parts: tuple[str, ...] = PARTS
    """What to measure; the record keeps its other parts."""
    fresh: bool = False
    """Measure parts again that the record already holds."""
    rounds: int = 3
    out: Path = RESULTS / "serving.json"
    """Where the record goes."""


def by_turns(calls, rounds):
    """{name: function} -> {name: median seconds of the processor in a call}."""
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(x) for name, x in times.items()}


# --- attention ---------------------------------------------------------------


def resident():
    """Bytes of memory that this process has now."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def grown(function, send):
    """In a process of its own: by how many bytes memory grows in a call."""
    before = resident()
    function()
    most = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    send.send(max(0, most - before))


def peak_mb(function):
    """Megabytes by which memory grows during a call (Linux)."""
    receive, send = multiprocessing.Pipe(False)
    context = multiprocessing.get_context("fork")
    process = context.Process(target=grown, args=(function, send))
    process.start()
    found = receive.recv()
    process.join()
    return found / 1e6


def measure_attention(a):
    """One causal head of 64 channels: seconds and memory, by length."""
    memory, contestants, rows = {}, {}, []
    for T in (1024, 2048, 4096):  # first the memory, before any is left over
        q, k, v = torch.randn(3, T, 64)
        mask = causal_mask(T)
        calls = {
            "matrix": lambda x=(q, k, v, mask): attention(*x, record=[]),
            "tiles": lambda x=(q, k, v): tiled_attention(*x, tile=128),
            "fused": lambda x=(q, k, v): fused(*x),
        }
        memory[T] = {name: peak_mb(call) for name, call in calls.items()}
        contestants[T] = calls
    for T, calls in contestants.items():
        assert (calls["tiles"]() - calls["matrix"]()).abs().max() < 1e-5
        times = by_turns(calls, 2 * a.rounds)
        rows.append(
            {"T": T}
            | {
                name: {"seconds": times[name], "peak_mb": memory[T][name]}
                for name in calls
            }
        )
    return rows


def fused(q, k, v):
    """PyTorch's own attention, which works in tiles inside."""
    q, k, v = (x[None, None] for x in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(
        q, k, v, is_causal=True
    )


# --- bits --------------------------------------------------------------------


def megabytes(model, bits, group):
    """Of a model whose matrices have so many bits, vectors in half."""
    total = 0
    for p in model.parameters():
        if p.dim() == 2:
            groups = p.size(1) // (group or p.size(1))
            total += p.numel() * bits / 8 + 2 * p.size(0) * groups
        else:
            total += 2 * p.numel()
    return total / 1e6


def held_mb(model):
    """Megabytes of all parameters and buffers, each once."""
    held = {x.data_ptr(): x.nbytes for x in model.state_dict().values()}
    return sum(held.values()) / 1e6


def measure_bits(a):
    """Bits per character against megabytes, and the speed of unpacking."""
    model, tokenizer = load_model("presidents")
    text = load_text("sotu", "test")[:150_000]
    ids = torch.tensor(tokenizer.encode(text))

    def bits_of(model):
        nats = evaluate(model, ids, block_size=256, batch_size=8)
        return bits_per_char(nats, len(ids) - 1, len(text))

    before = bits_of(model)
    variants = [
        {
            "bits": bits,
            "group": group,
            "mb": megabytes(model, bits, group),
            "worse": bits_of(round_model(model, bits, group)) - before,
        }
        for bits, group in VARIANTS
    ]
    return {
        "model": "presidents", "characters": len(text), "before": before,
        "variants": variants,
    }  # fmt: skip


def measure_speed(a):
    """Weights unpacked once, or on every use: tokens per second, megabytes."""
    model, tokenizer = load_model("presidents")
    idx = torch.tensor([tokenizer.encode(OPENINGS[0])])
    models = {
        "float32": model,
        "4 bits, unpacked once": round_model(model, 4, 32),
        "8 bits, on every use": pack_model(model, 8),
        "4 bits, on every use": pack_model(model, 4, 32),
    }
    calls = {name: writer(x, idx, 40) for name, x in models.items()}
    times = by_turns(calls, a.rounds)
    return {
        name: {"tokens_per_second": 40 / times[name], "mb": held_mb(x)}
        for name, x in models.items()
    }


def writer(model, idx, n, sampling=GREEDY, seed=0):
    """A function that writes n tokens with a plain cache, and returns them."""

    def write():
        dice = torch.Generator().manual_seed(seed)
        cache = new_cache(model)
        steps = generate(
            model, idx, n=n, sampling=sampling, generator=dice, cache=cache
        )
        return [new.item() for new, _ in steps]

    return write


# --- speculation -------------------------------------------------------------


def measure_speculation(a):
    """Six openings, 170 tokens each: with the table's guesses and without."""
    model, tokenizer = load_model("second_term")
    ids = tokenizer.encode(load_text("sotu", "train"))
    draft = CountingDraft(WittenBell(np.array(ids), 3, tokenizer.n_vocab))
    n, equal, runs = 170, True, []
    for heat in (0.0, 0.8):
        sampling = Sampling(temperature=heat)
        found = {k: {"seconds": 0.0, "rounds": []} for k in (0, 1, 2, 3, 4)}
        for seed, text in enumerate(OPENINGS):
            idx = torch.tensor([tokenizer.encode(text)])
            alone = writer(model, idx, n, sampling, seed)
            start = time.process_time()
            want = alone()
            found[0]["seconds"] += time.process_time() - start
            for k in (1, 2, 3, 4):
                dice = torch.Generator().manual_seed(seed)
                start = time.process_time()
                rounds = list(
                    speculate(
                        model, draft, idx, n=n, k=k, sampling=sampling,
                        generator=dice,
                    )
                )  # fmt: skip
                found[k]["seconds"] += time.process_time() - start
                found[k]["rounds"] += rounds
                if not heat:
                    equal &= [i for _, new in rounds for i in new] == want
        for k in (1, 2, 3, 4):
            rounds = found[k]["rounds"]
            guesses = sum(len(drafted) for drafted, _ in rounds)
            runs.append(
                {
                    "temperature": heat,
                    "k": k,
                    "accepted": sum(len(new) - 1 for _, new in rounds)
                    / guesses,
                    "tokens_per_call": n * len(OPENINGS) / len(rounds),
                    "speedup": found[0]["seconds"] / found[k]["seconds"],
                }
            )
    return {
        "model": "second_term", "tokens": n * len(OPENINGS),
        "greedy_equal": equal, "runs": runs,
    }  # fmt: skip


# --- batching ----------------------------------------------------------------


def stream_of_requests(tokenizer, count=40, seed=0):
    """{step: requests}: prompts of test documents, answers of all lengths."""
    dice, arrivals, at = np.random.default_rng(seed), {}, 0.0
    ids = tokenizer.encode(load_text("sotu", "test")[:100_000])
    for _ in range(count):
        at += dice.exponential(6.0)
        start = int(dice.integers(len(ids) - 100))
        prompt = ids[start : start + int(dice.integers(5, 60))]
        n = int(dice.choice([8, 16, 32, 120]))
        arrivals.setdefault(int(at), []).append(Request(prompt, n, GREEDY))
    return arrivals


def run_stream(scheduler, arrivals):
    """Serve a stream of requests -> what it took, and all answers."""
    pool, calls, step = scheduler.pool, 0, 0
    came, first, empty, empty_whole = {}, {}, [], []
    begin = time.process_time()
    while step <= max(arrivals) or scheduler.is_busy():
        for request in arrivals.get(step, ()):
            scheduler.add(request)
            came[request] = step, time.process_time()
        served = scheduler.step()
        now = step + 1, time.process_time()
        calls += bool(served)
        for request in served:
            first.setdefault(request, now)
        texts = [r.text for r in scheduler.running]
        if texts:
            blocks = {b for text in texts for b in text.table}
            whole = len(texts) * scheduler.most
            used = {
                (b, i)
                for text in texts
                for place, b in enumerate(text.table)
                for i in range(
                    min(pool.size, len(text.ids) - place * pool.size)
                )
            }
            empty.append(1 - len(used) / (len(blocks) * pool.size))
            empty_whole.append(1 - sum(len(t.ids) for t in texts) / whole)
        step += 1
    seconds = time.process_time() - begin
    written = sum(len(r.written) for r in came)
    return (
        {
            "calls": calls,
            "tokens": written,
            "seconds": seconds,
            "tokens_per_second": written / seconds,
            "first_token_steps": mean(first[r][0] - came[r][0] for r in came),
            "first_token_seconds": mean(first[r][1] - came[r][1] for r in came),
            "waste": mean(empty),
        },
        mean(empty_whole),
        [r.written for r in came],
    )


def mean(values):
    return statistics.mean(values)


def measure_batching(a):
    """One stream of 40 requests, one at a time, in batches, and joining."""
    model, tokenizer = load_model("second_term")
    runs, answers = {}, {}
    for name, most, continuous in (
        ("one by one", 1, True), ("static", 8, False), ("continuous", 8, True),
    ):  # fmt: skip
        pool = Pool(model.config, 8 * math.ceil(model.config.block_size / 16))
        scheduler = Scheduler(
            model, pool, max_batch=most, continuous=continuous
        )
        runs[name], whole, answers[name] = run_stream(
            scheduler, stream_of_requests(tokenizer)
        )
    assert len({json.dumps(x) for x in answers.values()}) == 1
    return {"model": "second_term", "requests": 40, "runs": runs,
            "waste_one_tensor": whole}  # fmt: skip


# --- the endpoint ------------------------------------------------------------


def measure_server(a, clients=64, n=16):
    """Clients at the same moment: nothing lost, and what one would get."""
    model, tokenizer = load_model("second_term")
    text = load_text("sotu", "test")
    prompts = [text[500 * i : 500 * i + 60] for i in range(clients)]

    def ask(address, prompt):
        body = {"prompt": prompt, "max_tokens": n, "temperature": 0}
        request = urllib.request.Request(
            f"{address}/v1/completions",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            found = json.load(answer)
        return found["choices"][0]["text"], found["usage"]["completion_tokens"]

    with (
        running(Engine(model, tokenizer, max_batch=16)) as address,
        ThreadPoolExecutor(clients) as threads,
    ):
        start = time.process_time()
        alone = [ask(address, prompt) for prompt in prompts]
        between = time.process_time()
        together = list(threads.map(lambda p: ask(address, p), prompts))
        end = time.process_time()
    written = sum(count for _, count in together)
    different = sum(a != b for a, b in zip(alone, together, strict=True))
    return {
        "clients": clients,
        "lost": clients - len(together),
        "different": different,
        "alone": written / (between - start),
        "tokens_per_second": written / (end - between),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


# --- all of it ---------------------------------------------------------------


def main(a):
    torch.set_num_threads(1)
    record = read(a.out)
    for part in a.parts:
        if part in record and not a.fresh:
            print(f"{part}: there already")
            continue
        before, start = load_average(), time.perf_counter()
        torch.manual_seed(0)
        record[part] = globals()[f"measure_{part}"](a)
        record.setdefault("facts", {})[part] = {
            "command": "python benchmarks/serving.py",
            "date": today(),
            "versions": versions(),
            "threads": 1,
            "load": [round(before, 2), round(load_average(), 2)],
            "seconds": round(time.perf_counter() - start, 1),
        }
        save(a.out, record)
        print(f"{part}: {record['facts'][part]['seconds']} s", flush=True)
        print(json.dumps(record[part], indent=1)[:3000], flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(tyro.cli(Arguments))
