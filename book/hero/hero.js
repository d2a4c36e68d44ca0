// The hero: first it plays what was recorded; when the reader types, the model
// is loaded and continues what they typed, with the same pictures.

const HERO_STEP = 420; // milliseconds for a token
const HERO_REST = 3200; // at the end of a recorded text
const HERO_PAUSE = 700; // after the last key, before the model goes on
const HERO_TOKENS = 40; // that the model writes at a time

function heroMegabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}

// Moment k of a recorded text.
function heroRecorded({ tokens, given, steps }, k) {
  const T = given + k;
  const { texts, permille, rows } = steps[k];
  const weights = Array.from(rows, (digit) => (Number(digit) / 7) ** 2);
  return { tokens: tokens.slice(0, T), given,
    rows: Array.from({ length: weights.length / T }, (_, i) => (
      weights.slice(i * T, (i + 1) * T))),
    lines: texts.map((text, i) => ({ text, p: permille[i] / 1000,
      chosen: text === tokens[T] })) };
}

// Is `el` on the screen? seen(true or false), each time it changes.
function heroWatch(el, seen) {
  new IntersectionObserver((found) => seen(found.at(-1).isIntersecting))
    .observe(el);
}

class Hero {
  constructor(box) {
    Object.assign(this, { box, take: 0, step: 0, seed: 1, count: 0, text: "",
      visible: false, paused: mgCalm(), model: null });
    this.stage = heroStage(heroRecord);
    this.build();
    heroWatch(this.root, (visible) => {
      this.visible = visible;
      this.go();
    });
    this.start(0);
  }

  // --- what is there

  build() {
    this.field = mgEl("input", { type: "text", maxlength: 400,
      class: "mg-hero-field", id: "mg-hero-field", dir: "auto",
      autocomplete: "off", spellcheck: "false", enterkeyhint: "go",
      placeholder: "Type here, and the model continues",
      "aria-label": "Your text, which the model continues",
      oninput: () => this.typed(), onkeydown: (event) => {
        if (event.key === "Enter" && this.text) this.go(0);
        if (event.key === "Escape") this.rest();
      } });
    this.toggle = mgButton("pause", () => this.press());
    this.another = mgButton("another", () => this.change());
    this.status = mgEl("span", {});
    this.bar = mgEl("progress", { hidden: true, "aria-label":
      "loading the model" });
    this.said = mgEl("p", { class: "mg-hero-said", role: "status" });
    const controls = mgEl("div", { class: "mg-hero-controls" },
      this.field, this.toggle, this.another);
    const widget = mgWidget(this.box, { label: "The model writes",
      redraw: () => this.stage.redraw() });
    this.root = widget.root;
    this.root.append(this.stage.el, controls, mgEl("p",
      { class: "mg-hero-status" }, this.bar, this.status), this.said);
    this.takeKeys();
  }

  // "Take the keyboard", and a letter that was typed at nothing.
  takeKeys() {
    const link = document.querySelector("a.mg-hero-take");
    link?.setAttribute("href", "#mg-hero-field");
    link?.addEventListener("click", (event) => {
      event.preventDefault();
      this.field.focus({ preventScroll: true });
      this.root.scrollIntoView({ block: "center" });
    });
    document.addEventListener("keydown", (event) => {
      const { key, target } = event;
      const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
      if (plain && this.visible && target === document.body
        && /^[\p{L}\p{N}]$/u.test(key)) this.field.focus();
    });
  }

  show(moment) {
    this.moment = moment;
    this.stage.update(moment);
  }

  // The line below: what is seen here, and what typing would load.
  tell(words = "") {
    const { model } = this;
    const [{ files }] = JSON.parse(this.box.dataset.models);
    const bytes = files.reduce((n, file) => n + file.bytes, 0);
    this.status.textContent = words || (model?.ready && this.text
      ? "Live: the model runs in this page, and nothing you type leaves it."
      : "A recording. Type something, and the model itself takes over: "
        + `${heroMegabytes(bytes)} MB, loaded once.`);
    this.toggle.textContent = this.done ? "continue"
      : this.paused ? "play" : "pause";
    this.root.dataset.live = String(Boolean(this.text));
  }

  // --- time

  // Go on after `wait` milliseconds, if anything is to go on.
  go(wait = HERO_STEP) {
    clearTimeout(this.timer);
    if (this.paused || !this.visible) return;
    this.timer = setTimeout(() => (this.text ? this.write() : this.play()),
      wait);
  }

  press() {
    this.paused = !this.paused && !this.done;
    if (this.done) this.count = 0;
    this.done = false;
    this.tell();
    this.go(0);
  }

  // A recorded text from its beginning, or all of it where nothing may move.
  start(take) {
    this.take = take % heroRecord.takes.length;
    this.step = mgCalm() ? this.last : 0;
    this.show(heroRecorded(heroRecord.takes[this.take], this.step));
    this.tell();
    this.go();
  }

  get last() {
    return heroRecord.takes[this.take].steps.length - 1;
  }

  play() {
    if (this.step === this.last) {
      this.start(this.take + 1);
      return;
    }
    this.step += 1;
    this.show(heroRecorded(heroRecord.takes[this.take], this.step));
    this.go(this.step === this.last ? HERO_REST : HERO_STEP);
  }

  // Another text: the next recorded one, or a new throw of the dice.
  change() {
    this.seed += 1;
    if (this.text) this.begin();
    else this.start(this.take + 1);
  }

  // --- live

  typed() {
    this.text = this.field.value;
    if (!this.text.trim()) {
      this.rest();
      return;
    }
    this.show({ tokens: [this.text], given: 1, rows: [], lines: [] });
    if (!this.model) this.load();
    this.begin();
  }

  // Back to the recording.
  rest() {
    this.text = "";
    this.field.value = "";
    this.done = false;
    this.start(this.take);
  }

  load() {
    this.model = new HeroModel(this.box, {
      onProgress: (got) => this.loading(got), onReady: () => this.loaded(),
      onFailed: (why) => this.failed(why),
      onMoment: (moment, written) => this.written(moment, written),
      onEnd: () => this.finish("Here the model ended its document.") });
    this.bar.max = this.model.bytes;
    this.bar.value = 0;
    this.bar.hidden = false;
    this.loading(0);
  }

  loading(got) {
    this.bar.value = got;
    this.tell(`Loading the model: ${heroMegabytes(got)} of `
      + `${heroMegabytes(this.model.bytes)} MB`);
  }

  loaded() {
    this.bar.hidden = true;
    this.said.textContent = "The model is ready.";
    this.tell();
    if (this.text) this.begin();
  }

  failed(why) {
    this.bar.hidden = true;
    this.model?.end();
    this.model = null;
    this.tell(`The model did not load: ${why}. Type again to retry.`);
    this.said.textContent = this.status.textContent;
  }

  // What the reader typed, from its beginning.
  begin() {
    clearTimeout(this.timer);
    this.count = 0;
    this.done = false;
    this.paused = false;
    if (!this.model?.ready) return;
    this.model.read(this.text);
    this.tell();
  }

  write() {
    if (!this.model?.ready || this.done) return;
    if (this.count === HERO_TOKENS) this.finish("");
    else this.model.write(this.seed);
  }

  // The model has said what it sees; `drawn`: and which token comes next.
  written(moment, drawn) {
    if (!this.text) return;
    this.show(moment);
    if (this.done) {
      this.say(moment);
      return;
    }
    if (drawn) this.count += 1;
    this.go(drawn ? HERO_STEP : HERO_PAUSE);
  }

  finish(words) {
    this.done = true;
    this.model.look();
    this.tell(words);
  }

  // For those who do not see the page.
  say({ tokens, given }) {
    this.said.textContent = `The model wrote: ${tokens.slice(given).join("")}`;
  }
}

document.querySelectorAll(".mg-hero[data-models]").forEach(
  (box) => new Hero(box));
