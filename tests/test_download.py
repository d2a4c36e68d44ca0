"""GPT-2 is downloaded once, verified, and its absence is one clear line."""

import hashlib
import http.server
import os
import socket
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from minigpt.__main__ import main
from minigpt.run import models
from minigpt.run.models import GPT2, GPT2_CONFIG, fetch_gpt2, gpt2_is_here
from minigpt.tokenizer import gpt2_tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")
SHAPE = dict(vocab_size=50257, n_positions=16, n_layer=2, n_head=2, n_embd=8)


class Hub(http.server.BaseHTTPRequestHandler):
    """The part of Hugging Face that a download asks for one file."""

    def log_message(self, *args):
        """Say nothing."""

    def do_HEAD(self):
        self.answer(b"")

    def do_GET(self):
        plan = self.server.plan
        plan.asked += 1
        start = self.headers["Range"] or "bytes=0-"
        body = plan.content[int(start.split("=")[1].split("-")[0]) :]
        self.answer(body, status=206 if self.headers["Range"] else 200)

    def answer(self, body, status=200):
        plan, n = self.server.plan, len(self.server.plan.content)
        self.send_response(status)
        self.send_header("ETag", '"an etag"')
        self.send_header("X-Repo-Commit", GPT2["revision"])
        self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            span = f"bytes {n - len(body)}-{n - 1}/{n}"
            self.send_header("Content-Range", span)
        self.send_header("Content-Length", str(len(body) or n))
        self.end_headers()
        cut = plan.stops.pop() if body and plan.stops else None
        self.wfile.write(body[:cut])


@pytest.fixture
def hub():
    """A server on this machine; change its `plan`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.plan = SimpleNamespace(content=b"", stops=[], asked=0)
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def small_gpt2(hub, tmp_path, monkeypatch):
    """A hub that has a GPT-2 of two small blocks under the real one's name."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**SHAPE, initializer_range=0.5))
    model.save_pretrained(tmp_path / "made")
    content = (tmp_path / "made" / "model.safetensors").read_bytes()
    hub.plan.content = content
    sha256 = hashlib.sha256(content).hexdigest()
    config = replace(GPT2_CONFIG, block_size=16, n_layer=2, n_head=2, n_embd=8)
    monkeypatch.setattr(models, "GPT2", GPT2 | {"endpoint": hub.url})
    monkeypatch.setattr(models, "GPT2_BYTES", len(content))
    monkeypatch.setattr(models, "GPT2_SHA256", sha256)
    monkeypatch.setattr(models, "GPT2_CONFIG", config)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("MINIGPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return model.eval()


def test_generate_downloads_gpt2_once_and_writes(small_gpt2, hub, capsys):
    words = ["generate", "Hello, world", "--model", "gpt2", "--tokens", "9"]
    assert not gpt2_is_here()
    assert main([*words, "--temperature", "0"]) == 0
    text = capsys.readouterr().out
    ids = gpt2_tokenizer().encode("Hello, world")
    theirs = small_gpt2.generate(
        torch.tensor([ids]), max_new_tokens=9, do_sample=False, pad_token_id=0
    )[0].tolist()
    end = 50256
    theirs = theirs[: theirs.index(end)] if end in theirs else theirs
    assert text == gpt2_tokenizer().decode(theirs) + "\n"
    assert gpt2_is_here() and hub.plan.asked == 1
    assert main([*words, "--temperature", "0"]) == 0
    assert capsys.readouterr().out == text and hub.plan.asked == 1


def test_a_connection_that_breaks_is_taken_up_again(small_gpt2, hub):
    hub.plan.stops = [2_000]
    folder = fetch_gpt2()
    assert (folder / "model.safetensors").read_bytes() == hub.plan.content
    assert hub.plan.asked == 2


def test_wrong_bytes_are_refused_and_not_kept(small_gpt2, hub):
    hub.plan.content = hub.plan.content[:-1] + b"?"
    with pytest.raises(ValueError, match="sha256"):
        fetch_gpt2()
    assert not gpt2_is_here()


def test_a_damaged_copy_is_noticed(small_gpt2, hub):
    path = fetch_gpt2() / "model.safetensors"
    path.write_bytes(hub.plan.content[:-1] + b"?")
    with pytest.raises(ValueError, match="sha256"):
        fetch_gpt2()
    fetch_gpt2()
    assert path.read_bytes() == hub.plan.content and hub.plan.asked == 2


def test_without_a_network_it_is_one_clear_line(
    small_gpt2, monkeypatch, capsys
):
    with socket.socket() as free:  # an address where nobody listens
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(models, "GPT2", GPT2 | {"endpoint": url})
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between tries
    assert main(["generate", "Hello", "--model", "gpt2"]) == 2
    out, err = capsys.readouterr()
    last = err.strip().splitlines()[-1]
    assert out == "" and last.startswith("error: GPT-2 could not")
    assert str(models.gpt2_folder()) in last


def test_a_folder_called_gpt2_comes_first(small_gpt2, hub, capsys, tmp_path):
    os.rename(tmp_path / "made", tmp_path / "gpt2")
    assert main(["generate", "Hi", "--model", "gpt2", "--tokens", "2"]) == 0
    assert capsys.readouterr().out.startswith("Hi")
    assert hub.plan.asked == 0


def test_the_real_gpt2_is_pinned():
    assert len(GPT2["revision"]) == 40 and len(models.GPT2_SHA256) == 64
    # weights and twelve masks in float32, and a header
    rest = models.GPT2_BYTES - 4 * (124_439_808 + 12 * 1024**2)
    assert 0 < rest < 20_000
