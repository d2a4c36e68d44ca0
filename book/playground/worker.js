// The model behind the page, in a thread of its own: it answers messages and
// between two tokens looks whether there is a new one.
//
// in:   load · look · write · stop · heads · lens · measure
// out:  progress · ready · failed · ids · state · token · done · lens · loss

const all = { model: null, tokenizer: null, run: null, spare: null, ids: [],
  end: undefined, serial: 0, busy: false, stop: false };

const say = (message, transfer = []) => self.postMessage(
  { serial: all.serial, ...message }, transfer);

// Let waiting messages in. Several tasks may breathe at a time.
const channel = new MessageChannel();
const breathing = [];
channel.port1.onmessage = () => breathing.shift()();
function breathe() {
  return new Promise((done) => {
    breathing.push(done);
    channel.port2.postMessage(0);
  });
}

// For a long task: does it still count? Not when the text has changed, nor
// when the same was asked for again.
const turns = {};
function begun(task) {
  const { serial } = all;
  const turn = (turns[task] || 0) + 1;
  turns[task] = turn;
  return () => serial === all.serial && turn === turns[task];
}

async function load({ files }) {
  const total = files.reduce((n, file) => n + file.bytes, 0);
  let before = 0;
  const found = {};
  let kept = true;
  for (const file of files) {
    const from = before;
    const answer = await loadFile(file, (got) => say({ say: "progress",
      got: from + got, total }));
    found[file.name] = answer.buffer;
    kept &&= answer.kept;
    before += file.bytes;
    say({ say: "progress", got: before, total });
  }
  const text = new TextDecoder().decode(found["tokenizer.json"]);
  open(gptRead(found["model.safetensors"]), JSON.parse(text));
  say({ say: "ready", config: all.model.config, kept,
    tokens: all.tokenizer.tokens, special: all.tokenizer.special,
    letters: all.tokenizer.letters });
}

function open(model, file) {
  all.tokenizer = bpeLoad(file);
  const { vocab_size: V } = model.config;
  if (all.tokenizer.tokens.length !== V) {
    throw new Error(`the tokenizer has ${all.tokenizer.tokens.length} tokens, `
      + `the model ${V}`);
  }
  const end = all.tokenizer.special.indexOf("<|endoftext|>");
  all.end = end < 0 ? undefined
    : V - all.tokenizer.special.length + end;
  all.model = model;
  all.weights = gptWeights(model);
  all.run = new GptRun(model.config, all.weights);
  all.spare = null;
}

// Compute what is new about the text; an empty one is an end-of-text token,
// after which a document begins.
function update() {
  const ids = shownIds();
  const start = gptStart(ids.length, all.model.config.block_size);
  all.run.read(ids.slice(start));
  return { ids, start };
}

function shownIds() {
  return all.ids.length ? all.ids : [all.end ?? 0];
}

// Every message carries the text that the page shows, as ids where they are
// known, and the number of its last change. A new number is a new text.
function accept({ serial, text, ids }) {
  if (serial === undefined || serial === all.serial) return;
  all.serial = serial;
  all.stop = true;
  all.ids = ids || bpeEncode(all.tokenizer, text);
  say({ say: "ids", ids: all.ids });
}

// What the page shows: ids, the distribution after one place, the maps.
function look({ place = null, knobs, most = 12, maps = true }) {
  const { ids, start } = update();
  const T = all.run.length;
  const p = place === null ? T - 1 : Math.min(Math.max(place - start, 0), T - 1);
  const logits = Float32Array.from(all.run.logits(p));
  const seen = new Set(ids.slice(0, start + p + 1));
  const next = ids[start + p + 1];
  const state = { say: "state", ids: all.ids, begun: ids, start,
    place: start + p, next, ...table(logits, seen, knobs, most, next) };
  const transfer = [];
  if (maps) {
    state.maps = packMaps();
    transfer.push(state.maps.data.buffer);
  }
  say(state, transfer);
}

// The likeliest tokens (and the one that follows in the text), with what the
// model gives them and what the knobs make of it.
function table(logits, seen, knobs, most, next) {
  const { probs, cutBy } = dialProbabilities(logits, seen, knobs);
  const plain = dialSoftmax(Array.from(logits));
  const order = plain.map((_, i) => i).sort(
    (a, b) => logits[b] - logits[a] || a - b);
  const line = (id, rank) => ({ id, rank, model: plain[id], after: probs[id],
    cut: cutBy[id] });
  const lines = order.slice(0, most).map(line);
  const rank = next === undefined ? -1 : order.indexOf(next);
  if (rank >= most) lines.push(line(next, rank));
  const bits = plain.reduce((sum, x) => sum - (x > 0 ? x * Math.log2(x) : 0),
    0);
  return { lines, bits: Math.abs(bits),
    keep: cutBy.filter((why) => !why).length };
}

// Attention weights of all heads, as pack(lower=True) of viz/base.py.
function packMaps() {
  const { n_layer: L, n_head: H, block_size } = all.model.config;
  const T = all.run.length;
  const rows = (n) => (n * (n + 1)) / 2;
  const data = new Float32Array(L * H * rows(T));
  for (let i = 0; i < L * H; i += 1) {
    const start = (i % H) * rows(block_size);
    data.set(all.run.maps[Math.floor(i / H)].subarray(start, start + rows(T)),
      i * rows(T));
  }
  return { dtype: "float32", shape: [L, H, T, T], lower: true,
    data: new DataView(data.buffer) };
}

// The throw that decides which token follows at a place: seed and place give
// it alone, so stepping, stopping and editing change nothing about it.
function throwAt(seed, place) {
  return dialDice((seed + Math.imul(place + 1, 0x9e3779b9)) >>> 0);
}

// Draw one token and take it into the text. -> false at the end of a document.
function step({ knobs, seed }) {
  const { ids } = update();
  const logits = all.run.logits(all.run.length - 1);
  const { probs } = dialProbabilities(logits, new Set(ids), knobs);
  const id = dialDraw(probs, throwAt(seed, ids.length));
  return take(id);
}

function take(id) {
  if (id === all.end) return false;
  all.ids = [...all.ids, id];
  say({ say: "token", ids: all.ids });
  return true;
}

async function write({ n, knobs, seed, id }) {
  if (all.busy) return;
  all.busy = true;
  all.stop = false;
  const begin = performance.now();
  let count = 0;
  let ended = false;
  while (count < n && !all.stop && !ended) {
    ended = id === undefined ? !step({ knobs, seed }) : !take(id);
    if (!ended) count += 1;
    await breathe();
  }
  if (count) update();
  all.busy = false;
  say({ say: "done", count, ended, stopped: all.stop,
    seconds: (performance.now() - begin) / 1000 });
}

// Every head that is off in `off`; the text is computed anew.
function heads({ off }) {
  all.run.off.set(off);
  all.run.length = 0;
}

// The likeliest token after each of the last places, from each layer.
async function lens({ most = 24 }) {
  const { ids, start } = update();
  const { n_layer: L } = all.model.config;
  const T = all.run.length;
  const rows = [];
  const counts = begun("lens");
  for (let p = Math.max(0, T - most); p < T; p += 1) {
    const cells = [];
    for (let l = 0; l <= L; l += 1) {
      const probs = dialSoftmax(Array.from(all.run.logits(p, l)));
      const id = probs.reduce((best, x, i) => (x > probs[best] ? i : best), 0);
      cells.push({ id, p: probs[id] });
    }
    rows.push({ place: start + p, id: ids[start + p], cells });
    await breathe();
    if (!counts()) return;
  }
  say({ say: "lens", rows });
}

// What switching off each head alone does to the loss on this text.
async function measure() {
  const { n_layer: L, n_head: H } = all.model.config;
  update();
  if (all.run.length < 2) {
    say({ say: "loss", error: "a loss needs at least two tokens" });
    return;
  }
  all.spare ||= new GptRun(all.model.config, all.weights);
  const { run, spare } = all;
  const counts = begun("measure");
  const before = run.loss();
  const changes = new Float64Array(L * H);
  for (let head = 0; head < L * H; head += 1) {
    spare.off.set(run.off);
    spare.off[head] = 1;
    if (!run.off[head]) {
      spare.follow(run, Math.floor(head / H));
      changes[head] = spare.loss() - before;
    }
    await breathe();
    if (!counts()) return;
    say({ say: "loss", before, changes: changes.slice(), done: head + 1,
      of: L * H, tokens: run.length });
  }
}

const tasks = { load, look, write, heads, lens, measure,
  stop() { all.stop = true; } };

self.onmessage = async ({ data }) => {
  try {
    accept(data);
    await tasks[data.do](data);
  } catch (error) {
    all.busy = false;
    say({ say: "failed", what: data.do,
      why: error instanceof LoadError ? error.message
        : `${error.name}: ${error.message}` });
  }
};
