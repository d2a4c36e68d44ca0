"""A download from servers that break off, lie, or are not there."""

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
from minigpt.gpt import GPTConfig
from minigpt.run import download, gpt2
from minigpt.run.download import Remote, WrongFileError, fetch

CONTENT = bytes(i * i % 251 for i in range(1_000_003))
GPT2_SHAPE = dict(
    vocab_size=50257, n_positions=16, n_layer=2, n_head=2, n_embd=8
)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.plan`; what it does wrong stands there."""

    def log_message(self, *args):
        """Say nothing."""

    def do_GET(self):
        plan, asked = self.server.plan, self.headers["Range"]
        plan.asked.append(asked)
        if plan.redirect and self.path != "/there":
            self.send_response(302)
            self.send_header("Location", "/there")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if plan.codes:
            return self.send_error(plan.codes.pop(0))
        start = 0
        if asked and plan.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(plan.content):
                return self.send_error(416)
        self.answer(plan, start)

    def answer(self, plan, start):
        total = len(plan.content)
        self.send_response(206 if start else 200)
        if start:
            begin = start + plan.shift
            span = f"bytes {begin}-{total - 1}/{plan.total or total}"
            self.send_header("Content-Range", span)
        if plan.length:
            length = plan.total if plan.total and not start else total - start
            self.send_header("Content-Length", str(length))
        self.end_headers()
        body = plan.content[start:]
        if plan.breaks:
            body = body[: plan.breaks.pop(0)]
        plan.sent += len(body)
        self.wfile.write(body)


@pytest.fixture
def server():
    """A server on this machine; change its `plan`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.plan = SimpleNamespace(
        content=CONTENT, ranges=True, length=True, total=None, shift=0,
        breaks=[], codes=[], redirect=False, asked=[], sent=0,
    )  # fmt: skip
    server.url = f"http://127.0.0.1:{server.server_address[1]}/file"
    yield server
    server.shutdown()
    server.server_close()


def remote_of(server, content=CONTENT):
    digest = hashlib.sha256(content).hexdigest()
    return Remote(server.url, len(content), digest)


def get(server, target, **options):
    return fetch(remote_of(server), target, wait=0.001, **options)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_it_arrives_whole_with_a_bar(server, tmp_path, capfd):
    target = tmp_path / "deep" / "file"
    assert get(server, target) == target
    assert target.read_bytes() == CONTENT
    assert names(target.parent) == ["file"] and server.plan.asked == [None]
    shown = capfd.readouterr().err
    assert "file" in shown and "1.00M" in shown and "B/s" in shown


def test_nothing_is_asked_when_it_is_there(server, tmp_path):
    target = tmp_path / "file"
    target.write_bytes(CONTENT)
    get(server, target)
    assert server.plan.asked == []
    target.write_bytes(CONTENT[:-1] + b"\0")  # damaged since
    get(server, target)
    assert target.read_bytes() == CONTENT


def test_a_broken_connection_goes_on_where_it_stopped(server, tmp_path):
    server.plan.breaks = [300_000, 300_000, 300_000]
    target = get(server, tmp_path / "file")
    assert target.read_bytes() == CONTENT
    first, *rest = server.plan.asked
    assert first is None and len(rest) == 3
    starts = [int(r.removeprefix("bytes=").rstrip("-")) for r in rest]
    assert starts == sorted(starts) and starts[0] >= 200_000
    assert server.plan.sent < len(CONTENT) + 4 * download.PIECE


def test_it_gives_up_keeps_what_came_and_goes_on_later(server, tmp_path):
    server.plan.breaks = [500_000] + [0] * 20
    target = tmp_path / "file"
    with pytest.raises(ConnectionError) as error:
        get(server, target, tries=3)
    assert len(server.plan.asked) == 4
    kept = (tmp_path / "file.part").stat().st_size
    assert kept >= 400_000 and f"{kept:,} bytes have arrived" in str(error)
    assert names(tmp_path) == ["file.part"]
    server.plan.breaks, server.plan.sent = [], 0
    assert get(server, target).read_bytes() == CONTENT
    assert server.plan.sent == len(CONTENT) - kept
    assert names(tmp_path) == ["file"]


def test_a_server_that_ignores_range_starts_over(server, tmp_path):
    server.plan.ranges, server.plan.breaks = False, [400_000, 700_000]
    target = get(server, tmp_path / "file")
    assert target.read_bytes() == CONTENT
    assert len(server.plan.asked) == 3 and server.plan.asked[1]


def test_a_server_that_always_starts_over_and_breaks_is_given_up(
    server, tmp_path
):
    server.plan.ranges, server.plan.breaks = False, [400_000] * 50
    with pytest.raises(ConnectionError):
        get(server, tmp_path / "file", tries=3)
    assert len(server.plan.asked) == 4


@pytest.mark.parametrize("held", [b"", CONTENT[:1000]])
def test_another_length_is_refused_at_once(server, tmp_path, held):
    if held:
        (tmp_path / "file.part").write_bytes(held)
    server.plan.total = 999
    with pytest.raises(WrongFileError, match="999 bytes .*expected 1,000,003"):
        get(server, tmp_path / "file")
    assert len(server.plan.asked) == 1
    assert "file" not in names(tmp_path)


def test_more_than_expected_without_a_length_is_refused(server, tmp_path):
    server.plan.length, server.plan.content = False, CONTENT * 3
    with pytest.raises(WrongFileError, match="more than the expected"):
        get(server, tmp_path / "file")
    assert names(tmp_path) == []


def test_less_than_expected_without_a_length_is_a_break(server, tmp_path):
    server.plan.length, server.plan.breaks = False, [400_000, 300_000]
    assert get(server, tmp_path / "file").read_bytes() == CONTENT
    assert len(server.plan.asked) == 3


def test_wrong_bytes_are_refused_and_not_kept(server, tmp_path):
    server.plan.content = CONTENT[:500] + b"?" + CONTENT[501:]
    with pytest.raises(WrongFileError, match="wrong sha256.*not kept"):
        get(server, tmp_path / "file")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "held",
    [
        b"\0" * 5000,  # an old piece of something else
        b"\0" * len(CONTENT),  # as long as the file
        b"\0" * (len(CONTENT) + 5),  # longer
    ],
)
def test_a_bad_piece_from_before_is_thrown_away(server, tmp_path, held):
    (tmp_path / "file.part").write_bytes(held)
    assert get(server, tmp_path / "file").read_bytes() == CONTENT
    assert names(tmp_path) == ["file"]


def test_a_server_without_the_rest_is_asked_from_the_start(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    server.plan.codes = [416]
    assert get(server, tmp_path / "file").read_bytes() == CONTENT
    assert server.plan.asked == ["bytes=1000-", None]


def test_another_part_than_asked_for_is_refused(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    server.plan.shift = 7
    with pytest.raises(ConnectionError, match="another part .*bytes 1007-"):
        get(server, tmp_path / "file")


def test_a_final_no_is_not_repeated_a_passing_one_is(server, tmp_path):
    server.plan.codes = [404]
    with pytest.raises(ConnectionError, match="404"):
        get(server, tmp_path / "file")
    assert len(server.plan.asked) == 1
    server.plan.codes = [503, 429]
    assert get(server, tmp_path / "file").read_bytes() == CONTENT
    assert len(server.plan.asked) == 4


def test_a_redirect_is_followed_with_its_range(server, tmp_path):
    server.plan.redirect, server.plan.breaks = True, [500_000]
    assert get(server, tmp_path / "file").read_bytes() == CONTENT
    first, _, again, there = server.plan.asked
    assert first is None and again == there and again.startswith("bytes=")


def dead_url():
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/file"


def test_a_dead_address_is_one_clear_error(tmp_path):
    remote = Remote(dead_url(), 5, "0" * 64)
    with pytest.raises(ConnectionError) as error:
        fetch(remote, tmp_path / "file", tries=2, wait=0.001)
    text = str(error.value)
    for said in (remote.url, "5 bytes", str(tmp_path / "file"), "Try again"):
        assert said in text
    assert "\n" not in text and error.value.__cause__ is None


def test_a_full_disk_is_noticed_before(server, tmp_path, monkeypatch):
    free = SimpleNamespace(free=1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: free)
    with pytest.raises(OSError, match="MB free.*MINIGPT_CACHE"):
        get(server, tmp_path / "file")
    assert server.plan.asked == []


def test_an_interrupt_keeps_what_came(server, tmp_path, monkeypatch):
    class Bar(download.tqdm):
        def update(self, n=1):
            super().update(n)
            if self.n > 300_000:
                raise KeyboardInterrupt

    monkeypatch.setattr(download, "tqdm", Bar)
    with pytest.raises(KeyboardInterrupt):
        get(server, tmp_path / "file")
    kept = (tmp_path / "file.part").read_bytes()
    assert len(kept) > 300_000 and CONTENT.startswith(kept)


# GPT-2 itself, by a stand-in of another size


@pytest.fixture
def small_gpt2(server, tmp_path, monkeypatch):
    """A server that has a GPT-2 of two small blocks under its address."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**GPT2_SHAPE, initializer_range=0.5))
    model.save_pretrained(tmp_path / "made")
    content = (tmp_path / "made" / "model.safetensors").read_bytes()
    server.plan.content = content
    monkeypatch.setattr(gpt2, "GPT2", remote_of(server, content))
    config = GPTConfig(50257, 16, 2, 2, 8, activation="gelu_tanh")
    monkeypatch.setattr(gpt2, "CONFIG", config)
    monkeypatch.setenv("MINIGPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return model.eval()


def test_generate_downloads_gpt2_once_and_writes(small_gpt2, server, capsys):
    words = ["generate", "Hello, world", "--model", "gpt2", "--tokens", "9"]
    assert not gpt2.gpt2_is_here()
    assert main([*words, "--temperature", "0"]) == 0
    text = capsys.readouterr().out
    ids = gpt2.gpt2_tokenizer().encode("Hello, world")
    theirs = small_gpt2.generate(
        torch.tensor([ids]), max_new_tokens=9, do_sample=False, pad_token_id=0
    )[0].tolist()
    end = 50256
    theirs = theirs[: theirs.index(end)] if end in theirs else theirs
    assert text == gpt2.gpt2_tokenizer().decode(theirs) + "\n"
    assert gpt2.gpt2_is_here() and len(server.plan.asked) == 1
    assert main([*words, "--temperature", "0"]) == 0
    assert capsys.readouterr().out == text and len(server.plan.asked) == 1


def test_generate_without_a_network_is_one_clear_line(
    small_gpt2, monkeypatch, capsys
):
    dead = replace(gpt2.GPT2, url=dead_url())
    monkeypatch.setattr(gpt2, "GPT2", dead)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    assert main(["generate", "Hello", "--model", "gpt2"]) == 2
    out, err = capsys.readouterr()
    last = err.strip().splitlines()[-1]
    assert out == "" and last.startswith("error: model.safetensors could not")
    assert dead.url in last and str(gpt2.gpt2_folder()) in last


def test_a_folder_called_gpt2_comes_first(small_gpt2, server, capsys, tmp_path):
    os.rename(tmp_path / "made", tmp_path / "gpt2")
    assert main(["generate", "Hi", "--model", "gpt2", "--tokens", "2"]) == 0
    assert capsys.readouterr().out.startswith("Hi")
    assert server.plan.asked == []


def test_the_real_gpt2_is_pinned():
    assert gpt2.REVISION in gpt2.GPT2.url and gpt2.GPT2.url[:8] == "https://"
    assert len(gpt2.GPT2.sha256) == 64
    # weights and twelve masks in float32, and a header
    rest = gpt2.GPT2.n_bytes - 4 * (124_439_808 + 12 * 1024**2)
    assert 0 < rest < 20_000
