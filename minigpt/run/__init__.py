"""What a real run needs around `minigpt.train`; hand-written.

options     every choice of a command, as data
corpus      text -> tokenizer and token files
checkpoint  one safetensors file, sealed, with a model or a whole run
models      every way to a trained model, and the way to ship one
training    `python -m minigpt train`
generation  `python -m minigpt generate`
share       `python -m minigpt share`: a model as a page of its own
card        what that page says about the model
bundle      the scripts of that page, and of the book's playground
server      `python -m minigpt serve`
evaluation  `python -m minigpt eval`
parallel    the device, and several processes under torchrun
log         JSON lines and a curve
probes      loss, text and attention recorded along the way
"""
