// Z2: a matrix. The map of a head, or the weights that make a strip.

function mcMapView({ state, word, at, go, tell }) {
  const { ids, config: { n_head: H }, maps } = state;
  const n = ids.length;
  const size = (n * (n + 1)) / 2;
  const names = ids.map((id) => mgVisible(word(id)));
  const weight = (t, s) => (s > t ? NaN
    : maps[(at.b * H + at.h) * size + (t * (t + 1)) / 2 + s]);
  const sentence = (t, s) => (s > t
    ? `“${names[t]}” may not read “${names[s]}”: it comes later`
    : `“${names[t]}” reads “${names[s]}” with weight `
      + `${weight(t, s).toFixed(3)}`);
  const map = mgHeatMap({ label: `weights of head ${at.h} in block ${at.b}`,
    rows: names, cols: names, at: weight, ramp: "diverging",
    scale: (w) => 0.5 + w / 2, maxCell: 44, describe: sentence,
    onMove: ({ row, col, pinned }) => {
      if (pinned) go({ q: row, k: col });
    } });
  const q = at.q ?? n - 1;
  let best = 0;
  for (let s = 1; s < q; s += 1) if (weight(q, s) > weight(q, best)) best = s;
  const ready = () => {
    map.redraw();
    map.select(q, best, { quiet: true });
  };
  const table = () => ({ caption: `Head ${at.h} of block ${at.b}: each row `
    + "reads the columns", header: ["token", ...names],
  rows: names.map((name, t) => [name, ...names.map((_, s) => (s > t ? ""
    : weight(t, s).toFixed(3)))]) });
  return { el: mgEl("div", {}, map.el, map.readout.el), table, ready,
    help: "Each row is a token and sums to 1. Click a cell, or press Enter, to "
      + "see how its number is made.", tell };
}

const MC_MAKES = { q: "queries", k: "keys", v: "values",
  attention: "the projection of attention", hidden: "the hidden channels",
  mlp: "the projection of the MLP", head: "the logits of the candidates" };

function mcMatrixView({ state, at, go, tell }, matrix) {
  const { rows, columns, w } = matrix;
  const q = at.q ?? state.ids.length - 1;
  const turned = rows > columns; // the longer side is drawn across
  const [across, down] = turned ? [rows, columns] : [columns, rows];
  const canvas = mgEl("canvas", { class: "mc-matrix", width: across,
    height: down });
  const values = turned ? Float32Array.from({ length: w.length }, (_, i) => (
    w[(i % rows) * columns + Math.floor(i / rows)])) : w;
  mcPaint(canvas, values, across, mcColors(), 2.5 * mcSpread(w));
  const lines = ["mc-line-row", "mc-line-col"].map((name) => mgEl("div", {
    class: `mc-line ${name}` }));
  let row = 0;
  let col = 0;
  const frame = mgEl("div", { class: "mc-frame", tabindex: 0,
    role: "application", "aria-roledescription": "matrix",
    "aria-label": `weights for ${MC_MAKES[at.m]}: ${rows} outputs, ${columns} `
      + "inputs", style: { aspectRatio: `${across} / ${Math.max(down,
      across / 12)}` } }, canvas, lines);

  function move(r, c, quiet) {
    row = Math.max(0, Math.min(down - 1, r));
    col = Math.max(0, Math.min(across - 1, c));
    Object.assign(lines[0].style, { top: `${(100 * row) / down}%`,
      height: `${100 / down}%` });
    Object.assign(lines[1].style, { left: `${(100 * col) / across}%`,
      width: `${100 / across}%` });
    const [output, input] = turned ? [col, row] : [row, col];
    tell(`output ${output}, input ${input}: weight ${mcNumber(
      w[output * columns + input])}`, { quiet });
  }

  const open = () => go({ q, r: turned ? col : row });
  const follow = (event) => {
    const area = canvas.getBoundingClientRect();
    move(Math.floor(((event.clientY - area.top) / area.height) * down),
      Math.floor(((event.clientX - area.left) / area.width) * across), true);
  };
  frame.addEventListener("pointermove", follow);
  frame.addEventListener("click", (event) => {
    follow(event);
    open();
  });
  frame.addEventListener("keydown", (event) => {
    const to = mgGridKey(event, row, col, down, across);
    if (to) move(...to, false);
    else if (event.key === "Enter") open();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const table = () => ({ caption: `Weights for ${MC_MAKES[at.m]}, the first 12 `
    + "inputs of 12 outputs", header: ["output", ...Array.from({ length: 12 },
    (_, i) => `input ${i}`)],
  rows: Array.from({ length: Math.min(12, rows) }, (_, r) => [`output ${r}`,
    ...Array.from({ length: 12 }, (__, i) => mcNumber(w[r * columns + i]))]) });
  return { el: frame, table, ready: () => move(0, 0, true),
    help: `${rows} × ${columns} weights. Each output is a `
      + `${turned ? "column" : "row"}: click it to see its sum.` };
}
