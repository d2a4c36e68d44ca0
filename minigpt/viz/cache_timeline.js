// A text grows by one token a step. Row: a step; column: a token. Which keys
// and values are computed in that step, which are read from the cache?

// Multiplications when T tokens pass and each meets S keys: the same as
// minigpt.cache.multiplications.
function timelineProducts(shape, T, S) {
  const { n_layer: L, n_embd: C, vocab_size: V } = shape;
  return T * (L * (12 * C * C + 2 * S * C) + V * C);
}

// One step -> which columns are in the window, which are computed.
function timelineStep(d, step, cached) {
  const S = d.prompt + step;
  const width = Math.min(S, d.shape.block_size);
  const alone = cached && step > 0 && S <= d.shape.block_size;
  const computed = alone ? 1 : width;
  return { S, first: S - width, from: S - computed, width, computed,
    products: timelineProducts(d.shape, computed, width),
    bytes: 2 * d.shape.n_layer * d.shape.n_embd * 4 };
}

function timelineKind(d, step, column, cached) {
  const { S, first, from } = timelineStep(d, step, cached);
  if (step > d.now) return "still to come";
  if (column >= S) return "not there yet";
  if (column < first) return "left out: the window has moved on";
  return column >= from ? "computed" : "read from the cache";
}

const timelineShade = { computed: 0.95, "read from the cache": 0.35 };

function timelineWhole(number) {
  return String(number).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

// All steps up to `now`, added up.
function timelineSum(d, cached, what) {
  let sum = 0;
  for (let step = 0; step <= d.now; step += 1) {
    sum += what(timelineStep(d, step, cached));
  }
  return sum;
}

function timelineRows(d) {
  const here = (cached, what) => timelineWhole(
    what(timelineStep(d, d.now, cached)));
  const all = (cached, what) => timelineWhole(timelineSum(d, cached, what));
  const line = (name, what) => [name, here(false, what), here(true, what),
    all(false, what), all(true, what)];
  const held = timelineStep(d, d.now, true);
  return [
    line("tokens that pass", (x) => x.computed),
    line("multiplications", (x) => x.products),
    line("bytes of keys and values computed", (x) => x.computed * x.bytes),
    ["bytes of keys and values kept", "0",
      timelineWhole(held.width * held.bytes), "", ""],
  ];
}

function timelineSentence(d) {
  const { S } = timelineStep(d, d.now, true);
  const naive = timelineStep(d, d.now, false);
  const cached = timelineStep(d, d.now, true);
  const what = d.now ? `${d.names[S - 1]} arrives` : `${S} tokens at once`;
  return `Step ${d.now}: ${what}. Without a cache ${naive.computed} of ${S} `
    + `pass, with a cache ${cached.computed}.`;
}

function timelineLogits(d) {
  const x = d.steps[d.now];
  return `Next, the likeliest is ${mgVisible(x.next)}: logit `
    + `${x.naive.toFixed(4)} without, ${x.cached.toFixed(4)} with the cache. `
    + `Largest difference over ${d.shape.vocab_size} logits: `
    + `${x.difference.toExponential(1)}.`;
}

function timelineMap(d, label, cached, stepNames) {
  return mgHeatMap({ label, rows: stepNames, cols: d.names, ramp: "cividis",
    minCell: 12, maxCell: 22,
    at: (r, c) => timelineShade[timelineKind(d, r, c, cached)] ?? NaN,
    describe: (r, c) => `step ${r}, ${d.names[c]} (place ${c}): `
      + timelineKind(d, r, c, cached) });
}

function timelineKey() {
  const color = mgRamp("cividis");
  return mgEl("p", { class: "mg-bar" }, Object.entries(timelineShade).map(
    ([name, shade]) => mgEl("span", { class: "mg-time-key" }, mgEl("span", {
      class: "mg-time-box", style: { background: color(shade) } }), name)));
}

export default {
  render({ model, el }) {
    const d = { now: 0, prompt: model.get("prompt"), shape: model.get("shape"),
      steps: model.get("steps"),
      names: model.get("tokens").map((text) => mgVisible(text, 8)) };
    const last = d.steps.length - 1;
    const stepNames = d.steps.map((_, i) => String(i));
    const maps = [["without a cache", false], ["with a cache", true]].map(
      ([label, cached]) => [label, timelineMap(d, label, cached, stepNames)]);
    const readout = mgReadout();
    const logits = mgEl("p", { class: "mg-time-logits" });
    const sums = mgEl("div", { class: "mg-table-frame", tabindex: 0,
      role: "region", "aria-label": "what it costs" });
    const stepper = mgStepper({ label: "step", min: 0, max: last, value: 0,
      onInput: (step) => { play.stop(); draw(step); } });
    const play = mgPlay({ stepper, draw, pause: 600 });
    const table = mgTableButton(() => ({
      caption: "Each step: tokens that pass, multiplications, logit of the "
        + "likeliest next token",
      header: ["step", "tokens", "pass without", "pass with",
        "multiplications without", "multiplications with", "likeliest",
        "logit without", "logit with", "largest difference"],
      rows: d.steps.map((x, i) => {
        const [a, b] = [timelineStep(d, i, false), timelineStep(d, i, true)];
        return [i, a.S, a.computed, b.computed, a.products, b.products,
          mgVisible(x.next), x.naive.toFixed(4), x.cached.toFixed(4),
          x.difference.toExponential(1)].map(String);
      }) }));

    function draw(step = d.now) {
      d.now = step;
      maps.forEach(([, map]) => map.redraw());
      const th = (text) => mgEl("th", { scope: "col" }, text);
      sums.replaceChildren(mgEl("table", {}, mgEl("thead", {}, mgEl("tr", {},
        ["", "this step, without", "this step, with", "so far, without",
          "so far, with"].map(th))),
      mgEl("tbody", {}, timelineRows(d).map((row) => mgEl("tr", {},
        row.map((text, i) => mgEl(i ? "td" : "th", i ? {} : { scope: "row" },
          text)))))));
      readout.set(timelineSentence(d));
      logits.replaceChildren(...mgSentence(timelineLogits(d)));
    }

    const { root, dispose } = mgWidget(el, { label: "Cache timeline",
      redraw: () => draw() });
    root.append(stepper.el, mgEl("div", { class: "mg-bar" }, play.button),
      readout.el, mgEl("div", { class: "mg-time-maps" }, maps.map(
        ([label, map]) => mgEl("div", { class: "mg-time-map" },
          mgEl("p", { class: "mg-title" }, label), map.el, map.readout.el))),
      timelineKey(), logits, sums,
      mgEl("p", { class: "mg-help" }, "Row: a step. Column: a token. Arrow "
        + "keys move in a map, Enter pins."), table.button, table.frame);
    draw();
    return () => { play.stop(); dispose(); };
  },
};
