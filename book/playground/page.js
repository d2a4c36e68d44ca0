// The playground: what the reader does becomes messages to the worker, and
// what the worker says becomes the page.

const PG_LONGEST = 20000; // characters
const PG_MOST = 1000; // tokens to write in one go
// What a text can begin with, for each model: the text, and what it shows.
const PG_EXAMPLES = {
  second_term: [["I ask the Congress to", "20th century"],
    ["Fellow citizens, the", "19th century"],
    ["The state of the Union is", "a verdict"],
    ["We will not rest until every child in America has a", "a promise"]],
  world: [["Mia was in the kitchen.", "a story"],
    ["Tom had a red ball. He gave the ball to Mia. The ball was in",
      "who has it?"],
    ["Anna had five apples. She gave two apples to Ben. Anna had",
      "how many?"]],
};
const PG_SPEEDS = [[1, "1 a second"], [5, "5 a second"], [20, "20 a second"],
  [0, "all at once"]];
const PG_START = { seed: PG_RECORDED?.seed ?? 1,
  knobs: { t: 0.7, k: Infinity, p: 0.9 } };

function pgExamples({ name, examples }) {
  return examples ?? PG_EXAMPLES[name] ?? Object.values(PG_EXAMPLES)[0];
}

// --- settings ---------------------------------------------------------------

// Which tokens may be drawn. onChange(): one of the knobs has been turned.
function pgKnobs(onChange) {
  const knobs = { ...PG_START.knobs, m: 0, penalty: 1 };
  const change = (name, value) => {
    knobs[name] = value;
    onChange();
  };
  const ks = [...dialKs(500), Infinity];
  const off = (text) => (["Infinity", "1.00"].includes(text) ? "off" : text);
  const steppers = {
    t: mgStepper({ label: "temperature", min: 0, max: 20, value: 7,
      onInput: (v) => change("t", v / 10),
      format: (v) => (v === 0 ? "0 (greedy)" : (v / 10).toFixed(1)) }),
    k: mgStepper({ label: "top-k", min: 0, max: ks.length - 1,
      value: ks.length - 1, onInput: (v) => change("k", ks[v]),
      format: (v) => off(String(ks[v])) }),
    p: mgStepper({ label: "top-p", min: 1, max: 20, value: 18,
      onInput: (v) => change("p", v / 20),
      format: (v) => off((v / 20).toFixed(2)) }),
  };
  function set(wanted) {
    const { t, k, p } = { ...PG_START.knobs, ...pgDefined(wanted) };
    const nearest = ks.reduce((best, x, i) => (
      Math.abs(x - k) < Math.abs(ks[best] - k) ? i : best), 0);
    steppers.t.set(Math.round(10 * t), true);
    steppers.k.set(k === Infinity ? ks.length - 1 : nearest, true);
    steppers.p.set(Math.round(20 * p), true);
    Object.assign(knobs, { t: steppers.t.value / 10,
      k: ks[steppers.k.value], p: steppers.p.value / 20 });
  }
  const el = mgEl("div", { class: "mg-pg-knobs" },
    Object.values(steppers).map((stepper) => stepper.el));
  return { el, knobs, set };
}

function pgDefined(object) {
  return Object.fromEntries(Object.entries(object).filter(
    ([, value]) => value !== undefined));
}

// How much is written, how fast, and with which seed. onSeed(): it changed.
function pgPace(onSeed) {
  const field = (most, value, oninput) => mgEl("input", { type: "number",
    min: 0, max: most, step: 1, value, oninput,
    class: "mg-select mg-pg-number" });
  const seed = field(4294967295, PG_START.seed, () => onSeed());
  const count = field(PG_MOST, 50);
  const speed = mgSelect({ label: "speed", options: PG_SPEEDS,
    value: mgCalm() ? 0 : 20, onChange: () => {} });
  const another = mgButton("another seed", () => {
    seed.value = String(Math.floor(Math.random() * 1e6));
    onSeed();
  });
  const el = mgEl("div", { class: "mg-bar mg-pg-pace" },
    mgEl("label", {}, "tokens to write ", count), speed.el,
    mgEl("label", {}, "seed ", seed), another);
  const whole = (input, least, most) => Math.min(most, Math.max(least,
    Math.round(Number(input.value)) || 0));
  return { el, get count() { return whole(count, 1, PG_MOST); },
    get speed() { return Number(speed.select.value); },
    get seed() { return whole(seed, 0, 4294967295); },
    set seed(value) { seed.value = String(value); } };
}

// --- loading ----------------------------------------------------------------

function pgMegabytes(files) {
  const bytes = files.reduce((n, file) => n + file.bytes, 0);
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

// Which model: one radio button each.
function pgSwitch(models, onChoose) {
  const name = mgId("model");
  const inputs = models.map((model, i) => mgEl("input", { type: "radio", name,
    checked: i === 0, autocomplete: "off", onchange: () => onChoose(model) }));
  const el = mgEl("fieldset", { class: "mg-pg-models" },
    mgEl("legend", { class: "mg-title" }, "Model"),
    models.map((model, i) => mgEl("label", {}, inputs[i],
      mgEl("span", {}, mgEl("b", {}, model.label), " ",
        mgEl("span", { class: "mg-help" }, `${model.about} `
          + `${pgMegabytes(model.files)}.`)))));
  const show = (model) => {
    inputs[models.indexOf(model)].checked = true;
  };
  return { el, show };
}

function pgLoader({ files, here, onLoad, onAgain }) {
  const total = files.reduce((n, file) => n + file.bytes, 0);
  const status = mgEl("p", { role: "status", "aria-live": "polite" });
  const bar = mgEl("progress", { max: total, value: 0, hidden: true,
    "aria-label": "loading the model" });
  const button = mgButton(`Load the model, ${pgMegabytes(files)}`, start,
    { class: "mg-button mg-pg-main" });
  const again = mgButton("play it again", onAgain);
  const el = mgEl("div", { class: "mg-pg-load" },
    mgEl("p", { class: "mg-pg-lead" }, onAgain
      ? "A recording. Now take the pen." : "Take the pen."),
    mgEl("p", {}, "The model runs in this page: nothing you type leaves "
      + `your machine. ${here ? "" : "Its weights are loaded when you ask for "
        + "them, and your browser keeps them for the next visit."}`),
    mgEl("div", { class: "mg-bar" }, button, onAgain ? again : null),
    bar, status);
  function start() {
    if (button.disabled) return;
    button.disabled = true;
    bar.hidden = false;
    bar.value = 0;
    status.textContent = "Loading…";
    onLoad();
  }
  function progress({ got }) {
    bar.value = got;
    bar.textContent = `${Math.round((100 * got) / total)} %`;
  }
  function failed(why) {
    status.textContent = `Not loaded: ${why}.`;
    button.textContent = "Try again";
    button.disabled = false;
    bar.hidden = true;
  }
  return { el, start, progress, failed };
}

// The recorded example, token by token, on the stage of the page.
function pgPlayer(stage, { own, tokens, steps }) {
  let timer = null;
  function show(k) {
    const read = Float32Array.from(steps[k].read, (w) => w / 255);
    stage.show({ before: "", pieces: tokens.slice(0, own + k), written: own,
      place: own + k - 1, read, next: steps[k].next.map(
        ([text, share]) => ({ text, share: share / 1000 })) });
    stage.scroll.scrollTop = stage.scroll.scrollHeight;
  }
  function from(k) {
    show(k);
    clearTimeout(timer);
    if (k + 1 < steps.length) timer = setTimeout(() => from(k + 1), 320);
  }
  return { play: () => from(mgCalm() ? steps.length - 1 : 0),
    stop: () => clearTimeout(timer) };
}

// --- what the reader can do with the text -----------------------------------

function pgActions({ onWrite, onStop, onBack, onMine, onExample, onLink,
  onPicture }) {
  const buttons = {
    go: pgButton("continue", () => onWrite(), { class: "mg-button mg-pg-main",
      title: "Ctrl+Enter" }),
    one: pgButton("one token", () => onWrite(1)),
    stop: pgButton("stop", onStop, { title: "Escape" }),
    back: pgButton("take one back", onBack),
    mine: pgButton("back to my text", onMine),
  };
  const share = mgEl("div", { class: "mg-bar" },
    mgButton("copy link", onLink), mgButton("copy image", onPicture));
  const examples = mgEl("div", { class: "mg-pg-cards" });
  function offer(texts) {
    examples.replaceChildren(...texts.map(([text, shows]) => mgEl("button", {
      type: "button", class: "mg-pg-card", onclick: (event) => {
        if (event.currentTarget.getAttribute("aria-disabled") !== "true") {
          onExample(text);
        }
      } }, mgEl("small", { class: "mg-soft" }, shows), text)));
  }
  function allow({ examples: is, ...can }) {
    for (const name of Object.keys(can)) pgAllow(buttons[name], can[name]);
    for (const card of examples.children) pgAllow(card, is);
  }
  return { bar: mgEl("div", { class: "mg-bar" }, Object.values(buttons)),
    share, examples, offer, allow };
}

// --- all of it --------------------------------------------------------------

// `now` is the text that the page shows, `mine` the one that the reader typed
// last: { text, ids }, ids as soon as the worker has said them. Each change
// has a number, the serial. All messages carry it, and the text with it, so
// that the worker means the same text; answers for an older one are dropped.
//
// The address says how `now` came about: `base`, a text or ids, and how many
// tokens the model has `grown` it by since, with the settings as they are.
class Playground {
  constructor(box) {
    const { root } = mgWidget(box, { label: "Playground",
      redraw: () => this.redraw() });
    this.models = JSON.parse(box.dataset.models);
    this.stage = pgStage({ onText: () => this.typed(),
      onPlace: (i) => this.choosePlace(i), onHover: (i) => this.hover(i),
      onChoose: (id) => this.put(id), onKey: (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          this.write();
        }
      } });
    this.actions = pgActions({ onWrite: (n) => this.write(n),
      onStop: () => this.stop(), onBack: () => this.back(),
      onMine: () => this.take(this.mine), onExample: (t) => this.example(t),
      onLink: () => this.copyLink(), onPicture: () => this.copyPicture() });
    this.status = mgReadout();
    this.detail = mgReadout();
    this.knobs = pgKnobs(() => this.turned());
    this.pace = pgPace(() => this.turned());
    this.views = mgEl("div", { class: "mg-pg-views" });
    this.room = mgEl("div", { class: "mg-pg-room" }); // for the loader
    this.bench = mgEl("div", {}, this.status.el, this.actions.bar,
      this.pace.el, this.actions.share, this.actions.examples,
      this.detail.el);
    const mine = { text: "" };
    Object.assign(this, { root, box, mine, now: mine, examples: [""],
      serial: 0, loaded: new Set(), head: null, place: null, base: mine,
      grown: 0, kept: true });
    this.switch = pgSwitch(this.models, (model) => {
      this.wanted = null;
      this.choose(model);
    });
    root.append(this.models.length > 1 ? this.switch.el : "", mgEl("div",
      { class: "mg-pg-columns" }, mgEl("div", { class: "mg-pg-left" },
        this.stage.el, this.bench), this.room, this.views));
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.writing) this.stop();
    });
    addEventListener("popstate", () => this.follow(location.hash));
    const wanted = addressRead(location.hash);
    if (wanted) this.restore(wanted);
    else this.choose(this.models[0]);
  }

  redraw() {
    this.heads?.draw();
    this.stage?.redraw();
  }

  // --- the model

  // The text and the settings stay, all else begins anew.
  choose(model) {
    this.end();
    this.tabs = null;
    this.model = model;
    this.switch.show(model);
    this.player?.stop();
    this.player = PG_RECORDED?.model === model.name
      ? pgPlayer(this.stage, PG_RECORDED) : null;
    this.loader = pgLoader({ files: model.files, here: startIsHere(model),
      onLoad: () => this.load(), onAgain: this.player?.play });
    this.room.replaceChildren(this.loader.el);
    this.bench.hidden = true;
    this.views.hidden = true;
    this.stage.play(true);
    this.stage.el.hidden = !this.player;
    this.player?.play();
    if (this.loaded.has(model) || startIsHere(model)) this.loader.start();
  }

  load() {
    const { static: folder, version } = this.box.dataset;
    this.end();
    const begun = {};
    this.begun = begun;
    startWorker({ folder, version, model: this.model }).then((worker) => {
      if (this.begun !== begun) {
        worker.terminate();
        return;
      }
      this.worker = worker;
      worker.onmessage = ({ data }) => this[`on_${data.say}`](data);
      worker.onerror = () => this.loader.failed(startRefused());
    }, (error) => {
      if (this.begun === begun) this.loader.failed(error.message);
    });
  }

  // Nothing that the worker has said or will say counts any more.
  end() {
    this.begun = null;
    clearTimeout(this.writing?.timer);
    this.writing = null;
    if (!this.worker) return;
    this.worker.onmessage = null;
    this.worker.terminate();
  }

  on_progress(data) {
    this.loader.progress(data);
  }

  on_ready({ config, tokens, special, letters, kept }) {
    this.loaded.add(this.model);
    Object.assign(this, { config, vocabulary: { tokens, special, letters },
      writing: null, waiting: false, again: false, drawn: null, head: null });
    this.player?.stop();
    this.build(config);
    this.room.replaceChildren();
    for (const part of [this.bench, this.views, this.stage.el]) {
      part.hidden = false;
    }
    this.stage.play(false);
    const untouched = this.examples.includes(this.mine.text);
    const offered = pgExamples(this.model);
    this.examples = offered.map(([text]) => text);
    this.actions.offer(offered);
    const said = `The model is ready${kept ? " (kept from before)" : ""}: `
      + `${config.n_layer} blocks of ${config.n_head} heads, `
      + `${config.n_embd} channels, ${config.vocab_size} tokens, reads at `
      + `most ${config.block_size}.`;
    if (this.wanted) {
      this.apply(this.wanted);
    } else {
      this.type(untouched ? this.examples[0] : this.mine.text, said);
      if (this.loaded.size > 1) this.note("begun");
    }
    // the button that loaded it is gone
    if (document.activeElement === document.body && !startIsHere(this.model)) {
      this.stage.area.focus({ preventScroll: true });
    }
  }

  build({ n_layer: L, n_head: H }) {
    const name = (id) => pgTokenText(this.vocabulary, id);
    this.name = name;
    this.next = pgNext({ name, onChoose: (id) => this.put(id) });
    this.reading = pgReading({ L, H, onHead: (head) => {
      this.head = head;
      this.note("view");
      this.look(this.state);
    } });
    this.lens = pgLens({ name });
    this.heads = pgHeads({ L, H, onOff: () => this.off(),
      onMeasure: () => this.send({ do: "measure" }) });
    this.tabs = pgTabs([["Attention", this.reading.el], ["Lens", this.lens.el],
      ["Heads", this.heads.el], ["Settings", mgEl("div", {}, this.knobs.el,
        this.next.el)]], () => this.lensed());
    this.views.replaceChildren(this.tabs.el);
    this.tabs.open(0);
  }

  // --- messages

  send(message) {
    const { text, ids } = this.now;
    this.worker.postMessage({ serial: this.serial, text, ids, ...message });
  }

  // The text or the heads have changed.
  change(message) {
    this.serial += 1;
    this.place = null;
    this.heads.forget();
    if (message) this.send(message);
    this.pull();
  }

  // Ask for the state; one question at a time, and no faster than the page
  // can draw the answers.
  pull() {
    this.again = this.waiting && !this.refused;
    if (!this.waiting && !this.refused) {
      this.waiting = true;
      this.send({ do: "look", place: this.place,
        knobs: { ...this.knobs.knobs } });
    }
    this.allow();
  }

  on_state(state) {
    const begin = performance.now();
    if (state.serial === this.serial) this.draw(state);
    // what is drawn with the next frame counts too
    requestAnimationFrame(() => setTimeout(() => {
      const pause = Math.max(mgCalm() ? 1000 : 100,
        4 * (performance.now() - begin));
      const fast = this.writing && !this.writing.speed;
      setTimeout(() => this.answered(), fast ? pause : 0);
    }));
  }

  answered() {
    this.waiting = false;
    if (this.again) this.pull();
    this.allow();
  }

  on_failed({ what, why }) {
    if (what === "load") {
      this.loader.failed(why);
      return;
    }
    this.writing = null;
    this.status.set(`This did not work: ${why}`);
    this.answered();
  }

  // --- text

  get refused() {
    return Boolean(this.now.fault);
  }

  // Why the model cannot read a text, or "".
  fault(text) {
    const count = (n) => n.toLocaleString("en-US");
    if (text.length > PG_LONGEST) {
      return `This text has ${count(text.length)} characters, and the page `
        + `takes at most ${count(PG_LONGEST)}. Shorten it to go on.`;
    }
    const { letters } = this.vocabulary;
    const stranger = letters && bpeStranger(letters, text);
    return stranger ? `This model knows ${count(letters.size)} characters, and `
      + `“${mgVisible(stranger, 12, " ")}” is not one of them. Take it out to `
      + "go on." : "";
  }

  // Buttons that cannot work are off. And for whoever drives the page: is
  // everything drawn?
  allow() {
    const { now, mine, refused } = this;
    const writing = Boolean(this.writing);
    const can = !writing && !refused;
    this.stage.area.readOnly = writing;
    this.actions.allow({ go: can, one: can, stop: writing,
      back: can && now.ids?.length, mine: !writing && now !== mine,
      examples: !writing });
    this.stage.allow(can);
    this.next.allow(can);
    this.heads.allow(can);
    this.views.inert = refused;
    this.root.dataset.busy = String(writing || this.waiting || this.again);
  }

  type(text, said) {
    this.stage.set(text);
    this.read(said);
  }

  example(text) {
    this.type(text);
    this.note("begun");
  }

  typed() {
    this.read();
    this.note("begun");
  }

  // Take what is in the box.
  read(said = "") {
    const text = this.stage.area.value;
    this.now = { text, fault: this.fault(text) };
    this.mine = this.now;
    this.found(this.now);
    this.status.set(this.now.fault || said);
    this.change();
  }

  // Tokens, which need not be those that their text would have.
  from(ids) {
    const text = bpeDecode(this.vocabulary, ids, { open: true });
    return { ids, text, exact: true };
  }

  take(text) {
    this.now = text;
    this.found(text);
    this.stage.set(text.text);
    this.change();
    this.note("begun");
  }

  // One token fewer is one the model has not written, if it wrote it.
  back() {
    const { base, grown } = this;
    this.take(this.from(this.now.ids.slice(0, -1)));
    if (grown) Object.assign(this, { base, grown: grown - 1 });
  }

  // What the worker made of the text that it was sent.
  on_ids({ ids, serial }) {
    if (serial === this.serial) this.now.ids = ids;
    this.allow();
  }

  // Token i of those in the window is the one that is looked at.
  choosePlace(i) {
    const { state } = this;
    if (this.writing || !state || state.serial !== this.serial) return;
    const end = state.begun.length - 1;
    const place = state.start + i === end ? null : state.start + i;
    if (place === this.place) return;
    this.place = place;
    this.note("view");
    this.pull();
  }

  // --- writing

  write(n = this.pace.count, id = undefined, speed = this.pace.speed) {
    if (this.writing || this.refused) return;
    this.writing = { left: n, count: 0, seconds: 0, id, speed };
    if (n > 1) this.status.set("Writing…");
    this.place = null;
    this.serial += 1;
    this.heads.forget();
    this.ask();
    this.pull();
  }

  // The next tokens: all of them, or one at a time.
  ask() {
    const { left, id, speed } = this.writing;
    this.send({ do: "write", n: speed ? 1 : left, id, seed: this.pace.seed,
      knobs: { ...this.knobs.knobs } });
  }

  // The reader chose what comes after the place that is shown.
  put(id) {
    const { ids } = this.now;
    if (this.place !== null && ids) {
      this.now = this.from(ids.slice(0, this.place + 1));
    }
    this.write(1, id);
  }

  stop() {
    if (!this.writing) return;
    if (this.writing.timer) this.wrote(false);
    else {
      this.writing.left = 0;
      this.send({ do: "stop" });
    }
  }

  on_token({ ids, serial }) {
    if (serial !== this.serial) return;
    this.now = this.from(ids);
    this.grown += 1;
    this.drawing ||= setTimeout(() => {
      this.drawing = null;
      this.pull();
    }, mgCalm() ? 1000 : this.writing?.speed ? 0 : 50);
  }

  on_done({ count, ended, stopped, seconds }) {
    const { writing } = this;
    if (!writing) return;
    writing.count += count;
    writing.seconds += seconds;
    writing.left -= count;
    if (!writing.speed || writing.left <= 0 || ended || stopped) {
      this.wrote(ended);
      return;
    }
    writing.timer = setTimeout(() => {
      writing.timer = null;
      this.ask();
    }, 1000 / writing.speed);
  }

  wrote(ended) {
    const { count, seconds, speed, id } = this.writing;
    clearTimeout(this.writing.timer);
    this.writing = null;
    this.drawn = null;
    if (id !== undefined || this.grown > PG_MOST) this.fold();
    this.place = this.wanted?.at ?? null;
    const rate = count > 5 && !speed
      ? ` (${Math.round(count / seconds)} a second)` : "";
    const end = ended ? "; here the model ended the document" : "";
    this.status.set(count === 1 && !ended
      ? `Added “${mgVisible(this.name(this.now.ids.at(-1)), 24)}”.`
      : `${count} token${count === 1 ? "" : "s"} written${rate}${end}.`);
    if (!this.wanted) this.note(count > 1 ? "done" : "begun");
    this.wanted = null;
    this.pull();
  }

  // --- what the page shows

  draw(state) {
    this.state = state;
    if (this.now.exact) this.stage.set(this.from(state.ids).text);
    const { mine, vocabulary } = this;
    const own = state.ids.findIndex((id, i) => id !== mine.ids[i]);
    const pieces = state.ids.length ? pgPieces(vocabulary, state.ids) : [""];
    this.view = { before: pieces.slice(0, state.start).join(""),
      pieces: pieces.slice(state.start), place: state.place - state.start,
      written: (own < 0 ? Infinity : own) - state.start,
      next: state.lines.map(({ id, after }) => ({ id, text: this.name(id),
        share: after, real: id === state.next })).sort(
        (a, b) => b.share - a.share).filter(({ share }) => share) };
    this.names = state.begun.slice(state.start).map(this.name);
    this.next.update(state, this.config.vocab_size);
    this.look(state);
    this.tell(this.view.place);
    const key = `${state.start}:${state.begun.join()}:${this.heads.off.join()}`;
    if (key !== this.drawn && !this.writing) this.lensed();
    this.drawn = key;
  }

  // The weights of token i that are drawn as arcs.
  reads(maps, i) {
    const rows = pgRows(maps, i);
    const [l, h] = this.head ?? [];
    return { rows, read: this.head ? rows[l * this.config.n_head + h]
      : pgMean(rows) };
  }

  look({ maps }) {
    const { view, names, head } = this;
    const { rows, read } = this.reads(maps, view.place);
    this.stage.show({ ...view, read });
    this.reading.update({ names, rows, read, head, maps });
  }

  // What token i reads, while the pointer is on it.
  hover(i) {
    if (this.writing || !this.state || this.state.serial !== this.serial) {
      return;
    }
    const at = i ?? this.view.place;
    this.stage.look(this.reads(this.state.maps, at).read, at);
    this.tell(at);
  }

  tell(i) {
    const { state, names, vocabulary } = this;
    const { ids, begun, start } = state;
    const text = pgCount(state, bpeOpenBytes(vocabulary, ids),
      Array.from(this.now.text).length);
    this.detail.set(`${text}Token ${start + i + 1}: `
      + `“${mgVisible(names[i], 40)}”, id ${begun[start + i]}.`,
    { quiet: true });
  }

  // The lens costs a row of products for every block: only who looks pays.
  lensed() {
    if (this.tabs?.now === "Lens" && this.worker) this.send({ do: "lens" });
  }

  on_lens({ rows, serial }) {
    if (serial === this.serial) this.lens.update(rows);
  }

  on_loss(data) {
    if (data.serial === this.serial) this.heads.update(data);
  }

  off() {
    this.fold();
    this.change({ do: "heads", off: this.heads.off });
    const n = this.heads.off.reduce((sum, x) => sum + x, 0);
    this.status.set(n ? `${n} head${n === 1 ? " is" : "s are"} switched off.`
      : "All heads are on.");
    this.note("begun");
  }

  turned() {
    if (!this.worker) return;
    this.fold();
    this.note("begun");
    this.pull();
  }

  // --- the address

  found(text) {
    this.base = text;
    this.grown = 0;
  }

  // What has been written so far becomes where the text begins: the settings
  // that wrote it are others now.
  fold() {
    if (this.grown) this.found(this.now);
  }

  get query() {
    const { base, grown, place, head } = this;
    return addressWrite({ text: base.text, ids: base.exact ? base.ids
      : null, model: this.model.name, seed: this.pace.seed,
    knobs: this.knobs.knobs, written: grown || null, at: place, head,
    off: this.heads?.pairs() ?? [] });
  }

  // Soon: a reader who types changes it with every letter. What has been
  // written stays for Back: what is begun after it is a step of its own.
  note(what) {
    if (what !== "view") {
      this.step ||= this.kept;
      this.kept = what === "done";
    }
    clearTimeout(this.noting);
    this.noting = setTimeout(() => this.noteNow(), 200);
  }

  noteNow() {
    clearTimeout(this.noting);
    addressShow(this.query, this.step);
    this.step = false;
  }

  // Back, forward, or another link to this page. A fragment that names no
  // text leads to a heading.
  follow(hash) {
    const wanted = addressRead(hash);
    if (wanted) this.restore(wanted);
    else if (!hash && this.loaded.size) {
      this.restore({ text: this.examples[0], knobs: {}, off: [],
        written: 0 });
    }
  }

  restore(wanted) {
    clearTimeout(this.noting);
    this.wanted = wanted;
    this.kept = true;
    const model = this.models.find((m) => m.name === wanted.model)
      ?? this.model ?? this.models[0];
    if (model === this.model && this.tabs && !this.writing) {
      this.apply(wanted);
    } else {
      this.choose(model);
      if (!this.loaded.has(model)) this.loader.start();
    }
  }

  // A link's state, in a model that has just been opened.
  apply({ ids, text, seed, knobs, written, at, head, off }) {
    const { n_layer: L, n_head: H, vocab_size: V } = this.config;
    this.pace.seed = seed ?? PG_START.seed;
    this.knobs.set(knobs);
    this.heads.set(off);
    this.head = head && head[0] < L && head[1] < H ? head : null;
    const known = ids?.length <= PG_LONGEST && ids.every((id) => id < V);
    this.type(known ? this.from(ids).text : text);
    if (known) {
      this.now = this.from(ids);
      this.mine = this.now;
      this.found(this.now);
    }
    this.change({ do: "heads", off: this.heads.off });
    this.place = at ?? null;
    if (written && !this.refused) this.write(written, undefined, 0);
    else {
      this.wanted = null;
      this.pull();
    }
  }

  async copyLink() {
    this.noteNow();
    try {
      await navigator.clipboard.writeText(location.href);
      this.status.set("The link is in your clipboard: it leads to this very "
        + `text${addressIsLocal() ? ", on this machine" : ""}.`);
    } catch {
      this.status.set(`The link to this very text: ${location.href}`);
    }
  }

  async copyPicture() {
    this.noteNow();
    const { t, k, p } = this.knobs.knobs;
    const { view, model, pace } = this;
    const settings = [model.label, `temperature ${t}`,
      k < Infinity ? `top-k ${k}` : "", p < 1 ? `top-p ${p}` : "",
      `seed ${pace.seed}`].filter(Boolean).join(" · ");
    const canvas = pictureDraw({ pieces: [view.before, ...view.pieces],
      written: view.written + 1, foot: addressIsLocal() ? [settings]
        : [settings, location.href] });
    this.status.set(await pictureKeep(canvas));
  }
}

document.querySelectorAll(".mg-playground[data-models]").forEach(
  (box) => new Playground(box));
