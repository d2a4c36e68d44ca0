"""What a checkpoint holds, and the way back into a model."""

import json
import sys
from dataclasses import asdict, fields
from pathlib import Path

import torch
from torch import nn

from minigpt.gpt import GPT, GPTConfig
from minigpt.run.checkpoint import CheckpointError, numbers, verify, write

TRAINING = "minigpt-training 1"  # weights, optimiser and place in a run
MODEL = "minigpt-model 1"  # weights alone


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every tensor of the model once, also where two names share it."""
    seen, found = set(), {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor
    return found


def load_weights(model: nn.Module, tensors: dict) -> None:
    """Copies tensors into a model, name by name.

    Raises CheckpointError where a name or a shape does not fit.
    """
    own = weights(model)
    check_names(own, {name: tuple(t.shape) for name, t in tensors.items()})
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def check_names(own: dict, shapes: dict[str, tuple]) -> None:
    """Names and shapes of a file must be those of the model."""
    wrong = sorted(own.keys() ^ shapes.keys())
    if wrong:
        where = "in the file" if wrong[0] in own else "in the model"
        raise CheckpointError(
            f"weights do not fit the configuration: {wrong[0]} is not {where}"
        )
    for name, tensor in own.items():
        if tuple(tensor.shape) != shapes[name]:
            raise CheckpointError(
                f"weights do not fit the configuration: {name} should be "
                f"{tuple(tensor.shape)}, the file has {shapes[name]}"
            )


def read_config(text: str) -> GPTConfig:
    """A GPTConfig from JSON.

    Raises CheckpointError for another version's fields, which it names, and
    for values of which no model can be built.
    """
    values = json.loads(text)
    known = {f.name for f in fields(GPTConfig)}
    strange = sorted(known ^ set(values))
    if strange:
        raise CheckpointError(
            "the configuration is from another version of minigpt: "
            f"{', '.join(strange)} is unknown to one of the two"
        )
    try:
        return GPTConfig(**values)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"no such model can be built: {error}") from None


def checked_config(header: dict, metadata: dict, prefix: str) -> GPTConfig:
    """The configuration, after making sure that the weights fit it.

    The comparison uses a model without memory (PyTorch's meta device), so
    a file that claims an enormous model costs nothing.
    """
    config = read_config(metadata.get("config", "{}"))
    shapes = {
        name.removeprefix(prefix): tuple(entry["shape"])
        for name, entry in header.items()
        if name.startswith(prefix)
    }
    if not 0 < config.n_layer <= len(shapes):
        raise CheckpointError(
            f"the configuration claims {config.n_layer} layers, the file "
            f"has {len(shapes)} tensors"
        )
    try:
        with torch.device("meta"):
            model = GPT(config)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"no such model can be built: {error}") from None
    check_names(weights(model), shapes)
    return config


def save_model(path: Path, model: GPT, *, dtype=torch.float16, **facts) -> None:
    """Weights alone, as `dtype`, with configuration and `facts` (JSON)."""
    tensors = {k: t.to(dtype) for k, t in weights(model).items()}
    metadata = {
        "format": MODEL,
        "config": json.dumps(asdict(model.config)),
        "facts": json.dumps(facts),
    }
    write(Path(path), tensors, metadata)


def open_model(path: Path) -> tuple[GPT, dict]:
    """The model of a file, in float32 and ready to use, and its facts."""
    header, metadata = verify(Path(path), MODEL)
    model = GPT(checked_config(header, metadata, ""))
    load_weights(model, numbers(path))
    return model.eval(), json.loads(metadata["facts"])


def open_any(path: Path) -> tuple[GPT, dict]:
    """The model of a model file or of a training checkpoint."""
    if Path(path).parent.name != "checkpoints":
        return open_model(path)
    header, metadata = verify(path, TRAINING)
    model = GPT(checked_config(header, metadata, "model."))
    load_weights(model, model_part(numbers(path)))
    return model.eval(), {"step": int(metadata["step"])}


def model_part(tensors: dict) -> dict[str, torch.Tensor]:
    """The weights among a training checkpoint's tensors."""
    return {
        name.removeprefix("model."): tensor
        for name, tensor in tensors.items()
        if name.startswith("model.")
    }


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, names: dict[str, nn.Parameter]
) -> dict[str, torch.Tensor]:
    """The optimiser's tensors under the names of the parameters."""
    found = {}
    for name, parameter in names.items():
        for key, value in optimizer.state.get(parameter, {}).items():
            found[f"optimizer.{name}.{key}"] = value
    return found


def load_optimizer(optimizer, names: dict, tensors: dict) -> None:
    """The way back from `optimizer_tensors`."""
    for name, parameter in names.items():
        start = f"optimizer.{name}."
        optimizer.state[parameter] = {
            key.removeprefix(start): value.clone()
            for key, value in tensors.items()
            if key.startswith(start)
        }


def checkpoints(folder: Path) -> list[Path]:
    """A run's checkpoints, newest first."""
    return sorted((folder / "checkpoints").glob("step-*.safetensors"))[::-1]


def newest(folder: Path) -> str:
    """The newest checkpoint's name, for messages."""
    found = checkpoints(folder)
    return found[0].name if found else "none was saved yet"


def save(run) -> None:
    """All of a run, under the number of its steps; the last two are kept."""
    names = dict(run.model.named_parameters())
    tensors = {f"model.{k}": t for k, t in weights(run.model).items()}
    tensors |= optimizer_tensors(run.optimizer, names)
    metadata = {
        "format": TRAINING,
        "config": json.dumps(asdict(run.model.config)),
        "step": str(run.step),
        "best": repr(run.best),
    }
    folder = run.folder / "checkpoints"
    write(folder / f"step-{run.step:07d}.safetensors", tensors, metadata)
    for old in checkpoints(run.folder)[2:]:
        old.unlink()


def save_best(run) -> None:
    """The weights with the lowest held-out loss so far."""
    save_model(
        run.folder / "best.safetensors",
        run.model,
        dtype=torch.float32,
        step=run.step,
        loss=run.best,
    )


def restore(run) -> None:
    """The newest checkpoint that is whole; a damaged one is passed over.

    Raises CheckpointError where checkpoints exist and none can be used.
    """
    found, errors = checkpoints(run.folder), []
    for path in found:
        try:
            return restore_from(run, path)
        except CheckpointError as error:
            errors.append(str(error))
            print(f"passed over: {error}", file=sys.stderr)
    if errors:
        raise CheckpointError(
            f"no checkpoint of {run.folder} can be used; the newest: {errors[0]}"
        )


def restore_from(run, path: Path) -> None:
    """Model, optimiser and place in the run from one checkpoint."""
    header, metadata = verify(path, TRAINING)
    config = checked_config(header, metadata, "model.")
    if config != run.model.config:
        raise CheckpointError(f"{path} is of a model of another shape")
    tensors = numbers(path)
    load_weights(run.model, model_part(tensors))
    load_optimizer(run.optimizer, dict(run.model.named_parameters()), tensors)
    run.step, run.best = int(metadata["step"]), float(metadata["best"])
