// The machine's page: the address says what is shown, everything that the
// reader does changes the address.

class McPage {
  constructor(box) {
    this.facts = JSON.parse(box.dataset.machine);
    this.record = mcRecorded(this.facts.record);
    this.source = this.record;
    this.engine = null;
    this.turn = 0; // the number of the last drawing that was asked for
    this.view = null;
    const { root } = mgWidget(box, { label: "The machine",
      redraw: () => this.redraw() });
    this.build(root);
    addEventListener("hashchange", () => this.update());
    document.addEventListener("keydown", (event) => this.key(event));
    this.update();
  }

  build(root) {
    this.input = mgEl("input", { class: "mg-select mc-text", value: "",
      spellcheck: "false", autocomplete: "off", "aria-label": "your sentence",
      maxlength: MC_LONGEST, oninput: () => this.typed() });
    this.cache = mgEl("input", { type: "checkbox", checked: true });
    this.loader = mgButton("", () => this.live());
    this.status = mgReadout();
    this.readout = mgReadout();
    this.crumbs = mgEl("nav", { class: "mc-crumbs", "aria-label": "place" });
    this.stage = mgEl("div", { class: "mc-stage", tabindex: -1 });
    this.help = mgEl("p", { class: "mg-help" });
    this.next = mgEl("section", { class: "mc-next",
      "aria-label": "what comes next" });
    this.overview = new McOverview({ go: (...x) => this.go(...x),
      tell: (...x) => this.readout.set(...x) });
    this.tour = mcTour({ go: (at) => this.visit(at),
      chapters: this.facts.chapters });
    this.table = mgTableButton(() => this.view.table());
    root.append(this.tour.el, mgEl("div", { class: "mg-bar" }, this.input,
      mgButton("Write one token", () => this.write()),
      mgEl("label", {}, this.cache, " keep the cache"), this.loader),
    this.status.el, this.crumbs, this.stage, this.readout.el, this.help,
    this.next, mgEl("div", { class: "mg-bar" }, this.table.button),
    this.table.frame);
    this.offer();
  }

  // Esc goes one level up; in the tour, arrow keys lead to the next stop, where
  // nothing else has a use for them.
  key(event) {
    if (event.defaultPrevented || !this.at) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape" && mcLevel(this.at)) {
      this.go(null, { at: mcUp(this.at) });
    } else if (!by || event.altKey
      || event.target.closest("input, [role=application], [role=region]")
      || !this.tour.step(by)) return;
    event.preventDefault();
  }

  // --- places ---------------------------------------------------------------

  // To another place: `changes` to this one, or a whole new address.
  go(changes, { replace = false, at = { ...this.at, ...changes } } = {}) {
    history[replace ? "replaceState" : "pushState"](null, "", mcHash(at));
    this.update();
  }

  // To a stop of the tour, with the text as it is.
  visit({ k, ...at }) {
    const last = this.state.ids.length - 1;
    const cell = k === undefined ? {} : { q: last, k: Math.min(k, last) };
    this.go(null, { at: { t: this.at.t, ...at, ...cell } });
  }

  // The address has changed: get the numbers of its text, then show its place.
  async update({ pulse = false } = {}) {
    this.turn += 1;
    const { turn } = this;
    const wanted = mcParse(location.hash);
    const text = wanted.t ?? this.record.text;
    if (this.input.value !== text) this.input.value = text;
    try {
      if (text !== this.text || (this.engine && this.source !== this.engine)) {
        if (text !== this.record.text || this.engine) await this.live(false);
        if (turn !== this.turn) return;
        const ids = this.written?.text === text ? this.written.ids : null;
        this.source = this.engine ?? this.record;
        const state = await this.source.state(text, { ids,
          anew: !this.cache.checked });
        if (turn !== this.turn) return;
        Object.assign(this, { state, text });
        if (this.engine) this.computed();
        pulse = true;
      }
      this.at = mcFit(wanted, this.state);
      await this.show(turn, pulse);
    } catch (error) {
      this.status.set(`That did not work: ${error.message}.`);
      if (!this.state) this.fall();
    }
  }

  // Nothing could be computed: the recorded sentence is always there.
  async fall() {
    this.source = this.record;
    this.text = this.record.text;
    this.input.value = this.text;
    this.state = await this.record.state();
    this.at = mcFit({}, this.state);
    await this.show(this.turn, false);
  }

  async show(turn, pulse) {
    const place = { state: this.state, at: this.at,
      word: (id) => this.word(id), go: (...x) => this.go(...x),
      tell: (...x) => this.readout.set(...x),
      code: (name) => this.code(name) };
    const view = await this.viewOf(place, pulse);
    if (turn !== this.turn) return;
    const moved = this.view?.el !== view.el;
    this.view = view;
    this.section.dataset.level = mcLevel(this.at);
    const inside = this.stage.contains(document.activeElement);
    if (moved) this.stage.replaceChildren(view.el);
    if (moved && inside) this.stage.focus({ preventScroll: true });
    this.readout.set("", { quiet: true });
    this.help.textContent = view.help;
    this.trail();
    this.candidates();
    this.tour.set(this.at.s);
    this.table.refresh();
    view.ready?.();
    this.box.dataset.state = "alive";
  }

  get section() {
    return this.stage.parentElement;
  }

  get box() {
    return this.section.parentElement;
  }

  async viewOf(place, pulse) {
    const { at, state } = place;
    const level = mcLevel(at);
    if (!level) return this.overviewOf(place, pulse);
    if (level === 2 && at.h !== undefined) return mcMapView(place);
    const q = at.q ?? state.ids.length - 1;
    const here = { ...place, at: { ...at, q } };
    const strips = at.b === undefined ? null : await this.source.block(at.b);
    if (level === 1) return mcBlockView(here, strips);
    return this.inside(here, strips);
  }

  overviewOf(place, pulse) {
    const { state, word } = place;
    const lit = MC_TOUR[this.at.s - 1]?.lit;
    const table = () => ({ caption: "The likeliest next token, read after each "
      + "block", header: ["token", ...state.lens[0].map((_, l) => (l
      ? `after block ${l - 1}` : "before the blocks"))],
    rows: state.ids.map((id, t) => [mgVisible(word(id)), ...state.lens[t].map(
      (cell) => `${mgVisible(word(cell.id))} ${(100 * cell.p).toFixed(1)} %`)]),
    });
    return { el: this.overview.el, table,
      ready: () => this.overview.show(state, word, this.at, { pulse, lit }),
      redraw: () => this.overview.show(state, word, this.at, { lit }),
      help: "Lanes are tokens, bands are blocks, and the words above the tiles "
        + "are what the model would say there. The bars beside a lane are the "
        + "lengths of what attention (orange) and the MLP (green) add. Click a "
        + "lane to see what it reads, and again to open a block." };
  }

  // A matrix, or a cell of one; both may need weights.
  async inside(place, strips) {
    const { at, state } = place;
    const n = state.ids.length;
    const name = (i) => `“${mgVisible(this.word(state.ids[i]))}”`;
    if (at.h !== undefined) {
      return mcCellView(place, mcAttentionCell(state.config, strips, at, n),
        `${name(at.q)} reads ${name(at.k)}`);
    }
    if (at.m === "mixed") {
      const cell = mcMixedCell(state.config, strips, { q: at.q,
        r: Math.min(at.r ?? 0, state.config.n_embd - 1) }, n, name);
      return mcCellView(place, cell, `${name(at.q)}, blended values, channel `
        + `${at.r ?? 0}`);
    }
    const matrix = await this.source.matrix(at.b, at.m,
      state.lines.map((line) => line.id));
    if (!matrix) return this.needsModel();
    if (at.r === undefined) return mcMatrixView(place, matrix);
    const r = Math.min(at.r, matrix.rows - 1);
    if (at.m === "head") {
      return mcCellView(place, mcLogitCell(state, matrix, r), "the logit of "
        + `“${mgVisible(this.word(state.lines[r].id))}”`);
    }
    return mcCellView(place, mcLinearCell(state.config, strips, matrix,
      { ...at, r }), `${name(at.q)}, ${MC_MAKES[at.m]}, channel ${r}`);
  }

  needsModel() {
    return { help: "", table: () => ({ caption: "nothing yet", header: [],
      rows: [] }),
    el: mgEl("div", { class: "mc-needs" }, mgEl("p", {}, "The recording has "
      + "no weights in it. With the model loaded, every weight is here."),
    mgButton(`Load the model (${this.megabytes()})`, () => this.live())) };
  }

  // Three lines of the package for one kind of cell.
  code(name) {
    const { config } = this.state;
    const grouped = config.position === "rope" || config.position === "alibi"
      || config.qk_norm || config.n_kv_head;
    const other = { heads: grouped && "grouped",
      mlp: config.mlp === "swiglu" && "swiglu" }[name];
    const { chapter, ...lines } = this.facts.code[other || name];
    return { ...lines, ...this.facts.chapters[chapter] };
  }

  trail() {
    const { at, state } = this;
    const { t, s, b, h, m, q, k, r } = at;
    const word = (i) => `“${mgVisible(this.word(state.ids[i]))}”`;
    const steps = [["The machine", { t, s, q }]];
    if (b !== undefined) steps.push([`block ${b}`, { t, s, b, q }]);
    if (h !== undefined) steps.push([`head ${h}`, { t, s, b, h, q }]);
    if (m !== undefined) steps.push([MC_MAKES[m] ?? "blended values",
      m === "mixed" ? { t, s, b, q } : { t, s, b, m, q }]);
    if (k !== undefined) steps.push([`${word(q)} reads ${word(k)}`, at]);
    if (r !== undefined) {
      steps.push([m === "head" ? `“${mgVisible(this.word(state.lines[r].id))}”`
        : `channel ${r}`, at]);
    }
    this.crumbs.replaceChildren(mgEl("ol", {}, steps.map(([text, to], i) => (
      mgEl("li", {}, i + 1 === steps.length
        ? mgEl("span", { "aria-current": "page" }, text)
        : mgEl("a", { href: mcHash(to) }, text))))));
  }

  // --- text and model -------------------------------------------------------

  word(id) {
    return bpePieces(this.source.bytes(id)).map(({ text, byte }) => text
      ?? `⟨${byte.toString(16).toUpperCase().padStart(2, "0")}⟩`).join("");
  }

  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const { s, ...rest } = this.at ?? {};
      const t = this.input.value || undefined;
      this.go(null, { replace: true, at: { ...rest, t, q: undefined } });
    }, 150);
  }

  megabytes() {
    const bytes = this.facts.model.files.reduce((n, file) => n + file.bytes, 0);
    return `${(bytes / 1e6).toFixed(1)} MB`;
  }

  offer() {
    this.loader.textContent = `Load the model (${this.megabytes()})`;
    this.status.set("This is a recording, with rounded numbers. Type your own "
      + "sentence and the model is loaded and computes it here.",
    { quiet: true });
  }

  // Load the model, once; then show the same place with its numbers.
  async live(again = true) {
    this.loading ||= this.start();
    try {
      this.engine = await this.loading;
    } catch (error) {
      this.loading = null;
      this.loader.hidden = false;
      throw error;
    } finally {
      if (again) this.update();
    }
  }

  async start() {
    this.loader.hidden = true;
    const engine = new McEngine(this.facts, (part) => this.status.set(
      `Loading the model: ${Math.round(100 * part)} %`, { quiet: true }));
    this.status.set("Loading the model.");
    await engine.load();
    return engine;
  }

  computed() {
    const { cut, ids } = this.state;
    this.status.set(`Computed here, by the model of the course.${cut
      ? ` Your text is longer: these are its last ${ids.length} tokens.` : ""}`);
  }

  // One token more: one that was chosen, or one that is drawn.
  async write(id) {
    const at = { ...this.at, q: undefined };
    try {
      await this.live(false);
      if (this.source !== this.engine) await this.update();
      this.seed = (this.seed ?? 0) + 1;
      const { ids, ended } = await this.engine.write({ t: 0.7, k: Infinity,
        p: 0.9, m: 0, penalty: 1 }, this.seed, id);
      if (ended) {
        this.status.set("The model ends the document here.");
        return;
      }
      const bytes = ids.map((x) => this.engine.bytes(x)).join("");
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(
        Uint8Array.from(bytes, (c) => c.charCodeAt(0)));
      this.written = { text, ids };
      this.go(null, { replace: true, at: mcLevel(at) ? { t: text, s: at.s }
        : { ...at, t: text } });
    } catch (error) {
      this.status.set(`That did not work: ${error.message}.`);
    }
  }

  candidates() {
    const { lines } = this.state;
    const most = lines[0].p;
    this.next.hidden = mcLevel(this.at) > 0;
    this.next.replaceChildren(mgEl("h2", {}, "What comes next"), mgEl("ol", {},
      lines.slice(0, 6).map(({ id, p }, r) => mgEl("li", {},
        mgEl("button", { type: "button", class: "mg-button mc-candidate",
          onclick: () => this.write(id) }, mgToken(this.word(id)),
        mgEl("span", { class: "mc-weight" }, mgEl("i", {
          style: { width: `${(100 * p) / most}%` } })),
        mgEl("span", {}, `${(100 * p).toFixed(1)} %`)),
        mgEl("a", { href: mcHash({ ...this.at, m: "head", r, q: undefined }),
          "aria-label": `how? The logit of ${mgVisible(this.word(id))}`,
        }, "how?")))));
  }

  redraw() {
    this.view?.redraw?.();
  }
}

for (const box of document.querySelectorAll(".mg-machine[data-machine]")) {
  new McPage(box);
}
