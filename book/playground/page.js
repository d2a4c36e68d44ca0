// The playground: what the reader does becomes messages to the worker, and
// what the worker says becomes the page.

const PG_LONGEST = 20000; // characters
const PG_EXAMPLES = ["Fellow-Citizens of the Senate and House of",
  "The state of the Union is", "We must not forget that the American"];

// --- settings -----------------------------------------------------------------

function pgKnobs(V, onChange) {
  const knobs = { t: 0.8, k: V, p: 1, m: 0, penalty: 1 };
  const set = (name, value) => {
    knobs[name] = value;
    onChange();
  };
  const ks = dialKs(V);
  const steppers = [
    mgStepper({ label: "temperature", min: 0, max: 20, value: 8,
      onInput: (v) => set("t", v / 10),
      format: (v) => (v === 0 ? "0 (greedy)" : (v / 10).toFixed(1)) }),
    mgStepper({ label: "top-k", min: 0, max: ks.length - 1,
      value: ks.length - 1, onInput: (v) => set("k", ks[v]),
      format: (v) => (ks[v] === V ? "off" : String(ks[v])) }),
    mgStepper({ label: "top-p", min: 1, max: 20, value: 20,
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

function pgLoader({ files, onLoad }) {
  const total = files.reduce((n, file) => n + file.bytes, 0);
  const size = `${(total / 1e6).toFixed(1)} MB`;
  const status = mgEl("p", { role: "status", "aria-live": "polite" });
  const bar = mgEl("progress", { max: total, value: 0, hidden: true,
    "aria-label": "loading the model" });
  const button = mgButton(`Load the model, ${size}`, () => {
    button.disabled = true;
    bar.hidden = false;
    bar.value = 0;
    status.textContent = "Loading…";
    onLoad();
  });
  const el = pgPanel("The model of this course can run in this page: nothing "
    + "you type leaves your machine. Its weights are loaded when you ask for "
    + "them, and kept by your browser for the next visit.", button, bar,
  status);
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
  return { el, progress, failed };
}

// --- text ---------------------------------------------------------------------

function pgEditor({ onText, onWrite, onStop, onBack, onPrompt }) {
  const area = mgEl("textarea", { class: "mg-pg-text", rows: 6, dir: "auto",
    spellcheck: "false", autocomplete: "off", oninput: () => onText(),
    id: mgId("text"), onkeydown: (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        onWrite();
      }
    } });
  const go = mgButton("continue", () => onWrite());
  const one = mgButton("one token", () => onWrite(1));
  const stop = mgButton("stop", onStop, { disabled: true });
  const back = mgButton("take one back", onBack);
  const prompt = mgButton("back to my text", onPrompt);
  const examples = PG_EXAMPLES.map((text) => mgButton(text, () => {
    area.value = text;
    onText();
  }));
  const el = mgEl("div", {}, mgEl("label", { for: area.id,
    class: "mg-title" }, "Your text"), area,
  mgEl("div", { class: "mg-bar" }, go, one, stop, back, prompt),
  mgEl("p", { class: "mg-help" }, "Control and Enter in the text: continue. "
    + "Escape: stop. Or begin with:"),
  mgEl("div", { class: "mg-bar" }, examples));
  function busy(is) {
    area.readOnly = is;
    [go, one, back, prompt, ...examples].forEach((b) => { b.disabled = is; });
    stop.disabled = !is;
  }
  return { el, area, busy, go, stop };
}

// --- all of it ----------------------------------------------------------------

class Playground {
  constructor(box) {
    const { root } = mgWidget(box, { label: "Playground",
      redraw: () => this.heads?.draw() });
    Object.assign(this, { root, box, serial: 0, ids: [], written: Infinity,
      prompt: [], place: null, writing: false, waiting: false, again: false,
      files: JSON.parse(box.dataset.files) });
    if (location.protocol === "file:") {
      root.append(pgFromDisk());
      return;
    }
    this.loader = pgLoader({ files: this.files, onLoad: () => this.load() });
    root.append(this.loader.el);
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.writing) this.stop();
    });
  }

  url(name, version) {
    return new URL(`${this.box.dataset.static}${name}?v=${version}`,
      document.baseURI).href;
  }

  load() {
    this.worker?.terminate();
    this.worker = new Worker(this.url("worker.js", this.box.dataset.version));
    this.worker.onmessage = ({ data }) => this[`on_${data.say}`](data);
    this.worker.onerror = () => this.loader.failed(
      "the page's own script for the model could not be started");
    this.send({ do: "load", files: this.files.map((file) => ({ ...file,
      url: this.url(file.name, file.sha256.slice(0, 16)) })) });
  }

  send(message) {
    this.worker.postMessage(message);
  }

  // A message after which older answers no longer count.
  change(message) {
    this.serial += 1;
    this.send({ ...message, serial: this.serial });
    this.heads?.forget();
  }

  on_progress(data) {
    this.loader.progress(data);
  }

  on_failed({ what, why }) {
    if (what === "load") this.loader.failed(why);
    else {
      this.status.set(`This did not work: ${why}`);
      this.rest();
    }
    this.answered();
  }

  on_ready({ config, tokens, special, kept }) {
    this.vocabulary = { tokens, special };
    this.config = config;
    this.name = (id) => pgTokenText(this.vocabulary, id);
    this.build(config);
    this.status.set(`The model is ready${kept ? " (kept from before)" : ""}: `
      + `${config.n_layer} blocks of ${config.n_head} heads, `
      + `${config.n_embd} channels, ${config.vocab_size} tokens, reads at `
      + `most ${config.block_size}.`);
    this.editor.area.value = PG_EXAMPLES[0];
    this.read();
    this.editor.area.focus();
  }

  build({ n_layer: L, n_head: H, vocab_size: V }) {
    const { name } = this;
    this.editor = pgEditor({ onText: () => this.typed(),
      onWrite: (n) => this.write(n), onStop: () => this.stop(),
      onBack: () => this.take(this.ids.slice(0, -1)),
      onPrompt: () => this.take(this.prompt) });
    this.status = mgReadout();
    this.settings = pgKnobs(V, () => this.pull());
    this.tokens = pgTokens({ name, onPlace: (place) => {
      this.place = place;
      this.pull();
    } });
    this.next = pgNext({ name, onChoose: (id) => this.choose(id) });
    this.attention = pgAttention();
    this.lens = pgLens({ name, onOpen: () => this.send({ do: "lens" }) });
    this.heads = pgHeads({ L, H, onOff: (off) => this.off(off),
      onMeasure: () => {
        if (!this.writing) this.send({ do: "measure" });
      } });
    this.root.replaceChildren(this.editor.el, this.status.el,
      this.settings.el, this.tokens.el, this.next.el, this.attention.el,
      this.lens.el, this.heads.el);
  }

  // --- text

  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.read(), 120);
    this.mark();
  }

  // For whoever drives the page: is everything drawn?
  mark() {
    this.root.dataset.busy = String(Boolean(this.timer || this.writing
      || this.waiting || this.again));
  }

  read() {
    clearTimeout(this.timer);
    this.timer = null;
    const text = this.editor.area.value;
    if (text.length > PG_LONGEST) {
      this.mark();
      this.status.set(`The text has ${text.length} characters; this page `
        + `takes at most ${PG_LONGEST}.`);
      return;
    }
    this.written = Infinity;
    this.place = null;
    this.change({ do: "read", text });
    this.pull();
  }

  // Go on from ids, which need not be what their text would give.
  take(ids) {
    this.place = null;
    this.ids = ids;
    this.show();
    this.change({ do: "read", ids });
    this.pull();
  }

  choose(id) {
    if (this.writing) return;
    if (this.place !== null && this.place < this.ids.length - 1) {
      this.take(this.ids.slice(0, this.place + 1));
      this.written = Math.min(this.written, this.ids.length);
    }
    this.write(1, id);
  }

  on_ids({ ids, serial }) {
    if (serial === this.serial) this.ids = ids;
  }

  show() {
    const { area } = this.editor;
    area.value = bpeDecode(this.vocabulary, this.ids, { open: true });
    area.scrollTop = area.scrollHeight;
  }

  // --- writing

  write(n = this.settings.count, id = undefined) {
    if (this.writing) return;
    if (this.timer) this.read();
    this.writing = true;
    this.place = null;
    this.editor.busy(true);
    this.mark();
    if (n > 1) {
      this.editor.stop.focus();
      this.status.set("Writing…");
    }
    this.change({ do: "write", n, id, seed: this.settings.seed,
      knobs: { ...this.settings.knobs } });
  }

  stop() {
    this.send({ do: "stop" });
  }

  on_token({ id, serial }) {
    if (serial !== this.serial) return;
    if (this.written > this.ids.length) {
      this.prompt = this.ids;
      this.written = this.ids.length;
    }
    this.ids = [...this.ids, id];
    if (this.drawing) return;
    this.drawing = setTimeout(() => {
      this.drawing = null;
      this.show();
      this.pull();
    }, mgCalm() ? 1000 : 50);
  }

  on_done({ count, ended, seconds }) {
    clearTimeout(this.drawing);
    this.drawing = null;
    if (count) this.show();
    this.rest();
    this.pull();
    const speed = count > 5 ? ` (${Math.round(count / seconds)} a second)`
      : "";
    const end = ended ? "; here the model ended the document" : "";
    this.status.set(count === 1 && !ended
      ? `Added “${mgVisible(this.name(this.ids[this.ids.length - 1]), 24)}”.`
      : `${count} token${count === 1 ? "" : "s"} written${speed}${end}.`);
  }

  rest() {
    const stopped = document.activeElement === this.editor.stop;
    this.writing = false;
    this.editor.busy(false);
    this.mark();
    if (stopped) this.editor.go.focus();
  }

  // --- what the page shows

  // Ask for the state; one question at a time, and no faster than the page
  // can draw the answers.
  pull() {
    if (this.waiting) {
      this.again = true;
      return;
    }
    this.waiting = true;
    this.mark();
    this.send({ do: "look", place: this.place,
      knobs: { ...this.settings.knobs } });
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
    if (this.again) {
      this.again = false;
      this.pull();
    }
    this.mark();
  }

  draw(state) {
    const { vocabulary } = this;
    this.tokens.update(state, { written: this.written,
      open: bpeOpenBytes(vocabulary, state.ids),
      characters: Array.from(bpeDecode(vocabulary, state.ids,
        { open: true })).length });
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
    this.pull();
    const n = off.reduce((sum, x) => sum + x, 0);
    this.status.set(n ? `${n} head${n === 1 ? " is" : "s are"} switched off.`
      : "All heads are on.");
  }
}

document.querySelectorAll(".mg-playground[data-files]").forEach(
  (box) => new Playground(box));
