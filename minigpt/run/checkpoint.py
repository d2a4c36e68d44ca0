"""One file that survives accidents and distrusts strangers.

A checkpoint is a safetensors file: numbers and a header, nothing that is ever
executed. Its metadata holds the configuration and a sha256 over the whole
file, so a single flipped bit is noticed. There are two formats: a model, and
the state of a run (model, optimizer, step), from which training continues as
if it had never stopped.
"""

import hashlib
import json
import sys
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

import minigpt.sparse  # noqa: F401 (a configuration may name its parts)
from minigpt import serving
from minigpt.files import atomic_write
from minigpt.gpt import GPT, GPTConfig

MODEL = "minigpt-model 1"  # weights
TRAINING = "minigpt-training 1"  # weights, optimizer, and the place in a run
BLANK = "0" * 64  # takes the digest's place while the digest is computed
LARGEST = 8 << 20  # bytes of a JSON file; GPT-2's vocabulary takes one million


class CheckpointError(ValueError):
    """A file that is not, or no longer, one that this course wrote."""


@contextmanager
def naming(path: Path):
    """Whatever is wrong with the content of a file is said with its name."""
    try:
        yield
    except KeyError as error:
        raise CheckpointError(f"{path} has no {error}") from error
    except (ValueError, TypeError, AttributeError, EOFError) as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error


# --- JSON --------------------------------------------------------------------


def parse_json(text: str) -> dict:
    """A JSON object. Raises CheckpointError for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"it is not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"expected a JSON object, got {found!r:.40}")
    return found


def read_json(path: Path) -> dict:
    """The JSON object in a file, whose size is checked before it is read.

    Raises CheckpointError, with the file's name, for anything else.
    """
    with naming(path):
        size = path.stat().st_size
        if size > LARGEST:
            raise CheckpointError(
                f"it has {size:,} bytes, expected at most {LARGEST:,}"
            )
        return parse_json(path.read_text(encoding="utf-8"))


# --- the file ----------------------------------------------------------------


def write(path: Path, tensors: dict, metadata: dict[str, str]) -> None:
    """Saves tensors and metadata as one sealed safetensors file.

    Equal contents are equal bytes: the header is sorted.
    """
    tensors = {k: t.detach().cpu().contiguous() for k, t in tensors.items()}
    blob = safetensors.torch.save(tensors, {**metadata, "sha256": BLANK})
    end = 8 + int.from_bytes(blob[:8], "little")
    text = json.dumps(json.loads(blob[8:end]), sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    head = len(text).to_bytes(8, "little") + text
    digest = hashlib.sha256(head)
    digest.update(memoryview(blob)[end:])
    with atomic_write(path) as file:
        file.write(head.replace(mark(BLANK), mark(digest.hexdigest())))
        file.write(memoryview(blob)[end:])


def read(path: Path, kind: str) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors and metadata of a file that `write` wrote, of one format.

    Raises CheckpointError for a file that is foreign, cut short, damaged or
    of another format.
    """
    blob = Path(path).read_bytes()
    try:
        tensors = safetensors.torch.load(blob)
    except (SafetensorError, KeyError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file: {error}"
        ) from None
    end = 8 + int.from_bytes(blob[:8], "little")
    metadata = json.loads(blob[8:end]).get("__metadata__") or {}
    if metadata.get("format") != kind:
        raise CheckpointError(
            f"{path} must be of the format {kind!r}, got "
            f"{metadata.get('format', 'an unknown one')!r}"
        )
    seal = mark(metadata.get("sha256", ""))
    digest = hashlib.sha256(blob[:end].replace(seal, mark(BLANK)))
    digest.update(memoryview(blob)[end:])
    if mark(digest.hexdigest()) != seal:
        raise CheckpointError(
            f"{path} is damaged: its content does not have the sha256 that "
            "was written into it"
        )
    return tensors, metadata


def mark(digest: str) -> bytes:
    """How the digest is written in a header."""
    return f'"sha256": "{digest}"'.encode()


# --- small weights -----------------------------------------------------------


GROUP = 32  # numbers of a row that share a scale, in 4 bits


def quantize(tensors: dict[str, torch.Tensor], bits: int) -> dict:
    """Matrices as NAME and NAME.scale, everything else in float16.

    In 8 bits: int8 and a scale for each row, (rows,). In 4 bits: uint8 with
    two numbers in a byte, and a scale for each `GROUP`, (rows, groups).
    """
    small = {name: t.half() for name, t in tensors.items() if t.dim() != 2}
    for name, t in tensors.items():
        if t.dim() == 2:
            q, scale = serving.quantize(t, bits, None if bits == 8 else GROUP)
            small[name] = q if bits == 8 else serving.pack(q, bits)
            small[f"{name}.scale"] = scale[:, 0] if bits == 8 else scale
    return small


def dequantize(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors, with each small matrix in float32 and its scale gone.

    Raises CheckpointError for a scale that does not fit its matrix, and for
    tensors that are no weights.
    """
    large = dict(tensors)
    for name, t in tensors.items():
        if t.dtype in (torch.int8, torch.uint8) and t.dim() == 2:
            q = t if t.dtype == torch.int8 else serving.unpack(t, 4)
            rows, groups = len(q), q.size(1) // GROUP
            shape = (rows,) if q is t else (rows, groups)
            scale = large.pop(f"{name}.scale", torch.empty(0))
            if (scale.dtype, scale.shape) != (torch.half, shape):
                raise CheckpointError(
                    f"{name} is {t.dtype}, so {name}.scale must be float16 "
                    f"{shape}, got {scale.dtype} {tuple(scale.shape)}"
                )
            large[name] = serving.dequantize(q, scale.view(rows, -1))
        elif not t.is_floating_point():
            raise CheckpointError(
                f"{name} must be floating-point numbers or a matrix of 8 or 4 "
                f"bits, got {t.dtype} {tuple(t.shape)}"
            )
    return large


# --- a model in it -----------------------------------------------------------


def weights(model: GPT) -> dict[str, torch.Tensor]:
    """Every parameter once, also where two names share it."""
    return {name: p.detach() for name, p in model.named_parameters()}


def load_weights(model: GPT, tensors: dict[str, torch.Tensor]) -> None:
    """Copies tensors of the same names and shapes into a model."""
    for name, p in weights(model).items():
        p.copy_(tensors[name])


def read_config(text: str) -> GPTConfig:
    """A GPTConfig from JSON.

    A field that is missing has its default, so files from before it open.
    Raises CheckpointError for unknown fields, and for values of which no
    model can be built.
    """
    values = parse_json(text)
    strange = sorted(set(values) - {f.name for f in fields(GPTConfig)})
    if strange:
        raise CheckpointError(
            "the configuration is from another version of minigpt: "
            f"{', '.join(strange)} is unknown to this one"
        )
    try:
        return GPTConfig(**values)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"no such model can be built: {error}") from None


def shapes_of(config: GPTConfig) -> dict[str, torch.Size]:
    """{name: shape} of a configuration's weights, without their memory.

    One block is built, and the others are like it. Raises CheckpointError
    where no such model can be built, or where its context would take far more
    memory than its weights.
    """
    try:
        with torch.device("meta"):
            model = GPT(replace(config, n_layer=1))
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise CheckpointError(f"cannot build {config}: {error}") from None
    shapes = {name: t.shape for name, t in weights(model).items()}
    for name in [name for name in shapes if name.startswith("blocks.0.")]:
        for i in range(1, config.n_layer):
            shapes[name.replace("0", str(i), 1)] = shapes[name]
    n_weights = sum(shape.numel() for shape in shapes.values())
    kept = config.n_layer * config.block_size * config.n_embd  # as in a cache
    if kept > max(10 * n_weights, 2**20):
        raise CheckpointError(
            f"a block_size of {config.block_size:,} is too large for a model "
            f"with {n_weights:,} weights"
        )
    return shapes


def build(text: str, tensors: dict[str, torch.Tensor]) -> GPT:
    """The model of a configuration (JSON) and its weights, in float32.

    They are compared before any memory is taken, so a file that claims an
    enormous model costs nothing. Raises CheckpointError where they differ.
    """
    config, tensors = read_config(text), dequantize(tensors)
    if config.n_layer > len(tensors):
        raise CheckpointError(
            f"{len(tensors)} tensors cannot hold {config.n_layer} layers"
        )
    expected = shapes_of(config)
    for name in sorted(expected.keys() | tensors.keys()):
        found = tensors[name].shape if name in tensors else None
        if found != expected.get(name):
            raise CheckpointError(
                f"the weights do not fit the configuration: {name} should be "
                f"{expected.get(name)}, the file has {found}"
            )
    model = GPT(config).eval()
    load_weights(model, tensors)
    return model


def save_model(
    path: Path, model: GPT, *, dtype=torch.float16, bits=None, **facts
) -> None:
    """Weights as `dtype`, with the configuration and `facts` (JSON).

    With `bits`, 8 or 4, matrices take so many; see `quantize`. Raises
    ValueError for a model that its configuration does not describe.
    """
    strange = sorted(weights(model).keys() ^ shapes_of(model.config).keys())
    if strange:
        raise ValueError(
            f"the configuration does not describe {strange[0]}, so the saved "
            "file could not be opened again; if the model has LoRA, merge it "
            "first with merge_lora(model)"
        )
    if bits is not None:
        tensors = quantize(weights(model), bits)
    else:
        tensors = {name: t.to(dtype) for name, t in weights(model).items()}
    metadata = {
        "format": MODEL,
        "config": json.dumps(asdict(model.config)),
        "facts": json.dumps(facts),
    }
    write(path, tensors, metadata)


def open_model(path: Path) -> tuple[GPT, dict]:
    """The model of a file, in float32 and ready to use, and its facts."""
    tensors, metadata = read(path, MODEL)
    with naming(path):
        facts = parse_json(metadata["facts"])
        return build(metadata["config"], tensors), facts


# --- a run in it -------------------------------------------------------------


def checkpoints(folder: Path) -> list[Path]:
    """A run's checkpoints, newest first."""
    return sorted((folder / "checkpoints").glob("step-*.safetensors"))[::-1]


def save_training(folder: Path, model, optimizer, step, best) -> None:
    """A checkpoint named after its step; the last two are kept."""
    state = optimizer.state
    tensors = {}
    for name, p in model.named_parameters():
        tensors[f"model.{name}"] = p
        for key, value in state.get(p, {}).items():
            tensors[f"optimizer.{name}.{key}"] = value
    metadata = {
        "format": TRAINING,
        "config": json.dumps(asdict(model.config)),
        "step": str(step),
        "best": repr(best),
    }
    (folder / "checkpoints").mkdir(exist_ok=True)
    write(
        folder / "checkpoints" / f"step-{step:07d}.safetensors",
        tensors,
        metadata,
    )
    for old in checkpoints(folder)[2:]:
        old.unlink()


def open_training(path: Path) -> tuple[GPT, dict, dict]:
    """-> model, the optimizer's tensors, {"step", "best"}."""
    tensors, metadata = read(path, TRAINING)
    parts = {"model": {}, "optimizer": {}}
    with naming(path):
        for name, tensor in tensors.items():
            kind, _, rest = name.partition(".")
            parts.setdefault(kind, {})[rest] = tensor
        model = build(metadata["config"], parts["model"])
        place = {"step": int(metadata["step"]), "best": float(metadata["best"])}
    return model, parts["optimizer"], place


def load_optimizer(optimizer, model, tensors: dict) -> None:
    """Puts the tensors that `save_training` kept back into an optimizer.

    Several optimizers in one (`Together`) each get those of their parameters.
    """
    names = {p: f"{name}." for name, p in model.named_parameters()}
    for part in getattr(optimizer, "optimizers", [optimizer]):
        for p in [p for group in part.param_groups for p in group["params"]]:
            part.state[p] = {
                key.removeprefix(names[p]): value.to(p.device)
                for key, value in tensors.items()
                if key.startswith(names[p])
            }


def newest(folder: Path):
    """What `open_training` says of the newest checkpoint that is whole.

    A damaged one is passed over; None where there is none at all. Raises
    CheckpointError where checkpoints exist and none can be used.
    """
    errors = []
    for path in checkpoints(folder):
        try:
            return open_training(path)
        except CheckpointError as error:
            errors.append(str(error))
            print(f"passed over: {error}", file=sys.stderr)
    if errors:
        raise CheckpointError(
            f"no checkpoint in {folder} can be used; the newest: {errors[0]}"
        )
    return None
