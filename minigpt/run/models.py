"""Every way to a trained model: a run's folder, an exported model, GPT-2."""

from pathlib import Path

from minigpt.run.state import open_any
from minigpt.tokenizer import Tokenizer

ASSETS = Path(__file__).parents[1] / "assets"


def load_model(path=ASSETS):
    """path -> model (float32, ready to use) and its tokenizer.

    By default the model that the course has trained and ships.
    """
    folder = Path(path)
    names = ("model.safetensors", "best.safetensors")
    file = next(folder / n for n in names if (folder / n).exists())
    model, _ = open_any(file)
    return model, Tokenizer.load(folder / "tokenizer.json")
