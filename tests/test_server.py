"""minigpt serve: the official client, many clients at once, and bad input."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
import torch

from minigpt.gpt import GPT, GPTConfig
from minigpt.run.server import Engine, running
from minigpt.sample import Sampling, generate
from minigpt.tokenizer import CharTokenizer

GREEDY = Sampling(temperature=0)
LETTERS = "abcdefghijklmnopqrstuvwxyz .,\nÄ"
tokenizer = CharTokenizer.train(LETTERS)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = GPTConfig(
        vocab_size=tokenizer.n_vocab, block_size=64, n_layer=2, n_head=2,
        n_embd=32,
    )  # fmt: skip
    model = GPT(config).eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 2:
                p.normal_(std=0.3)
    return model


@pytest.fixture(scope="module")
def address(model):
    engine = Engine(model, tokenizer, name="tiny", max_batch=8, max_waiting=92)
    with running(engine) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none") as client:
        yield client


def alone(model, prompt, n, sampling=GREEDY, seed=0):
    """What the model writes by itself."""
    steps = generate(
        model, torch.tensor([tokenizer.encode(prompt)]), n=n,
        sampling=sampling, generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    return tokenizer.decode([new.item() for new, _ in steps])


def test_the_official_client_gets_what_the_model_writes(client, model):
    assert [m.id for m in client.models.list()] == ["tiny"]
    answer = client.completions.create(
        model="tiny", prompt="hello", max_tokens=20, temperature=0
    )
    [choice] = answer.choices
    assert choice.text == alone(model, "hello", 20)
    assert choice.finish_reason == "length"
    assert answer.usage.prompt_tokens == 5
    assert answer.usage.completion_tokens == 20
    drawn = client.completions.create(
        model="tiny", prompt="hello", max_tokens=20, temperature=0.7,
        top_p=0.9, seed=3, n=2,
    )  # fmt: skip
    sampling = Sampling(0.7, top_p=0.9)
    for seed, choice in enumerate(drawn.choices, 3):
        assert choice.text == alone(model, "hello", 20, sampling, seed)


def test_a_stream_is_the_same_text_in_pieces(client, model):
    stream = client.completions.create(
        model="tiny", prompt="hello", max_tokens=20, temperature=0, stream=True
    )
    pieces = [chunk.choices[0] for chunk in stream]
    assert "".join(x.text for x in pieces) == alone(model, "hello", 20)
    assert len(pieces) > 5 and pieces[-1].finish_reason == "length"


def test_a_chat_continues_its_messages(client, model):
    messages = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hello"},
    ]
    text = alone(model, "be kind\n\nhello", 10)
    given = dict(model="tiny", messages=messages, temperature=0)
    answer = client.chat.completions.create(**given, max_tokens=10)
    assert answer.choices[0].message.content == text
    assert answer.choices[0].message.role == "assistant"
    stream = client.chat.completions.create(
        **given, max_completion_tokens=10, stream=True
    )
    assert "".join(x.choices[0].delta.content for x in stream) == text


def test_a_stop_sequence_ends_the_answer_and_is_left_out(client, model):
    text = alone(model, "hello", 30)
    stop = text[12:15]
    for stream in (False, True):
        got = client.completions.create(
            model="tiny", prompt="hello", max_tokens=30, temperature=0,
            stop=[stop, "never this"], stream=stream,
        )  # fmt: skip
        parts = [c.choices[0] for c in got] if stream else got.choices
        assert "".join(x.text for x in parts) == text[: text.index(stop)]
        assert parts[-1].finish_reason == "stop"


def test_an_answer_ends_where_the_context_ends(client):
    answer = client.completions.create(
        model="tiny", prompt="a" * 60, max_tokens=50, temperature=0
    )
    assert answer.usage.completion_tokens == 5  # 64 tokens, and one after
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize("stream", [False, True])
def test_64_clients_at_once_get_what_one_would_get_alone(
    address, model, stream
):
    """Nothing is lost, and nobody gets somebody else's text."""
    prompts = [LETTERS[i % 20 : i % 20 + 1 + i % 9] * 2 for i in range(64)]

    async def one(client, i):
        sampling = (
            dict(temperature=0) if i % 2 else dict(temperature=0.8, seed=i)
        )
        given = dict(model="tiny", prompt=prompts[i], max_tokens=5 + i % 30)
        got = await client.completions.create(
            **given, **sampling, stream=stream
        )
        if not stream:
            return got.choices[0].text
        return "".join([c.choices[0].text async for c in got])

    async def everybody():
        async with openai.AsyncOpenAI(
            base_url=f"{address}/v1", api_key="none", max_retries=0
        ) as client:
            return await asyncio.gather(*(one(client, i) for i in range(64)))

    for i, text in enumerate(asyncio.run(everybody())):
        sampling = Sampling(temperature=0 if i % 2 else 0.8)
        assert text == alone(model, prompts[i], 5 + i % 30, sampling, i)


# --- bad input ---------------------------------------------------------------


def post(address, body, path="/v1/completions", **headers):
    """Status and answer of raw bytes or of an object."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    request = urllib.request.Request(address + path, data, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


OK = {"prompt": "ab", "max_tokens": 2}
BAD = {
    "no JSON": (b"{'prompt': 1}", 400),
    "bytes": (b"\xff\xfe\x00", 400),
    "nothing": (b"", 400),
    "deep": (b"[" * 100_000, 400),
    "a list": ([OK], 400),
    "NaN": (b'{"prompt": "a", "temperature": NaN}', 400),
    "a huge number": (b'{"max_tokens": 1' + b"0" * 5000 + b"}", 400),
    "too large": (b'{"prompt": "' + b"a" * (1 << 20) + b'"}', 413),
    "no prompt": ({"max_tokens": 2}, 400),
    "an empty prompt": (OK | {"prompt": ""}, 400),
    "a number for a prompt": (OK | {"prompt": 3}, 400),
    "many prompts": (OK | {"prompt": ["a", "b"]}, 400),
    "a long prompt": (OK | {"prompt": "a" * 65}, 400),
    "a very long prompt": (OK | {"prompt": "a" * 100_000}, 400),
    "unknown letters": (OK | {"prompt": "\U0001f600"}, 400),
    "no tokens": (OK | {"max_tokens": 0}, 400),
    "half a token": (OK | {"max_tokens": 1.5}, 400),
    "true tokens": (OK | {"max_tokens": True}, 400),
    "cold": (OK | {"temperature": -1}, 400),
    "a text for a number": (OK | {"temperature": "1"}, 400),
    "top_p above 1": (OK | {"top_p": 1.5}, 400),
    "top_k of 0": (OK | {"top_k": 0}, 400),
    "too many choices": (OK | {"n": 9}, 400),
    "no choice": (OK | {"n": 0}, 400),
    "an empty stop": (OK | {"stop": ""}, 400),
    "stops of numbers": (OK | {"stop": [1]}, 400),
    "too many stops": (OK | {"stop": list("abcde")}, 400),
    "another model": (OK | {"model": "gpt-4"}, 404),
    "an unknown setting": (OK | {"__class__": 1}, 400),
    "messages": (OK | {"messages": []}, 400),
}  # fmt: skip
BAD_CHATS = {
    "no messages": {"messages": []},
    "a text": {"messages": "hello"},
    "texts": {"messages": ["hello"]},
    "a strange role": {"messages": [{"role": "king", "content": "a"}]},
    "no content": {"messages": [{"role": "user"}]},
    "parts": {"messages": [{"role": "user", "content": [{"text": "a"}]}]},
    "a prompt": {"prompt": "a", "messages": []},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_clear_error(address, case):
    body, status = BAD[case]
    got, answer = post(address, body)
    assert got == status and set(answer) == {"error"}
    assert 5 < len(answer["error"]["message"]) < 400
    assert post(address, OK)[0] == 200  # and the server lives


@pytest.mark.parametrize("case", BAD_CHATS)
def test_a_bad_chat_is_a_clear_error(address, case):
    got, answer = post(address, BAD_CHATS[case], "/v1/chat/completions")
    assert got == 400 and len(answer["error"]["message"]) > 5


def test_only_json_to_the_right_address_is_read(address):
    assert post(address, OK, content_type="text/plain")[0] == 415
    assert post(address, OK, "/v1/secrets")[0] == 404
    assert post(address, OK, "/v1/models")[0] == 405
    request = urllib.request.Request(
        address + "/v1/models", headers={"host": "evil.example"}
    )
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request)


def test_who_finds_the_queue_full_is_told_so(model):
    engine = Engine(model, tokenizer, max_batch=1, max_waiting=2)
    with running(engine) as address, ThreadPoolExecutor(12) as threads:
        long = OK | {"max_tokens": 60}
        found = list(threads.map(lambda _: post(address, long), range(12)))
        codes = {code for code, _ in found}
        assert codes == {200, 429}
        texts = {x["choices"][0]["text"] for code, x in found if code == 200}
        assert len(texts) >= 1
        assert post(address, OK)[0] == 200


def test_who_hangs_up_is_forgotten(model):
    engine = Engine(model, tokenizer, max_batch=2)
    with running(engine) as address:
        with openai.OpenAI(base_url=f"{address}/v1", api_key="x") as client:
            stream = client.completions.create(
                model="minigpt", prompt="ab", max_tokens=62, stream=True, n=8
            )
            next(iter(stream))
            stream.close()
        start = time.monotonic()
        while engine.open and time.monotonic() - start < 10:
            time.sleep(0.01)
        pool = engine.scheduler.pool
        assert not engine.open and len(pool.free) == len(pool.users)


def test_an_engine_that_fails_says_so_and_goes_on(model, capsys):
    engine = Engine(model, tokenizer)
    with running(engine) as address:
        engine.scheduler.step = lambda: 1 / 0
        code, answer = post(address, OK)
        assert code == 500 and answer["error"]["type"] == "server_error"
        assert "ZeroDivisionError" in capsys.readouterr().err
        assert post(address, OK)[0] == 200


# --- the command -------------------------------------------------------------


def start(*more):
    return subprocess.Popen(
        [sys.executable, "-m", "minigpt", "serve", "--threads", "1", *more],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="signals differ on Windows")
def test_ctrl_c_finishes_what_runs():
    process = start("--port", "0")
    try:
        line = process.stdout.readline()
        address = line.split()[3].removesuffix("/v1;")
        body = {"prompt": "My", "max_tokens": 200, "temperature": 0}
        with ThreadPoolExecutor(1) as threads:
            answer = threads.submit(post, address, body)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            code, found = answer.result()
        assert code == 200 and found["usage"]["completion_tokens"] == 200
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()


def test_a_port_in_use_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--port", str(taken.getsockname()[1]))
        assert process.wait(60) == 2
        assert "error:" in process.stderr.read()
