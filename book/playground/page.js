// The playground: what the reader does becomes messages to the worker, and
// what the worker says becomes the page.

const PG_LONGEST = 20000; // characters
// What the text begins with, for each model.
const PG_EXAMPLES = {
  second_term: ["Fellow-Citizens of the Senate and House of",
    "The state of the Union is", "We must not forget that the American"],
  world: ["Mia was in the kitchen.",
    "Tom had a red ball. He gave the ball to Mia. The ball was in",
    "Anna had five apples. She gave two apples to Ben. Anna had"],
};

// --- settings -----------------------------------------------------------------

function pgKnobs(onChange) {
  const knobs = { t: 0.7, k: Infinity, p: 0.9, m: 0, penalty: 1 };
  const set = (name, value) => {
    knobs[name] = value;
    onChange();
  };
  const ks = [...dialKs(500), Infinity];
  const steppers = [
    mgStepper({ label: "temperature", min: 0, max: 20, value: 7,
      onInput: (v) => set("t", v / 10),
      format: (v) => (v === 0 ? "0 (greedy)" : (v / 10).toFixed(1)) }),
    mgStepper({ label: "top-k", min: 0, max: ks.length - 1,
      value: ks.length - 1, onInput: (v) => set("k", ks[v]),
      format: (v) => (v === ks.length - 1 ? "off" : String(ks[v])) }),
    mgStepper({ label: "top-p", min: 1, max: 20, value: 18,
      onInput: (v) => set("p", v / 20),
      format: (v) => (v === 20 ? "off" : (v / 20).toFixed(2)) }),
  ];
  const seed = mgEl("input", { type: "number", min: 0, max: 4294967295,
    step: 1, value: 1, class: "mg-select mg-pg-number" });
  const count = mgEl("input", { type: "number", min: 1, max: 1000, step: 1,
    value: 50, class: "mg-select mg-pg-number" });
  const another = mgButton("another seed", () => {
    seed.value = String(Math.floor(Math.random() * 1e6));
  });
  const el = mgEl("div", { class: "mg-pg-knobs" },
    steppers.map((stepper) => stepper.el),
    mgEl("div", { class: "mg-bar" }, mgEl("label", {}, "seed ", seed),
      another, mgEl("label", {}, "tokens to write ", count)));
  const whole = (field, least, most) => Math.min(most, Math.max(least,
    Math.round(Number(field.value)) || 0));
  return { el, knobs, get seed() { return whole(seed, 0, 4294967295); },
    get count() { return whole(count, 1, 1000); } };
}

// --- loading ------------------------------------------------------------------

function pgPanel(text, ...more) {
  return mgEl("div", { class: "mg-pg-load" }, mgEl("p", {}, text), more);
}

// From file:// a page may load nothing: say so, and what to do.
function pgFromDisk() {
  return pgPanel("This page is open from the disk, and browsers let such a "
    + "page load neither the model's weights nor a worker to run it. Serve "
    + "the book's folder on this machine:",
  mgEl("pre", {}, "python -m http.server --directory _build/html"),
  mgEl("p", {}, "and open http://127.0.0.1:8000/book/playground.html. No "
    + "network is needed for that."));
}

function pgMegabytes(files) {
  const bytes = files.reduce((n, file) => n + file.bytes, 0);
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

// Which model: one radio button each.
function pgSwitch(models, onChoose) {
  const name = mgId("model");
  return mgEl("fieldset", { class: "mg-pg-models" },
    mgEl("legend", { class: "mg-title" }, "Model"),
    models.map((model, i) => mgEl("label", {},
      mgEl("input", { type: "radio", name, checked: i === 0,
        autocomplete: "off", onchange: () => onChoose(model) }),
      mgEl("span", {}, mgEl("b", {}, model.label), " ",
        mgEl("span", { class: "mg-help" }, `${model.about} `
          + `${pgMegabytes(model.files)}.`)))));
}

function pgLoader({ files, onLoad }) {
  const total = files.reduce((n, file) => n + file.bytes, 0);
  const status = mgEl("p", { role: "status", "aria-live": "polite" });
  const bar = mgEl("progress", { max: total, value: 0, hidden: true,
    "aria-label": "loading the model" });
  const button = mgButton(`Load the model, ${pgMegabytes(files)}`, start);
  const el = pgPanel("The model runs in this page: nothing you type leaves "
    + "your machine. Its weights are loaded when you ask for them, and your "
    + "browser keeps them for the next visit.", button, bar, status);
  function start() {
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

// --- text ---------------------------------------------------------------------

function pgEditor({ onText, onWrite, onStop, onBack, onMine }) {
  const area = mgEl("textarea", { class: "mg-pg-text", rows: 6, dir: "auto",
    spellcheck: "false", autocomplete: "off", oninput: () => onText(),
    id: mgId("text"), onkeydown: (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        onWrite();
      }
    } });
  const buttons = {
    go: pgButton("continue", () => onWrite()),
    one: pgButton("one token", () => onWrite(1)),
    stop: pgButton("stop", onStop),
    back: pgButton("take one back", onBack),
    mine: pgButton("back to my text", onMine),
  };
  const examples = mgEl("div", { class: "mg-bar" });
  const el = mgEl("div", {}, mgEl("label", { for: area.id,
    class: "mg-title" }, "Your text"), area,
  mgEl("div", { class: "mg-bar" }, Object.values(buttons)),
  mgEl("p", { class: "mg-help" }, "Ctrl+Enter continues the text, Escape "
    + "stops. Or start with one of these:"), examples);
  function offer(texts) {
    examples.replaceChildren(...texts.map((text) => pgButton(text, () => {
      area.value = text;
      onText();
    })));
  }
  function allow({ examples: is, ...can }) {
    for (const name of Object.keys(can)) pgAllow(buttons[name], can[name]);
    for (const button of examples.children) pgAllow(button, is);
  }
  return { el, area, offer, allow };
}

// --- all of it ----------------------------------------------------------------

// `now` is the text that the page shows, `mine` the one that the reader typed
// last: { text, ids }, ids as soon as the worker has said them. Each change
// has a number, the serial. All messages carry it, and the text with it, so
// that the worker means the same text; answers for an older one are dropped.
class Playground {
  constructor(box) {
    const { root } = mgWidget(box, { label: "Playground",
      redraw: () => this.heads?.draw() });
    if (location.protocol === "file:") {
      root.append(pgFromDisk());
      return;
    }
    const models = JSON.parse(box.dataset.models);
    this.editor = pgEditor({ onText: () => this.typed(),
      onWrite: (n) => this.write(n), onStop: () => this.stop(),
      onBack: () => this.take(this.from(this.now.ids.slice(0, -1))),
      onMine: () => this.take(this.mine) });
    this.status = mgReadout();
    this.settings = pgKnobs(() => this.pull());
    this.views = mgEl("div", {});
    this.room = mgEl("div", {}); // for the loader
    this.bench = mgEl("div", {}, this.editor.el, this.status.el,
      this.settings.el, this.views);
    const mine = { text: "" };
    Object.assign(this, { root, box, mine, now: mine, examples: [""],
      serial: 0, loaded: new Set() });
    root.append(models.length > 1
      ? pgSwitch(models, (model) => this.choose(model)) : "", this.room,
    this.bench);
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.writing) this.stop();
    });
    this.choose(models[0]);
  }

  // --- the model

  // The text and the settings stay, all else begins anew.
  choose(model) {
    this.end();
    this.model = model;
    this.loader = pgLoader({ files: model.files, onLoad: () => this.load() });
    this.room.replaceChildren(this.loader.el);
    this.bench.hidden = true;
    if (this.loaded.has(model)) this.loader.start();
  }

  url(name, version) {
    return new URL(`${this.box.dataset.static}${name}?v=${version}`,
      document.baseURI).href;
  }

  load() {
    const { name, files } = this.model;
    this.end();
    this.worker = new Worker(this.url("worker.js", this.box.dataset.version));
    this.worker.onmessage = ({ data }) => this[`on_${data.say}`](data);
    this.worker.onerror = () => this.loader.failed(
      "the page's own script for the model could not be started");
    this.worker.postMessage({ do: "load", files: files.map((file) => ({
      ...file, url: this.url(`${name}/${file.name}`,
        file.sha256.slice(0, 16)) })) });
  }

  // Nothing that the worker has said or will say counts any more.
  end() {
    if (!this.worker) return;
    this.worker.onmessage = null;
    this.worker.terminate();
  }

  on_progress(data) {
    this.loader.progress(data);
  }

  on_ready({ config, tokens, special, kept }) {
    this.loaded.add(this.model);
    Object.assign(this, { config, vocabulary: { tokens, special },
      writing: false, waiting: false, again: false, drawn: null });
    this.build(config);
    this.room.replaceChildren();
    this.bench.hidden = false;
    const untouched = this.examples.includes(this.mine.text);
    this.examples = PG_EXAMPLES[this.model.name] ?? PG_EXAMPLES.second_term;
    this.editor.offer(this.examples);
    this.editor.area.value = untouched ? this.examples[0] : this.mine.text;
    this.typed(`The model is ready${kept ? " (kept from before)" : ""}: `
      + `${config.n_layer} blocks of ${config.n_head} heads, `
      + `${config.n_embd} channels, ${config.vocab_size} tokens, reads at `
      + `most ${config.block_size}.`);
    // the button that loaded it is gone
    if (document.activeElement === document.body) this.editor.area.focus();
  }

  build({ n_layer: L, n_head: H }) {
    const name = (id) => pgTokenText(this.vocabulary, id);
    this.name = name;
    this.tokens = pgTokens({ name, onPlace: (place) => {
      this.place = place;
      this.pull();
    } });
    this.next = pgNext({ name, onChoose: (id) => this.put(id) });
    this.attention = pgAttention();
    this.lens = pgLens({ name, onOpen: () => this.send({ do: "lens" }) });
    this.heads = pgHeads({ L, H, onOff: (off) => this.off(off),
      onMeasure: () => this.send({ do: "measure" }) });
    this.views.replaceChildren(this.tokens.el, this.next.el,
      this.attention.el, this.lens.el, this.heads.el);
  }

  // --- messages

  send(message) {
    this.worker.postMessage({ serial: this.serial, ...this.now, ...message });
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
        knobs: { ...this.settings.knobs } });
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
      setTimeout(() => this.answered(), this.writing ? pause : 0);
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
    this.writing = false;
    this.status.set(`This did not work: ${why}`);
    this.answered();
  }

  // --- text

  get refused() {
    return !this.now.ids && this.now.text.length > PG_LONGEST;
  }

  // Buttons that cannot work are off. And for whoever drives the page: is
  // everything drawn?
  allow() {
    const { now, mine, writing, refused } = this;
    const can = !writing && !refused;
    this.editor.area.readOnly = writing;
    this.editor.allow({ go: can, one: can, stop: writing,
      back: can && now.ids?.length, mine: !writing && now !== mine,
      examples: !writing });
    this.next.allow(can);
    this.heads.allow(can);
    this.views.inert = refused;
    this.root.dataset.busy = String(writing || this.waiting || this.again);
  }

  typed(said = "") {
    const text = this.editor.area.value;
    this.now = { text };
    this.mine = this.now;
    const count = (n) => n.toLocaleString("en-US");
    this.status.set(this.refused ? `This text has ${count(text.length)} `
      + `characters, and the page takes at most ${count(PG_LONGEST)}. `
      + "Shorten it to go on." : said);
    this.change();
  }

  // Tokens, which need not be those of their text.
  from(ids) {
    return { ids, text: bpeDecode(this.vocabulary, ids, { open: true }) };
  }

  take(text) {
    this.now = text;
    this.show();
    this.change();
  }

  show() {
    const { area } = this.editor;
    if (area.value === this.now.text) return;
    area.value = this.now.text;
    area.scrollTop = area.scrollHeight;
  }

  // What the worker made of the text that it was sent.
  on_ids({ ids, serial }) {
    if (serial === this.serial) this.now.ids = ids;
    this.allow();
  }

  // --- writing

  write(n = this.settings.count, id = undefined) {
    if (this.writing || this.refused) return;
    this.writing = true;
    if (n > 1) this.status.set("Writing…");
    this.change({ do: "write", n, id, seed: this.settings.seed,
      knobs: { ...this.settings.knobs } });
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
    this.send({ do: "stop" });
  }

  on_token({ ids, serial }) {
    if (serial !== this.serial) return;
    this.now = this.from(ids);
    this.drawing ||= setTimeout(() => {
      this.drawing = null;
      this.show();
      this.pull();
    }, mgCalm() ? 1000 : 50);
  }

  on_done({ count, ended, seconds }) {
    this.writing = false;
    this.drawn = null;
    this.show();
    this.pull();
    const speed = count > 5 ? ` (${Math.round(count / seconds)} a second)`
      : "";
    const end = ended ? "; here the model ended the document" : "";
    this.status.set(count === 1 && !ended
      ? `Added “${mgVisible(this.name(this.now.ids.at(-1)), 24)}”.`
      : `${count} token${count === 1 ? "" : "s"} written${speed}${end}.`);
  }

  // --- what the page shows

  draw(state) {
    const { vocabulary, mine } = this;
    const own = state.ids.findIndex((id, i) => id !== mine.ids[i]);
    this.tokens.update(state, { written: own < 0 ? Infinity : own,
      open: bpeOpenBytes(vocabulary, state.ids),
      characters: Array.from(this.from(state.ids).text).length });
    this.next.update(state, this.config.vocab_size);
    const key = `${state.start}:${state.begun.join()}:${this.heads.off.join()}`;
    if (key !== this.drawn) {
      this.attention.update(state.begun.slice(state.start).map(this.name),
        state.maps);
      if (this.lens.open && !this.writing) this.send({ do: "lens" });
    }
    this.drawn = key;
  }

  on_lens({ rows, serial }) {
    if (serial === this.serial) this.lens.update(rows);
  }

  on_loss(data) {
    if (data.serial === this.serial) this.heads.update(data);
  }

  off(off) {
    this.change({ do: "heads", off });
    const n = off.reduce((sum, x) => sum + x, 0);
    this.status.set(n ? `${n} head${n === 1 ? " is" : "s are"} switched off.`
      : "All heads are on.");
  }
}

document.querySelectorAll(".mg-playground[data-models]").forEach(
  (box) => new Playground(box));
