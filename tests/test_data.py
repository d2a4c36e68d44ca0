"""Corpora, downloads, the split, batches, token files and padding."""

import hashlib
import re
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from minigpt import data
from minigpt.data import (
    Document,
    get_batch,
    load_corpus,
    load_text,
    open_tokens,
    pad,
    pad_batch,
    save_tokens,
    split_documents,
)

PLAY = "".join(f"LINE {i}: all the world's a test é.\n" for i in range(400))
BODY = PLAY.encode()
DEAD = "http://127.0.0.1:9/input.txt"  # nobody listens on the discard port


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# The default corpus


def test_the_default_corpus_is_what_the_course_says():
    docs = load_corpus()
    assert len(docs) == 249
    assert sum(len(d.text) for d in docs) == 12_181_093
    assert len(set("".join(d.text for d in docs))) == 106
    assert docs[0].author == "George Washington" and docs[0].year == 1790
    years = [d.year for d in docs]
    assert years == sorted(years)


def test_a_corpus_is_read_once():
    assert load_corpus("sotu") is load_corpus("sotu")


def test_importing_the_module_does_not_bring_pandas():
    code = "import sys, minigpt.data; sys.exit('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0


def test_an_unknown_corpus_lists_the_known_ones():
    with pytest.raises(ValueError, match="sotu, tinyshakespeare; got moby"):
        load_corpus("moby")


# The download


class Server:
    """Sends `body` to everyone and counts who asked."""

    def __init__(self, body, status=200):
        self.asked = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked += 1
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/input.txt"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """An empty cache; call it to say from where the play is to come."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MINIGPT_CACHE", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    sha256 = hashlib.sha256(BODY).hexdigest()

    def come_from(url):
        entry = (url, sha256, len(BODY))
        monkeypatch.setitem(data.DOWNLOADS, "tinyshakespeare", entry)
        return folder

    load_corpus.cache_clear()
    load_text.cache_clear()
    yield come_from
    load_corpus.cache_clear()
    load_text.cache_clear()


def test_a_download_is_kept_and_asked_for_once(shelf):
    with Server(BODY) as server:
        folder = shelf(server.url)
        (doc,) = load_corpus("tinyshakespeare")
        assert doc.text == PLAY
        load_corpus.cache_clear()
        assert load_corpus("tinyshakespeare")[0].text == PLAY
        assert server.asked == 1
    assert [p.name for p in folder.iterdir()] == ["tinyshakespeare.txt"]


def test_what_is_in_the_cache_needs_no_network(shelf):
    folder = shelf(DEAD)
    folder.mkdir()
    (folder / "tinyshakespeare.txt").write_bytes(BODY)
    assert load_corpus("tinyshakespeare")[0].text == PLAY


@pytest.mark.parametrize("damaged", [False, True])
def test_no_network_says_what_to_do(shelf, damaged):
    folder = shelf(DEAD)
    place = folder / "tinyshakespeare.txt"
    if damaged:
        folder.mkdir()
        place.write_bytes(BODY[:-1])
    with pytest.raises(ConnectionError) as error:
        load_corpus("tinyshakespeare")
    said = str(error.value)
    for part in (DEAD, f"{len(BODY):,} bytes", str(place), '"sotu", needs no'):
        assert part in said
    assert error.value.__suppress_context__, "one error, not a chain of them"


def test_a_missing_page_says_what_to_do(shelf):
    with Server(b"not here", status=404) as server:
        folder = shelf(server.url)
        with pytest.raises(ConnectionError, match="HTTPError.*needs no"):
            load_corpus("tinyshakespeare")
    assert list(folder.iterdir()) == []


def test_wrong_bytes_are_refused_and_not_kept(shelf):
    with Server(BODY.replace(b"world", b"w0rld")) as server:
        folder = shelf(server.url)
        with pytest.raises(ValueError, match="hash"):
            load_corpus("tinyshakespeare")
    assert list(folder.iterdir()) == []


def test_a_single_document_is_cut_by_characters(shelf):
    with Server(BODY) as server:
        shelf(server.url)
        train = load_text("tinyshakespeare", "train")
        val = load_text("tinyshakespeare", "val")
    assert train + val == PLAY
    assert len(train) == int(0.9 * len(PLAY))
    with pytest.raises(ValueError, match="train.*val.*got 'test'"):
        load_text("tinyshakespeare", "test")


# The split


def test_no_document_is_in_two_parts():
    split = split_documents(load_corpus())
    parts = split.train, split.val, split.test
    assert [len(p) for p in parts] == [224, 12, 13]
    names = [d.name for part in parts for d in part]
    assert sorted(names) == sorted(d.name for d in load_corpus())
    texts = [{d.text for d in part} for part in parts]
    assert not any(a & b for a, b in combinations(texts, 2))


def test_the_split_stays_what_it_was():
    """Every loss in the course depends on it."""
    found = {
        part: hashlib.sha256(load_text("sotu", part).encode()).hexdigest()[:12]
        for part in ("train", "val", "test")
    }
    assert found == {
        "train": "6f21a5cfe0f9",
        "val": "bfaaa37588da",
        "test": "dac83f0d57ed",
    }


def runs(text, n=8):
    words = re.findall(r"[a-z']+", text.lower())
    return {hash(tuple(words[i : i + n])) for i in range(len(words) - n + 1)}


def test_no_near_copy_stands_across_the_split():
    """No held-out document shares a fifth of its runs with one elsewhere.

    The most is 15 %: Johnson in 1868 repeats his message of 1867.
    """
    split = split_documents(load_corpus())
    part = {d.name: p for p, docs in vars(split).items() for d in docs}
    found = {d.name: runs(d.text) for d in load_corpus()}
    holders = {}
    for name, some in found.items():
        for run in some:
            holders.setdefault(run, []).append(name)
    shared = Counter(
        pair
        for names in holders.values()
        if len(names) > 1
        for pair in combinations(names, 2)
    )
    share = {
        (a, b): n / min(len(found[a]), len(found[b]))
        for (a, b), n in shared.items()
    }
    across = {p: x for p, x in share.items() if part[p[0]] != part[p[1]]}
    assert max(share.values()) > 0.6, "Roosevelt's twins of 1945 are there"
    assert 0.1 < max(across.values()) < 0.2


def some_documents(n, per_year=1):
    return [
        Document(f"d{i}", 1900 + i // per_year, "A", f"text {i}")
        for i in range(n)
    ]


@given(
    n=st.integers(20, 80),
    per_year=st.integers(1, 3),
    val=st.floats(0.15, 0.4),
    test=st.floats(0.15, 0.4),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=50, deadline=None)
def test_any_split_is_whole_and_keeps_years_together(
    n, per_year, val, test, seed
):
    docs = some_documents(n, per_year)
    split = split_documents(docs, val=val, test=test, seed=seed)
    parts = split.train, split.val, split.test
    assert sorted(sum(parts, ()), key=docs.index) == docs
    years = [{d.year for d in part} for part in parts]
    assert not any(a & b for a, b in combinations(years, 2))
    groups = len({d.year for d in docs})
    assert len(years[1]) == round(val * groups)
    assert len(years[2]) == round(test * groups)
    assert all(list(p) == sorted(p, key=docs.index) for p in parts)


def test_the_seed_decides_the_split():
    docs = some_documents(100)
    assert split_documents(docs) == split_documents(docs, seed=0)
    assert split_documents(docs) != split_documents(docs, seed=1)


@pytest.mark.parametrize(
    "val, test", [(-0.1, 0.1), (0.1, -0.1), (0.5, 0.5), (1.0, 0), (0, 1.5)]
)
def test_fractions_out_of_range(val, test):
    with pytest.raises(ValueError, match=f"got val={val}, test={test}"):
        split_documents(some_documents(100), val=val, test=test)


def test_too_few_documents():
    for docs in ([], some_documents(8, per_year=8)):
        with pytest.raises(ValueError, match="every part"):
            split_documents(docs)
    split = split_documents(some_documents(1), val=0, test=0)
    assert len(split.train) == 1 and split.val == split.test == ()


# Batches


def test_targets_are_the_next_tokens():
    ids = torch.randint(1000, (500,), generator=generator())
    x, y = get_batch(ids, block_size=7, batch_size=40, generator=generator())
    assert x.shape == y.shape == (40, 7)
    assert x.dtype == y.dtype == torch.int64
    text = ids.tolist()
    windows = {tuple(text[i : i + 8]) for i in range(493)}
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        assert (*a, b[-1]) in windows and a[1:] == b[:-1]


def test_every_window_can_be_drawn_and_no_other():
    ids = torch.arange(10)
    x, y = get_batch(ids, block_size=7, batch_size=200, generator=generator())
    assert set(x[:, 0].tolist()) == {0, 1, 2}
    assert y.max() == 9
    x, y = get_batch(ids, block_size=9, batch_size=3, generator=generator())
    assert x.tolist() == [list(range(9))] * 3


def test_the_generator_decides_the_batch():
    ids, size = torch.arange(10_000), {"block_size": 8, "batch_size": 4}
    torch.manual_seed(1)
    a, _ = get_batch(ids, **size, generator=generator(5))
    torch.manual_seed(2)
    b, _ = get_batch(ids, **size, generator=generator(5))
    c, _ = get_batch(ids, **size, generator=generator(6))
    assert torch.equal(a, b) and not torch.equal(a, c)


@pytest.mark.parametrize("n_vocab", [2**16, 2**16 + 1])
def test_a_batch_from_disk_is_the_batch_from_memory(tmp_path, n_vocab):
    ids = torch.randint(n_vocab, (3000,), generator=generator())
    ids[::2] = n_vocab - 1  # the largest id must come through whole
    save_tokens(tmp_path / "t", ids, n_vocab)
    size = {"block_size": 16, "batch_size": 8}
    here = get_batch(ids, **size, generator=generator())
    there = get_batch(
        open_tokens(tmp_path / "t"), **size, generator=generator()
    )
    assert torch.equal(here[0], there[0]) and torch.equal(here[1], there[1])
    assert there[0].dtype == torch.int64


@pytest.mark.parametrize("block_size", [10, 11])
def test_a_window_that_does_not_fit(block_size):
    with pytest.raises(AssertionError, match="10 tokens"):
        get_batch(
            torch.arange(10),
            block_size=block_size,
            batch_size=1,
            generator=generator(),
        )


# Token files


@pytest.mark.parametrize(
    "n_vocab, width", [(1, 2), (2**16, 2), (2**16 + 1, 4), (2**32, 4)]
)
def test_a_token_file_gives_back_what_was_written(tmp_path, n_vocab, width):
    ids = [0, n_vocab - 1, n_vocab // 2, 0]
    for each in (ids, torch.tensor(ids), np.array(ids)):
        save_tokens(tmp_path / "t", each, n_vocab)
        back = open_tokens(tmp_path / "t")
        assert back.tolist() == ids and back.itemsize == width
    assert isinstance(back, np.memmap)
    assert np.load(tmp_path / "t").tolist() == ids
    with pytest.raises(ValueError, match="read-only"):
        back[0] = 1


@pytest.mark.parametrize("ids", [[1, 2, 10], [-1]])
def test_wrong_ids_leave_the_older_file_alone(tmp_path, ids):
    save_tokens(tmp_path / "t", [7, 8], 10)
    with pytest.raises(AssertionError, match="below 10"):
        save_tokens(tmp_path / "t", ids, 10)
    assert open_tokens(tmp_path / "t").tolist() == [7, 8]
    assert [p.name for p in tmp_path.iterdir()] == ["t"]


@pytest.mark.parametrize("size", [0, 1, 127, 128, 147])
def test_a_file_cut_short_is_refused(tmp_path, size):
    path = tmp_path / "t"
    save_tokens(path, range(10), 10)
    whole = path.read_bytes()
    assert len(whole) == 148
    path.write_bytes(whole[:size])
    with pytest.raises((ValueError, EOFError)):
        open_tokens(path)


# Padding

SPECIAL = {"bos": 20, "eos": 21, "pad_id": 22}


def test_padding_fills_the_rectangle():
    x, targets, mask = pad_batch([[1, 2], []], **SPECIAL)
    assert x.tolist() == [[20, 1, 2], [20, 22, 22]]
    assert targets.tolist() == [[1, 2, 21], [21, -100, -100]]
    assert mask.tolist() == [[True] * 3, [True, False, False]]
    assert x.dtype == targets.dtype == torch.int64


class Recurrent(torch.nn.Module):
    """A model that looks back, so that a wrong input shows in the loss."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = torch.nn.Embedding(23, 8)
        self.gru = torch.nn.GRU(8, 8, batch_first=True)
        self.head = torch.nn.Linear(8, 23)

    def forward(self, idx):
        return self.head(self.gru(self.embed(idx))[0])


@given(
    st.lists(st.lists(st.integers(0, 19), max_size=6), min_size=1, max_size=5)
)
@settings(max_examples=40, deadline=None)
def test_the_padded_loss_is_the_unpadded_loss(sequences):
    model = Recurrent().double()
    x, targets, mask = pad_batch(sequences, **SPECIAL)
    padded = cross_entropy(model(x).flatten(0, 1), targets.flatten())
    total, n = 0.0, 0
    for ids in sequences:
        row = torch.tensor([[20, *ids, 21]])
        logits = model(row[:, :-1])[0]
        total += cross_entropy(logits, row[0, 1:], reduction="sum").item()
        n += len(ids) + 1
    assert padded.item() == pytest.approx(total / n, abs=1e-12)
    assert mask.sum() == n and torch.equal(mask, targets != -100)


@given(st.lists(st.lists(st.integers(0, 19)), min_size=1), st.booleans())
def test_the_mask_finds_the_rows_again(rows, left):
    ids, mask = pad(rows, 22, left=left)
    assert ids.shape == mask.shape == (len(rows), max(map(len, rows)))
    assert [i[m].tolist() for i, m in zip(ids, mask, strict=True)] == rows
    assert (ids[~mask] == 22).all()
    edge = mask if left else mask.flip(1)
    assert (edge[:, :-1] <= edge[:, 1:]).all(), "padding is on one side"
