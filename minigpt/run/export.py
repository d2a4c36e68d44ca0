"""A run -> a small model to ship, and the way to open one."""

import json
from pathlib import Path

from minigpt.run import corpus, log, probes, state
from minigpt.run.checkpoint import write_atomically
from minigpt.run.commands import ASSETS

LINES = 400  # of the log that ships


def export_model(source: Path, target: Path) -> list[Path]:
    """Writes the best weights of a run and all that belongs to them.

    `model.safetensors` (float16, with configuration and origin),
    `tokenizer.json`, `data.json`, `log.jsonl` (thinned), `curve.svg`,
    `probes.safetensors`. Raises ValueError where `source` is not a run.
    """
    if not (source / "best.safetensors").exists():
        raise ValueError(f"{source} is not a run with trained weights")
    target.mkdir(parents=True, exist_ok=True)
    model, facts = state.open_any(source / "best.safetensors")
    lines = log.read(source / "log.jsonl")
    starts = [line for line in lines if line["kind"] == "start"]
    state.save_model(
        target / "model.safetensors", model, origin=starts, **facts
    )
    for name in ("tokenizer.json", "data.json", "curve.svg"):
        write_atomically(target / name, (source / name).read_bytes())
    text = "".join(json.dumps(line) + "\n" for line in thinned(lines))
    write_atomically(target / "log.jsonl", text.encode())
    points = sorted((source / "probes").glob("*.safetensors"))
    if points:
        probes.merge(points, target / "probes.safetensors")
    return sorted(p for p in target.iterdir() if p.is_file())


def thinned(lines: list[dict]) -> list[dict]:
    """A log with every measurement, but only some of the steps.

    A step that stays speaks for those left out since the one before: its
    loss is their mean.
    """
    steps = [line for line in lines if line["kind"] == "step"]
    every, kept, losses = max(1, len(steps) // LINES), [], []
    for line in lines:
        if line["kind"] != "step":
            kept.append(line)
            continue
        losses.append(line["loss"])
        if len(losses) == every:
            mean = round(sum(losses) / every, 5)
            kept.append(line | {"loss": mean, "steps": every})
            losses = []
    return kept


def load_model(folder: Path = ASSETS):
    """-> model (ready to use, float32, CPU) and tokenizer of a folder.

    The folder is a run's, or one with an exported model; by default the
    model that the course has trained and ships.
    """
    from minigpt.run.measure import weights_file

    folder = Path(folder)
    model, _ = state.open_any(weights_file(folder))
    return model, corpus.load_tokenizer(folder)
