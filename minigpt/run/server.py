"""`python -m minigpt serve`: an OpenAI-compatible endpoint on this machine.

An engine runs the scheduler of chapter 21 in a thread of its own. A web
application hands requests to it and sends back what is written. Nothing that
comes in is trusted: sizes and types are checked before anything is computed.
"""

import asyncio
import contextlib
import json
import math
import socket
import sys
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass, fields

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from minigpt.run.corpus import end_token
from minigpt.run.models import load_model
from minigpt.run.options import Serve, check
from minigpt.sample import Sampling
from minigpt.serving import Pool, Request, Scheduler

LARGEST = 1 << 20  # bytes of a request
CHOICES = 8  # answers to one request
STOPS = 4  # stop sequences of one request
ROLES = ("system", "user", "assistant")
LOCAL = ("127.0.0.1", "localhost")


# --- the engine --------------------------------------------------------------


@dataclass(eq=False)
class Order(Request):
    """A request for which a coroutine waits."""

    def __post_init__(self):
        super().__post_init__()
        self.loop, self.news = asyncio.get_running_loop(), asyncio.Event()

    def tell(self):
        """Wake the coroutine, from another thread."""
        with contextlib.suppress(RuntimeError):  # its loop has ended
            self.loop.call_soon_threadsafe(self.news.set)


class Engine:
    """A model at work for many: a scheduler that runs in its own thread.

    At most `max_batch` requests are computed at a time, and `max_waiting`
    more can be queued.
    """

    def __init__(
        self, model, tokenizer, *, name="minigpt", max_batch=16, max_waiting=64
    ):  # fmt: skip
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.max_batch, self.most = max_batch, max_batch + max_waiting
        self.open = set()  # orders that are not finished
        self.new, self.unwanted = deque(), deque()
        self.wake, self.closing = threading.Event(), False
        self.scheduler = self.new_scheduler()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def new_scheduler(self):
        """A scheduler whose memory suffices for a full batch."""
        config = self.model.config
        blocks = self.max_batch * math.ceil(config.block_size / 16)
        pool = Pool(config, blocks)
        return Scheduler(self.model, pool, max_batch=self.max_batch)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        """Finish what runs, then stop."""
        self.closing = True
        self.wake.set()
        self.thread.join()

    def submit(self, orders):
        """Queue orders. Raises HTTPException 429 where there is no room."""
        if len(self.open) + len(orders) > self.most or self.closing:
            raise HTTPException(429, "the queue is full; try again later")
        self.open.update(orders)
        self.new.extend(orders)
        self.wake.set()

    async def answer(self, order):
        """Yields the ids of a submitted order as they are written."""
        seen, ended = 0, False
        try:
            while not ended:
                await order.news.wait()
                order.news.clear()
                ended = bool(order.finished)  # asked before written is read
                new, seen = order.written[seen:], len(order.written)
                for i in new:
                    yield i
        finally:
            if not ended:
                self.unwanted.append(order)
                self.wake.set()

    def work(self):
        """The thread: take in what came, do a step, tell who was served."""
        while self.open or not self.closing:
            self.wake.wait(None if not self.scheduler.is_busy() else 0)
            self.wake.clear()
            try:
                while self.new:
                    self.scheduler.add(self.new.popleft())
                while self.unwanted:
                    self.forget(self.unwanted.popleft())
                served = self.scheduler.step()
            except Exception as error:  # nobody shall wait for ever
                served = self.fail(error)
            for order in served:
                order.tell()
                if order.finished:
                    self.open.discard(order)

    def forget(self, order):
        """Nobody wants this answer any more."""
        self.scheduler.cancel(order)
        self.open.discard(order)

    def fail(self, error):
        """Everybody is told that there was an error; the engine starts anew."""
        print(f"the engine failed: {error!r}", file=sys.stderr, flush=True)
        self.scheduler, served = self.new_scheduler(), list(self.open)
        for order in served:
            order.finished = "error"
        return served


# --- what comes in -----------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """A request as it came: plain values, not checked yet."""

    model: str = ""
    prompt: str = ""
    messages: tuple = ()
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    n: int = 1
    stop: tuple = ()
    stream: bool = False
    user: str = ""


KINDS = {
    "a text": lambda x: isinstance(x, str),
    "a whole number": lambda x: type(x) is int and abs(x) < 2**63,
    "a number": lambda x: type(x) in (int, float) and math.isfinite(x),
    "true or false": lambda x: isinstance(x, bool),
    "a list": lambda x: isinstance(x, list),
}
EXPECTED = {
    "model": "a text", "prompt": "a text", "user": "a text",
    "messages": "a list", "max_tokens": "a whole number",
    "top_k": "a whole number", "seed": "a whole number",
    "n": "a whole number", "temperature": "a number", "top_p": "a number",
    "min_p": "a number", "stream": "true or false", "stop": "a list",
}  # fmt: skip


def refuse(text):
    """Raises HTTPException 400."""
    raise HTTPException(400, text)


async def read_body(request):
    """The JSON object of a request. Raises HTTPException for anything else."""
    kind = request.headers.get("content-type", "").split(";")[0].strip()
    if kind != "application/json":  # no page of another site can send it
        raise HTTPException(415, "content-type must be application/json")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise HTTPException(413, f"expected at most {LARGEST:,} bytes")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        refuse("the body is not valid JSON")
    if not isinstance(found, dict):
        refuse("the body must be a JSON object")
    return found


def read_wanted(body, chat):
    """A JSON object -> what is wanted, each value of its type."""
    if "max_completion_tokens" in body:
        body["max_tokens"] = body.pop("max_completion_tokens")
    if isinstance(body.get("stop"), str):
        body["stop"] = [body["stop"]]
    body = {name: x for name, x in body.items() if x is not None}
    other = "prompt" if chat else "messages"
    known = {f.name for f in fields(Wanted)} - {other}
    for name, value in body.items():
        if name not in known:
            refuse(f"{name[:40]!r} is not supported; known are {sorted(known)}")
        if not KINDS[EXPECTED[name]](value):
            refuse(f"{name} must be {EXPECTED[name]}")
    return Wanted(**body)


def read_prompt(wanted, chat):
    """The text to continue: the prompt, or all messages in paragraphs."""
    if not chat:
        return wanted.prompt
    texts = []
    for message in wanted.messages:
        is_fine = (
            isinstance(message, dict)
            and set(message) <= {"role", "content", "name"}
            and message.get("role") in ROLES
            and isinstance(message.get("content"), str)
        )
        if not is_fine:
            refuse(
                "each of messages must be an object with a role, one of "
                f"{', '.join(ROLES)}, and a content, a text"
            )
        texts.append(message["content"])
    return "\n\n".join(texts)


def new_orders(engine, wanted, chat):
    """What is wanted -> one order for each choice.

    Raises HTTPException for what the model cannot do.
    """
    w, most = wanted, engine.model.config.block_size
    if w.model not in ("", engine.name):
        raise HTTPException(404, f"the model here is {engine.name!r}")
    stops = w.stop
    if len(stops) > STOPS or not all(s and type(s) is str for s in stops):
        refuse(f"stop must be 1 to {STOPS} texts that are not empty")
    if not 1 <= w.n <= CHOICES:
        refuse(f"n must be 1 to {CHOICES}, got {w.n}")
    n = w.max_tokens
    if n is None:
        n = most if chat else 16
    if n < 1:
        refuse(f"max_tokens must be 1 or more, got {n}")
    text = read_prompt(w, chat)
    if not text:
        refuse("there is no text to continue")
    if len(text) > 50 * most:  # it cannot fit: do not encode it
        refuse(f"the prompt is longer than the context of {most} tokens")
    try:
        ids = engine.tokenizer.encode(text)
        sampling = Sampling(w.temperature, w.top_k, w.top_p, w.min_p)
    except ValueError as error:
        refuse(str(error))
    if len(ids) > most:
        refuse(f"expected at most {most} tokens (the context), got {len(ids)}")
    end = end_token(engine.tokenizer)
    stop = () if end is None else (end,)
    seed = uuid.uuid4().int if w.seed is None else w.seed
    return [
        Order(ids, n, sampling, stop, (seed + i) % 2**63) for i in range(w.n)
    ]


# --- what goes out -----------------------------------------------------------


async def pieces(engine, order, stops):
    """Yields the text of an answer in pieces, never half a character.

    A stop sequence ends it and is left out, so as many letters as could
    begin one are held back.
    """
    ids, shown, text = [], 0, ""
    held = max(map(len, stops), default=1) - 1
    answer = engine.answer(order)
    async with contextlib.aclosing(answer):
        async for i in answer:
            ids.append(i)
            text = engine.tokenizer.decode(ids).rstrip("\ufffd")
            found = [text.index(s) for s in stops if s in text]
            if found:
                order.finished = order.finished or "stop"
                yield text[shown : min(found)]
                return
            if len(text) - held > shown:
                yield text[shown : len(text) - held]
                shown = len(text) - held
    if order.finished == "error":
        raise HTTPException(500, "the server failed to compute an answer")
    text = engine.tokenizer.decode(ids)
    if len(text) > shown:
        yield text[shown:]


def frame(engine, chat, stream):
    """What all parts of an answer have in common."""
    kind = "text_completion"
    if chat:
        kind = "chat.completion.chunk" if stream else "chat.completion"
    return {
        "id": f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": engine.name,
    }


def choice(index, text, reason, chat, stream):
    """One choice of an answer, or a piece of it."""
    found = {"index": index, "finish_reason": reason, "logprobs": None}
    if not chat:
        return found | {"text": text}
    part = {"role": "assistant", "content": text}
    return found | {"delta" if stream else "message": part}


async def whole_answer(engine, orders, stops, chat):
    """All choices at once, as a dict."""

    async def collect(order):
        return "".join([x async for x in pieces(engine, order, stops)])

    texts = await asyncio.gather(*map(collect, orders))
    written = sum(len(r.written) for r in orders)
    read = len(orders[0].ids)
    return frame(engine, chat, False) | {
        "choices": [
            choice(i, text, r.finished, chat, False)
            for i, (r, text) in enumerate(zip(orders, texts, strict=True))
        ],
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        },
    }


async def events(engine, orders, stops, chat):
    """Server-sent events: a piece of a choice in each, and an end."""
    head, news = frame(engine, chat, True), asyncio.Queue()

    def event(data):
        return f"data: {json.dumps(data)}\n\n"

    async def follow(index, order):
        with contextlib.suppress(HTTPException):  # it ends with "error"
            async for text in pieces(engine, order, stops):
                await news.put(choice(index, text, None, chat, True))
        await news.put(choice(index, "", order.finished, chat, True))

    tasks = [asyncio.create_task(follow(*x)) for x in enumerate(orders)]
    try:
        left = len(orders)
        while left:
            part = await news.get()
            yield event(head | {"choices": [part]})
            left -= part["finish_reason"] is not None
    finally:  # also when the client has hung up
        for task in tasks:
            task.cancel()
    yield "data: [DONE]\n\n"


def make_app(engine, hosts=LOCAL):
    """The web application: three addresses, and errors as JSON."""

    async def complete(request):
        chat = "chat" in request.url.path
        wanted = read_wanted(await read_body(request), chat)
        orders = new_orders(engine, wanted, chat)
        engine.submit(orders)
        given = engine, orders, wanted.stop, chat
        if wanted.stream:
            kind = "text/event-stream"
            return StreamingResponse(events(*given), media_type=kind)
        return JSONResponse(await whole_answer(*given))

    async def models(request):
        found = {"id": engine.name, "object": "model", "created": 0}
        data = [found | {"owned_by": "minigpt"}]
        return JSONResponse({"object": "list", "data": data})

    async def error(request, error):
        kind = "server_error" if error.status_code >= 500 else (
            "invalid_request_error"
        )  # fmt: skip
        found = {"message": error.detail, "type": kind, "code": None}
        return JSONResponse({"error": found}, error.status_code, error.headers)

    return Starlette(
        routes=[
            Route("/v1/completions", complete, methods=["POST"]),
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
        ],
        exception_handlers={HTTPException: error},
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts])],
    )


# --- the command -------------------------------------------------------------


@contextlib.contextmanager
def running(engine, *, port=0):
    """Serve an engine from a thread, for tests and chapters -> its address."""
    with socket.create_server(("127.0.0.1", port)) as listening, engine:
        config = uvicorn.Config(make_app(engine), log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def serve(options: Serve) -> int:
    """Answers requests until Ctrl-C, and then finishes those that run."""
    check(options)
    if options.threads:
        torch.set_num_threads(options.threads)
    model, tokenizer = load_model(options.model)
    engine = Engine(
        model, tokenizer, name=options.model.name,
        max_batch=options.max_batch, max_waiting=options.max_waiting,
    )  # fmt: skip
    hosts = LOCAL if options.host in LOCAL else ("*",)
    config = uvicorn.Config(make_app(engine, hosts), log_level="warning")
    with socket.create_server((options.host, options.port)) as listening:
        port = listening.getsockname()[1]
        print(
            f"{engine.name} answers at http://{options.host}:{port}/v1; "
            "Ctrl-C ends it",
            flush=True,
        )
        with engine, contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run([listening])
    return 0
