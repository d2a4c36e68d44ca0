// Z1: one block at one token, strip by strip, from the vector that arrives to
// the vector that leaves.

const MC_FLOW = [ // [strip, what it is, the strips it is added from]
  ["stream", "what arrives"],
  ["read1", "normalized"],
  ["q", "queries: what it asks"],
  ["k", "keys: what it offers"],
  ["v", "values: what it gives"],
  ["maps", "where each head looks"],
  ["mixed", "the values it read, blended"],
  ["attention", "projected: attention"],
  ["sum", "⊕ plus attention"],
  ["read2", "normalized again"],
  ["hidden", "hidden channels"],
  ["mlp", "projected: MLP"],
  ["next", "⊕ plus MLP: leaves"],
];
const MC_OPENS = new Set(["q", "k", "v", "mixed", "attention", "hidden",
  "mlp"]);

// One strip: C numbers as a picture one row high, or a few rows.
function mcStrip(values, { cols = values.length } = {}) {
  const canvas = mgEl("canvas", { class: "mc-strip", width: cols,
    height: Math.ceil(values.length / cols), "aria-hidden": "true" });
  mcPaint(canvas, values, cols, mcColors(), 2.2 * mcSpread(values));
  return canvas;
}

// Weights of one head, (n, n), as a picture.
function mcMiniMap(state, layer, h) {
  const { ids: { length: n }, config: { n_head: H }, maps } = state;
  const canvas = mgEl("canvas", { class: "mc-mini", width: n, height: n,
    "aria-hidden": "true" });
  const size = (n * (n + 1)) / 2;
  const values = new Float32Array(n * n);
  for (let t = 0; t < n; t += 1) {
    for (let s = 0; s <= t; s += 1) {
      values[t * n + s] = maps[(layer * H + h) * size + (t * (t + 1)) / 2 + s];
    }
  }
  mcPaint(canvas, values, n, mcColors(), 1);
  return canvas;
}

// The tokens of the text as links: the lane that is looked at.
function mcLanes({ state, word, at }) {
  const q = at.q ?? state.ids.length - 1;
  return mgEl("nav", { class: "mc-tokens", "aria-label": "token" },
    state.ids.map((id, i) => mgEl("a", { href: mcHash({ ...at, q: i }),
      "aria-current": i === q && "true" }, mgToken(word(id)))));
}

function mcBlockView(place, strips) {
  const { state, word, at, go, tell } = place;
  const n = state.ids.length;
  const q = at.q ?? n - 1;
  const here = { ...at, q };

  function strip(name, text) {
    const width = strips[name].length / n;
    const values = mcRow(strips[name], width, q);
    const picture = mcStrip(values);
    const channel = (event) => {
      const area = picture.getBoundingClientRect();
      const i = Math.floor(((event.clientX - area.left) / area.width) * width);
      return Math.max(0, Math.min(width - 1, i));
    };
    picture.addEventListener("pointermove", (event) => {
      const i = channel(event);
      tell(`${text}: channel ${i} of ${width} is ${mcNumber(values[i])}`,
        { quiet: true });
    });
    const body = !MC_OPENS.has(name) ? picture : mgEl("a", {
      href: mcHash({ ...here, m: name }), "aria-label": `${text}: open`,
      onclick: (event) => {
        if (!event.detail || event.metaKey || event.ctrlKey) return;
        event.preventDefault();
        go({ ...here, m: name, r: channel(event) });
      } }, picture);
    const size = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
    return mgEl("li", { class: `mc-row mc-row-${name}` },
      mgEl("span", { class: "mc-name" }, text), body,
      mgEl("span", { class: "mc-soft" }, `${width}, length `
        + `${size.toFixed(1)}`));
  }

  function maps(text) {
    const { n_head: H } = state.config;
    return mgEl("li", { class: "mc-row mc-row-maps" },
      mgEl("span", { class: "mc-name" }, text),
      mgEl("div", { class: "mc-minis" }, Array.from({ length: H }, (_, h) => (
        mgEl("a", { href: mcHash({ ...here, h }) }, mcMiniMap(state, at.b, h),
          `head ${h}`)))),
      mgEl("span", { class: "mc-soft" }, `${n} × ${n} each`));
  }

  const rows = MC_FLOW.map(([name, text]) => (name === "maps" ? maps(text)
    : strip(name, text)));
  const table = () => ({ caption: `Block ${at.b} at “${mgVisible(
    word(state.ids[q]))}”`, header: ["strip", "numbers", "length", "first four"],
  rows: MC_FLOW.filter(([name]) => name !== "maps").map(([name, text]) => {
    const values = mcRow(strips[name], strips[name].length / n, q);
    return [text, String(values.length), Math.sqrt(mcDot(values, values))
      .toFixed(2), Array.from(values.slice(0, 4), mcNumber).join(", ")];
  }) });
  return { el: mgEl("div", {}, mcLanes({ state, word, at: here }),
    mgEl("ol", { class: "mc-flow" }, rows)), table,
  help: "Click a strip to see how one of its numbers is computed, or a map to "
    + "see what a head reads." };
}
