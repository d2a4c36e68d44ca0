// Z0: tokens are lanes, blocks are bands. A tile shows the numbers of one
// token's vector, arcs show where the heads look, and a pulse climbs.

const MC_PULSE = 260; // milliseconds a block

// C numbers as a small picture, C = 192 as 16 × 12.
function mcTile(values, color) {
  const cols = Math.ceil(Math.sqrt((values.length * 4) / 3));
  const rows = Math.ceil(values.length / cols);
  const canvas = mgEl("canvas", { width: cols, height: rows });
  mcPaint(canvas, values, cols, color, 2.2 * mcSpread(values));
  return canvas;
}

const mcSpread = (values) => Math.sqrt(
  values.reduce((sum, x) => sum + x * x, 0) / values.length) || 1;

// Numbers from −most to most onto a canvas with one pixel each.
function mcPaint(canvas, values, cols, color, most) {
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(canvas.width, canvas.height);
  values.forEach((value, i) => {
    const at = 4 * (Math.floor(i / cols) * canvas.width + (i % cols));
    image.data.set(color(value / most), at);
  });
  pen.putImageData(image, 0, 0);
}

// −1 … 1 -> [r, g, b, 255]: blue, paper, orange.
function mcColors() {
  const ramp = mgRamp("diverging");
  const table = Array.from({ length: 257 }, (_, i) => [
    ...ramp(i / 256).match(/\d+/g).map(Number), 255]);
  return (x) => table[Math.round(128 + 128 * Math.max(-1, Math.min(1, x)))];
}

class McOverview {
  // go(changes) moves to another place, tell(text) fills the readout.
  constructor({ go, tell }) {
    Object.assign(this, { go, tell, lit: null, frame: 0, clock: Infinity });
    this.canvas = mgEl("canvas", { "aria-hidden": "true" });
    this.bands = mgEl("div", { class: "mc-bands" });
    this.stage = mgEl("div", { class: "mc-scroll", tabindex: 0,
      role: "application", "aria-roledescription": "overview of the machine",
      "aria-label": "Lanes of tokens through the blocks. Arrow keys choose a "
        + "token and a block, Enter opens the block",
      onkeydown: (event) => this.key(event) },
    mgEl("div", { class: "mc-lanes" }, this.canvas));
    this.canvas.addEventListener("click", (event) => this.click(event));
    this.canvas.addEventListener("pointermove",
      (event) => this.point(event));
    this.el = mgEl("div", { class: "mc-overview" }, this.bands, this.stage);
  }

  // state: the numbers; word(id): a token's text; q: the chosen lane
  show(state, word, at, { pulse = false, lit = null } = {}) {
    if (state !== this.state) this.tiles = null;
    Object.assign(this, { state, word, at, lit, q: at.q
      ?? state.ids.length - 1 });
    this.band = Math.min(this.band ?? state.config.n_layer - 1,
      state.config.n_layer - 1);
    this.layout();
    if (pulse && !mgCalm()) this.start();
    else {
      this.clock = Infinity;
      this.draw();
    }
  }

  start() {
    cancelAnimationFrame(this.frame);
    const begin = performance.now();
    const step = (now) => {
      this.clock = (now - begin) / MC_PULSE;
      this.draw();
      if (this.clock < this.state.config.n_layer + 1) {
        this.frame = requestAnimationFrame(step);
      } else this.clock = Infinity;
    };
    this.frame = requestAnimationFrame(step);
  }

  layout() {
    const { state: { ids, config: { n_layer: L } }, stage } = this;
    const room = stage.clientWidth || 600;
    const least = room < 420 ? room / 5 : 62; // a phone shows five lanes
    this.lane = Math.min(190, Math.max(least, room / ids.length));
    this.high = 78; // one band
    this.tile = Math.min(48, this.lane - 14);
    this.half = 0.375 * this.tile; // of its height
    this.width = Math.max(room, this.lane * ids.length);
    this.height = L * this.high + 98;
    this.pen = mgCanvas(this.canvas, this.width, this.height);
    const chosen = this.at;
    this.bands.replaceChildren(...Array.from({ length: L }, (_, l) => mgEl("a",
      { href: mcHash({ ...chosen, b: l, q: this.q }), class: "mc-band",
        style: { top: `${this.y(l + 0.5) - 12}px` } }, `block ${l}`)));
    this.bands.style.height = `${this.height}px`;
    const x = this.x(this.q);
    if (x < stage.scrollLeft || x > stage.scrollLeft + room) {
      stage.scrollLeft = x - room + this.lane;
    }
  }

  x(t) {
    const used = this.lane * this.state.ids.length;
    return (this.width - used) / 2 + this.lane * (t + 0.5);
  }

  y(l) {
    return this.height - 56 - l * this.high;
  }

  // How far the pulse of a lane has come, in blocks.
  reach(t) {
    return t >= this.state.fresh ? this.clock : Infinity;
  }

  tileOf(l, t) {
    const { stream, config: { n_embd: C }, ids: { length: n } } = this.state;
    const dark = mgIsDark();
    if (!this.tiles || this.dark !== dark) {
      this.tiles = new Map();
      this.dark = dark;
      this.color = mcColors();
    }
    const key = l * n + t;
    if (!this.tiles.has(key)) {
      this.tiles.set(key, mcTile(stream.subarray(key * C, (key + 1) * C),
        this.color));
    }
    return this.tiles.get(key);
  }

  weight(l, h, t, s) {
    const { maps, config: { n_head: H }, ids: { length: n } } = this.state;
    return maps[(l * H + h) * ((n * (n + 1)) / 2) + (t * (t + 1)) / 2 + s];
  }

  draw() {
    const { pen, width, height, state: { config: { n_layer: L } } } = this;
    const ink = (name) => mgColor(this.el, name);
    this.inks = { ink: ink("ink"), soft: ink("soft"), line: ink("line"),
      read: ink("read"), accent: ink("accent"), band: ink("band"),
      added: ink("added"), paper: ink("paper") };
    pen.clearRect(0, 0, width, height);
    for (let l = 0; l < L; l += 1) {
      pen.fillStyle = l % 2 ? this.inks.band : "transparent";
      pen.fillRect(0, this.y(l + 1), width, this.high);
    }
    for (let l = 0; l < L; l += 1) this.arcs(l);
    this.state.ids.forEach((id, t) => this.drawLane(id, t));
    this.light();
  }

  arcs(l) {
    const { pen, state: { ids, config: { n_head: H } } } = this;
    const only = this.lit === "head" ? 0 : null;
    pen.strokeStyle = this.inks.read;
    for (let t = 0; t < ids.length; t += 1) {
      const on = Math.min(1, this.reach(t) - l);
      const mine = t === this.q;
      for (let h = 0; h < (on > 0 ? H : 0); h += 1) {
        if (only !== null && h !== only) continue;
        for (let s = 0; s < t; s += 1) {
          const w = this.weight(l, h, t, s);
          if (w < (mine ? 0.05 : 0.35)) continue;
          pen.globalAlpha = mine ? 0.3 + 0.7 * w : 0.08 + 0.14 * w;
          pen.lineWidth = mine ? 1 + 4 * w : 1;
          this.arc(s, t, l, (h - (H - 1) / 2) * 3.5, on);
        }
      }
    }
    pen.globalAlpha = 1;
  }

  // From what is read (below) to the lane that reads (above).
  arc(s, t, l, shift, on) {
    const { pen, half, high } = this;
    const [x0, y0] = [this.x(s) + shift, this.y(l) - half];
    const [x1, y1] = [this.x(t) + shift, this.y(l + 1) + half];
    pen.beginPath();
    pen.moveTo(x0, y0);
    if (on >= 1) {
      pen.bezierCurveTo(x0, y0 - high * 0.3, x1, y1 + high * 0.3, x1, y1);
    } else {
      pen.quadraticCurveTo(x0, y0 - high * 0.3 * on, x0 + (x1 - x0) * on,
        y0 + (y1 - y0) * on);
    }
    pen.stroke();
  }

  drawLane(id, t) {
    const { pen, tile, half, inks, state } = this;
    const { config: { n_layer: L }, lens } = state;
    const mine = t === this.q;
    const reach = this.reach(t);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.font = "600 13px ui-monospace, Menlo, Consolas, monospace";
    pen.fillStyle = mine ? inks.accent : inks.ink;
    pen.fillText(this.label(id), this.x(t), this.height - 16);
    for (let l = 0; l < L && reach > l; l += 1) {
      const part = Math.min(1, reach - l);
      pen.strokeStyle = mine ? inks.ink : inks.line;
      pen.lineWidth = mine ? 2 : 1.5;
      pen.beginPath();
      pen.moveTo(this.x(t), this.y(l) - half);
      pen.lineTo(this.x(t), this.y(l) - half - (this.high - 2 * half) * part);
      pen.stroke();
      if (part === 1) this.pushes(l, t);
    }
    for (let l = 0; l <= L && reach >= l; l += 1) {
      const [x, y] = [this.x(t) - tile / 2, this.y(l) - half];
      pen.imageSmoothingEnabled = false;
      pen.drawImage(this.tileOf(l, t), x, y, tile, 2 * half);
      const glow = reach - l < 1;
      pen.strokeStyle = glow ? inks.read : mine ? inks.ink : inks.line;
      pen.lineWidth = glow ? 3 : mine ? 2 : 1;
      pen.strokeRect(x, y, tile, 2 * half);
      if (l) this.guess(lens[t][l], x + tile / 2, y - 9, mine);
    }
  }

  // What attention and the MLP add to the lane, as bars beside its rail.
  pushes(l, t) {
    const { pen, inks, state: { pushes, ids } } = this;
    const at = 2 * (l * ids.length + t);
    [inks.read, inks.added].forEach((color, i) => {
      pen.globalAlpha = t === this.q ? 1 : 0.45;
      pen.fillStyle = color;
      pen.fillRect(this.x(t) + 2, this.y(l + 0.5) - 3 - 8 * i,
        Math.min(1, pushes[at + i]) * (this.lane / 2 - 6), 5);
    });
    pen.globalAlpha = 1;
  }

  guess({ id, p }, x, y, mine) {
    const { pen, inks } = this;
    pen.font = `${mine ? 600 : 400} 11.5px ui-monospace, Menlo, Consolas, `
      + "monospace";
    pen.lineWidth = 4;
    pen.lineJoin = "round";
    pen.strokeStyle = inks.paper; // so that arcs do not cross the word
    pen.strokeText(this.label(id), x, y);
    pen.fillStyle = p > 0.3 ? inks.ink : inks.soft;
    pen.fillText(this.label(id), x, y);
  }

  label(id) {
    return mgVisible(this.word(id), Math.max(5, Math.floor(this.lane / 8)));
  }

  // A frame around the part that a stop of the tour speaks of.
  light() {
    const { pen, height, width, inks, state: { config: { n_layer: L } } } = this;
    const frames = {
      tokens: [0, height - 30, width, 28],
      embedding: [0, this.y(0) - this.half - 6, width, 2 * this.half + 12],
      block: [0, this.y(3), width, this.high],
      output: [0, 2, width, this.y(L) + this.half + 4],
      cache: [this.x(this.q) - this.lane / 2, 2, this.lane, height - 4],
    };
    const found = frames[this.lit];
    if (!found) return;
    pen.strokeStyle = inks.accent;
    pen.lineWidth = 2.5;
    pen.setLineDash([6, 4]);
    pen.strokeRect(found[0] + 2, found[1], found[2] - 4, found[3]);
    pen.setLineDash([]);
  }

  // What is under a pointer: { t, l }; l is −1 below the first band.
  under(event) {
    const area = this.canvas.getBoundingClientRect();
    const { ids, config: { n_layer: L } } = this.state;
    const clamp = (v, end) => Math.max(0, Math.min(end, v));
    const t = clamp(Math.floor((event.clientX - area.left - this.x(0)
      + this.lane / 2) / this.lane), ids.length - 1);
    const up = this.y(0) + this.half - (event.clientY - area.top);
    return { t, l: up < 0 ? -1 : Math.min(L - 1, Math.floor(up / this.high)) };
  }

  point(event) {
    const { t, l } = this.under(event);
    this.canvas.style.cursor = "pointer";
    this.tell(this.describe(t, Math.max(0, l)), { quiet: true });
  }

  click(event) {
    const { t, l } = this.under(event);
    if (l < 0 || t !== this.q) this.choose(t, Math.max(0, l));
    else this.go({ q: t, b: l });
  }

  choose(t, l) {
    this.band = l;
    this.go({ q: t }, { replace: true });
    this.tell(`${this.describe(t, l)}. ${l < 0 ? ""
      : "Click the lane again, or press Enter, to open the block."}`);
  }

  key(event) {
    const { ids, config: { n_layer: L } } = this.state;
    const to = mgGridKey(event, L - 1 - this.band, this.q, L, ids.length);
    if (to) this.choose(to[1], L - 1 - to[0]);
    else if (event.key === "Enter") this.go({ q: this.q, b: this.band });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  describe(t, l) {
    const { lens, ids, config: { n_head: H } } = this.state;
    let best = { w: -1 };
    for (let h = 0; h < H; h += 1) {
      for (let s = 0; s <= t; s += 1) {
        const w = this.weight(l, h, t, s);
        if (w > best.w && (s < t || t === 0)) best = { w, h, s };
      }
    }
    const { id, p } = lens[t][l + 1];
    const say = (i) => `“${mgVisible(this.word(i))}”`;
    return `${say(ids[t])} in block ${l}: head ${best.h} reads `
      + `${say(ids[best.s])} with weight ${best.w.toFixed(2)}; after the block `
      + `the model would say ${say(id)} (${(100 * p).toFixed(1)} %)`;
  }
}
