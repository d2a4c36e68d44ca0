// Attention in five steps. Pure functions first, then what draws them.

// Which positions s may query t read? -> (t, s) => boolean
function maskRule(kind, { width, pads }) {
  if (kind === "none") return () => true;
  if (kind === "window") return (t, s) => s <= t && s > t - width;
  if (kind === "padding") return (t, s) => s <= t && s >= pads;
  return (t, s) => s <= t;
}

// q, k: T arrays of D numbers; v: T arrays of C numbers.
// -> raw, scaled, masked, weights (T × T; masked: −∞ where not allowed),
//    out (T × C). A row that may look nowhere has weights of zero.
function attentionSteps(q, k, v, allowed) {
  const dot = (a, b) => a.reduce((sum, x, d) => sum + x * b[d], 0);
  const raw = q.map((query) => k.map((key) => dot(query, key)));
  const root = Math.sqrt(q[0].length);
  const scaled = raw.map((row) => row.map((score) => score / root));
  const masked = scaled.map((row, t) => row.map(
    (score, s) => (allowed(t, s) ? score : -Infinity)));
  const weights = masked.map((row) => {
    const { powers, sum } = softmaxParts(row);
    return powers.map((p) => (sum > 0 ? p / sum : 0));
  });
  const out = weights.map((row) => v[0].map(
    (_, c) => row.reduce((sum, w, s) => sum + w * v[s][c], 0)));
  return { raw, scaled, masked, weights, out };
}

// A row of scores -> e to the (score − largest), and their sum.
function softmaxParts(row) {
  const largest = Math.max(...row);
  const powers = row.map(
    (score) => (score === -Infinity ? 0 : Math.exp(score - largest)));
  return { largest, powers, sum: powers.reduce((a, b) => a + b, 0) };
}

// A number as it is written: three decimals, a real minus sign.
function say(number, digits = 3) {
  if (number === -Infinity) return "−∞";
  const text = number.toFixed(digits);
  return (Number(text) === 0 ? (0).toFixed(digits) : text).replace("-", "−");
}

const stages = [
  { key: "raw", name: "1 QKᵀ", title: "scores: query · key" },
  { key: "scaled", name: "2 scale", title: "scores divided by √D" },
  { key: "masked", name: "3 mask", title: "masked scores" },
  { key: "weights", name: "4 softmax", title: "attention weights" },
  { key: "out", name: "5 ·V", title: "output: weighted sum of the values" },
];

const maskNames = [
  ["causal", "causal: itself and the past"],
  ["none", "none: everything"],
  ["window", "window: the nearest past"],
  ["padding", "padding: left tokens are empty"],
];

function rowsOf({ shape, at }) {
  return Array.from({ length: shape[0] },
    (_, r) => Array.from({ length: shape[1] }, (__, c) => at(r, c)));
}

// The colour of text that can be read on "rgb(r,g,b)".
function inkOn(color) {
  const [r, g, b] = color.match(/\d+/g).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000000" : "#ffffff";
}

// --- the state of one widget: d ----------------------------------------

function readModel(model) {
  const names = model.get("tokens").map((text) => mgVisible(text));
  const [q, k, v] = ["query", "key", "value"].map(
    (name) => rowsOf(mgUnpack(model.get(name))));
  const T = names.length;
  return { names, q, k, v, T, D: q[0].length,
    channels: v[0].map((_, c) => String(c)),
    stage: 0, mask: "causal", width: Math.min(2, T), pads: Math.min(2, T - 1) };
}

const keyOf = (d) => stages[d.stage].key;
const who = (d, i) => `${d.names[i]} (${i})`;

function compute(d) {
  d.allowed = maskRule(d.mask, d);
  d.steps = attentionSteps(d.q, d.k, d.v, d.allowed);
  d.shown = d.steps[keyOf(d)];
  // one range for the three steps of scores, so that scaling can be seen
  const seen = d.stage < 3 ? d.steps.raw : d.shown;
  d.range = Math.max(1e-9, ...seen.flat().map(Math.abs));
  d.ramp = keyOf(d) === "weights" ? "viridis" : "diverging";
  d.scale = keyOf(d) === "weights" ? (x) => x
    : (x) => 0.5 + x / (2 * d.range);
}

// --- what the cursor says, and where a number comes from ------------------

function reason(d, r, c) {
  if (d.allowed(r, c)) return "allowed";
  if (d.mask === "padding" && c < d.pads) {
    return "forbidden: the key is padding";
  }
  if (c > r) return "forbidden: it lies in the future";
  return `forbidden: more than ${d.width - 1} back`;
}

function sentence(d, r, c) {
  const [row, col, value] = [who(d, r), who(d, c), say(d.shown[r][c])];
  return {
    raw: () => `query of ${row} · key of ${col} = ${value}`,
    scaled: () => `${row} to ${col}: ${say(d.steps.raw[r][c])} / √${d.D}`
      + ` = ${value}`,
    masked: () => `${row} to ${col}: ${value}, ${reason(d, r, c)}`,
    weights: () => `${row} reads ${col} with weight ${value}`,
    out: () => `output of ${row}, channel ${c} = ${value}`,
  }[keyOf(d)]();
}

// lines: [[name, numbers, sum or null], …]
function sumTable(caption, head, lines) {
  const bdi = (text) => mgEl("bdi", {}, text);
  return mgEl("table", {}, mgEl("caption", {}, caption),
    mgEl("thead", {}, mgEl("tr", {}, mgEl("td", {}), [...head, "sum"].map(
      (text) => mgEl("th", { scope: "col" }, bdi(text))))),
    mgEl("tbody", {}, lines.map(([name, numbers, sum]) => mgEl("tr", {},
      mgEl("th", { scope: "row" }, bdi(name)),
      numbers.map((x) => mgEl("td", {}, say(x))),
      mgEl("td", {}, sum === null ? "" : say(sum))))));
}

function dotProduct(d, r, c) {
  return sumTable("The dot product: multiply number by number, then add",
    d.q[r].map((_, i) => String(i)), [
      [`query of ${who(d, r)}`, d.q[r], null],
      [`key of ${who(d, c)}`, d.k[c], null],
      ["product", d.q[r].map((x, i) => x * d.k[c][i]), d.steps.raw[r][c]],
    ]);
}

function division(d, r, c) {
  const { raw, scaled, masked } = d.steps;
  const text = `${say(raw[r][c])} divided by √${d.D} = `
    + `${say(Math.sqrt(d.D))} gives ${say(scaled[r][c])}`;
  const then = `; ${reason(d, r, c)}, so it is ${say(masked[r][c])}`;
  return mgEl("p", {}, keyOf(d) === "masked" ? text + then : text);
}

function softmaxRow(d, r) {
  const { largest, powers, sum } = softmaxParts(d.steps.masked[r]);
  if (sum === 0) {
    return mgEl("p", {},
      `${who(d, r)} may look nowhere: every weight is 0 by definition`);
  }
  const weights = d.steps.weights[r];
  return sumTable(`The softmax of row ${r}, largest score ${say(largest)}`,
    d.names, [
      ["score", d.steps.masked[r], null],
      ["e^(score − largest)", powers, sum],
      ["divided by the sum", weights, weights.reduce((a, b) => a + b, 0)],
    ]);
}

function weightedSum(d, r, c) {
  const weights = d.steps.weights[r];
  return sumTable(`Weights of row ${r} times channel ${c} of the values`,
    d.names, [
      ["weight", weights, null],
      [`value, channel ${c}`, d.v.map((value) => value[c]), null],
      ["product", weights.map((w, s) => w * d.v[s][c]), d.steps.out[r][c]],
    ]);
}

function origin(d, r, c) {
  return { raw: dotProduct, scaled: division, masked: division,
    weights: softmaxRow, out: weightedSum }[keyOf(d)](d, r, c);
}

// --- drawing and controls -------------------------------------------------

// mgHeatMap paints the colours; the numbers go on top of them.
function paintNumbers(d, map) {
  const { cell } = map.box;
  const pen = map.el.querySelector("canvas").getContext("2d");
  const color = mgRamp(d.ramp);
  pen.font = `${cell > 45 ? 12 : 10}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  d.shown.forEach((row, r) => row.forEach((x, c) => {
    pen.fillStyle = x === -Infinity ? mgColor(map.el, "soft")
      : inkOn(color(d.scale(x)));
    pen.fillText(say(x, 2), (c + 0.5) * cell, (r + 0.5) * cell);
  }));
}

function legendOf(d) {
  const [low, high] = keyOf(d) === "weights" ? ["0", "1"]
    : [say(-d.range, 1), say(d.range, 1)];
  return mgLegend({ low, high, ramp: d.ramp }).el;
}

function tableOf(d) {
  return {
    caption: `${stages[d.stage].title} (mask: ${d.mask})`,
    header: ["", ...(keyOf(d) === "out" ? d.channels : d.names)],
    rows: d.shown.map((row, r) => [d.names[r], ...row.map((x) => say(x))]),
  };
}

function makeControls(d, change) {
  const tabs = stages.map(
    (stage, i) => mgButton(stage.name, () => change({ stage: i })));
  const mask = mgSelect({ label: "mask", options: maskNames, value: d.mask,
    onChange: (kind) => change({ mask: kind }) });
  const width = mgStepper({ label: "window", min: 1, max: d.T, value: d.width,
    onInput: (n) => change({ width: n }) });
  const pads = mgStepper({ label: "padded tokens", min: 0, max: d.T,
    value: d.pads, onInput: (n) => change({ pads: n }) });
  function follow() {
    tabs.forEach((tab, i) => tab.setAttribute("aria-pressed",
      String(i === d.stage)));
    width.el.hidden = d.mask !== "window";
    pads.el.hidden = d.mask !== "padding";
  }
  const bar = mgEl("div", { class: "mg-bar", role: "group",
    "aria-label": "step" }, tabs);
  mgKeep(bar, "step", () => String(d.stage), mgWhole((stage) => {
    if (stages[stage]) change({ stage });
  }));
  const el = mgEl("div", {}, bar,
    mgEl("div", { class: "mg-bar" }, mask.el), width.el, pads.el);
  return { el, follow };
}

export default {
  render({ model, el }) {
    const d = readModel(model);
    compute(d);
    const legend = mgEl("div", {});
    const work = mgEl("div", { class: "mg-table-frame", tabindex: 0,
      role: "region", "aria-label": "where the number comes from" });
    const map = mgHeatMap({ label: stages[0].title, rows: d.names,
      cols: d.names, minCell: 38, maxCell: 52, at: () => NaN,
      describe: (r, c) => sentence(d, r, c), onKey: digit,
      onMove: ({ row, col }) => work.replaceChildren(origin(d, row, col)) });
    const table = mgTableButton(() => tableOf(d));
    const controls = makeControls(d, change);

    function paint() {
      map.redraw();
      paintNumbers(d, map);
      legend.replaceChildren(legendOf(d));
    }

    function change(what) {
      Object.assign(d, what);
      compute(d);
      controls.follow();
      map.set({ label: `${stages[d.stage].title}, ${d.T} rows`,
        cols: keyOf(d) === "out" ? d.channels : d.names, ramp: d.ramp,
        scale: d.scale,
        at: (r, c) => (d.shown[r][c] === -Infinity ? NaN : d.shown[r][c]) });
      paint();
      table.refresh();
    }

    function digit(event) {
      const stage = Number(event.key) - 1;
      if (!stages[stage] || event.ctrlKey || event.metaKey) return false;
      change({ stage });
      map.select(map.state.row, map.state.col);
      return true;
    }

    const { root, dispose } = mgWidget(el,
      { label: "Attention in five steps", redraw: paint });
    root.append(controls.el, map.el, legend, map.readout.el, work,
      mgEl("p", { class: "mg-help" }, "Row: who asks. Column: who is read. "
        + "Arrow keys move, Enter pins, 1 to 5 change the step."),
      table.button, table.frame);
    change({});
    map.select(d.T - 1, 0, { quiet: true });
    return dispose;
  },
};
