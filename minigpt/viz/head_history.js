// The scores of every head along a training run: all heads at one point, and
// one head along the points.

const HISTORY_HEIGHT = 150;
const HISTORY_LEFT = 34;

function historyName([l, h]) {
  return `layer ${l}, head ${h}`;
}

// The curves of all heads for one score; the chosen head in colour.
function historyPaint(canvas, root, d, state) {
  const width = Math.max(160, (canvas.parentElement.clientWidth || 600)
    - HISTORY_LEFT);
  const pen = mgCanvas(canvas, width, HISTORY_HEIGHT);
  const P = d.points.length;
  const across = (p) => 4 + (P > 1 ? (p / (P - 1)) * (width - 8) : 0);
  const up = (v) => HISTORY_HEIGHT - 4 - (v / d.top(state.score))
    * (HISTORY_HEIGHT - 8);
  const curve = (values, color, wide, dash = []) => {
    pen.strokeStyle = color;
    pen.lineWidth = wide;
    pen.setLineDash(dash);
    pen.beginPath();
    values.forEach((v, p) => (p ? pen.lineTo(across(p), up(v))
      : pen.moveTo(across(p), up(v))));
    pen.stroke();
  };
  const of = (l, h) => d.points.map((_, p) => d.scores.at(state.score, p, l,
    h));
  for (let l = 0; l < d.L; l += 1) {
    for (let h = 0; h < d.H; h += 1) curve(of(l, h), mgColor(root, "line"), 1);
  }
  curve(d.points.map(() => d.chance[state.score]), mgColor(root, "soft"), 1,
    [4, 4]);
  curve(of(...state.head), mgColor(root, "accent"), 2.5);
  pen.setLineDash([]);
  pen.strokeStyle = mgColor(root, "ink");
  pen.lineWidth = 1;
  pen.strokeRect(across(state.point), 0, 0, HISTORY_HEIGHT);
}

function historySentence(d, state) {
  const point = d.points[state.point];
  const loss = Number.isFinite(point.loss)
    ? `, loss of the batch ${point.loss.toFixed(2)}` : "";
  const value = d.scores.at(state.score, state.point, ...state.head);
  return `Step ${point.step}${loss}. ${historyName(state.head)}: `
    + `${d.names[state.score]} ${value.toFixed(2)}, chance `
    + `${d.chance[state.score].toFixed(2)}.`;
}

export default {
  render({ model, el }) {
    const d = { points: model.get("points"),
      names: model.get("names").map((name) => mgVisible(name, 40, " ")),
      chance: model.get("chance"), scores: mgUnpack(model.get("scores")) };
    const [N, P, L, H] = d.scores.shape;
    // the ramp and the curves end at the largest score of the run
    const size = P * L * H;
    const tops = Array.from({ length: N }, (_, n) => Math.max(0.1,
      ...d.scores.data.slice(n * size, n * size + size)));
    Object.assign(d, { L, H, top: (n) => tops[n] });
    const state = { score: 0, point: P - 1, head: [0, 0] };
    for (let l = 0; l < L; l += 1) { // begin with the best head
      for (let h = 0; h < H; h += 1) {
        const at = (head) => d.scores.at(state.score, state.point, ...head);
        if (at([l, h]) > at(state.head)) state.head = [l, h];
      }
    }
    const value = (l, h) => d.scores.at(state.score, state.point, l, h);
    const readout = mgReadout();
    const text = mgEl("p", { class: "mg-history-text" });
    const canvas = mgEl("canvas", { "aria-hidden": "true" });
    const high = mgEl("span", { class: "mg-history-high" });
    const chart = mgEl("div", { class: "mg-history-chart" },
      high, mgEl("span", { class: "mg-history-low" }, "0"), canvas);
    let drawn = false;
    const map = mgHeatMap({ label: "score of every head",
      rows: Array.from({ length: L }, (_, l) => `layer ${l}`),
      cols: Array.from({ length: H }, (_, h) => String(h)), at: value,
      minCell: 24, maxCell: 34, scale: (v) => v / d.top(state.score),
      describe: (l, h) => `${historyName([l, h])}: ${value(l, h).toFixed(2)}`,
      onMove: ({ row, col }) => {
        if (!drawn) return;
        state.head = [row, col];
        draw();
      } });
    const scores = mgSelect({ label: "score", value: "0",
      options: d.names.map((name, i) => [String(i), name]),
      onChange: (i) => {
        state.score = Number(i);
        map.set({ label: `${d.names[i]} score of every head` });
        draw();
      } });
    scores.select.setAttribute("aria-label", "score");
    const stepper = mgStepper({ label: "point of the run", min: 0, max: P - 1,
      value: P - 1, format: (p) => `step ${d.points[p].step}`,
      onInput: (p) => {
        state.point = p;
        map.redraw();
        map.readout.set(`${historyName(state.head)}: ${
          value(...state.head).toFixed(2)}`, { quiet: true });
        draw();
      } });
    // JupyterLab has its own use for the arrow keys
    stepper.range.addEventListener("keydown", (e) => e.stopPropagation());
    const table = mgTableButton(() => ({
      caption: `${d.names[state.score]}: every head (layer.head), along the `
        + "steps",
      header: ["head", ...d.points.map((p) => String(p.step))],
      rows: Array.from({ length: L * H }, (_, i) => {
        const [l, h] = [Math.floor(i / H), i % H];
        return [`${l}.${h}`, ...d.points.map((_p, p) => d.scores.at(
          state.score, p, l, h).toFixed(2))];
      }) }));

    function draw() {
      high.textContent = d.top(state.score).toFixed(2);
      historyPaint(canvas, root, d, state);
      readout.set(historySentence(d, state));
      const said = d.points[state.point].text;
      text.replaceChildren(mgEl("bdi", {}, mgVisible(said || "", 1000, " \n")));
      text.hidden = !said;
      table.refresh();
    }

    const { root, dispose } = mgWidget(el, { label: "Heads along the run",
      redraw: () => { map.redraw(); legend.redraw(); draw(); } });
    const legend = mgLegend({ low: "0", high: "largest of the run" });
    root.append(mgEl("div", { class: "mg-bar" }, scores.el, legend.el),
      stepper.el, readout.el, mgEl("div", { class: "mg-history-both" },
        mgEl("div", {}, map.el, map.readout.el), mgEl("div", {
          class: "mg-history-wide" }, chart, mgEl("p", { class: "mg-help" },
          "The chosen head, all others in grey, chance dashed, along the "
          + "recorded points."))), text, table.button, table.frame);
    map.redraw();
    map.select(...state.head, { quiet: true });
    drawn = true;
    draw();
    return dispose;
  },
};
