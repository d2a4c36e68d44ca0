"""What a real run needs around `minigpt.train`; hand-written.

options    every choice of a run: the dataclass `Train`
corpus     text -> tokenizer and token files in the run's folder
loop       the run itself: train, measure, record, save, resume
checkpoint one safetensors file, sealed, written whole or not at all
state      model and optimiser into a checkpoint and back
parallel   several processes under torchrun
log        JSON lines, progress bar, curve
probes     loss, text and attention recorded along the way
commands   the dataclasses `Eval` and `ExportModel`
measure    nats, bits per character, perplexity; counting baselines
export     `ExportModel`: a small model file to ship
generate   the dataclass `Generate`: a prompt in, text out
decode     the same model, faster for one cached token at a time
"""

from minigpt.run.commands import Eval, ExportModel
from minigpt.run.options import Train

__all__ = ["Eval", "ExportModel", "Train"]
