// Layers × tokens: what each layer would say next. The favourite token as
// text in each cell, its probability as colour.

function lensName(layer) {
  return layer ? `after block ${layer - 1}` : "before block 0";
}

function lensPercent(p) {
  if (p > 0 && p < 0.001) return "< 0.1 %";
  return `${(100 * p).toFixed(1)} %`;
}

// What one cell knows: the five best, and the token that came.
function lensCell(d, layer, t) {
  const top = Array.from({ length: d.top }, (_, k) => ({
    text: mgVisible(d.words[d.best.at(layer, t, k)]),
    p: d.probs.at(layer, t, k) }));
  const rank = d.rank.at(layer, t);
  return { top, rank, came: d.came.at(layer, t),
    next: rank ? mgVisible(d.tokens[t + 1]) : "" };
}

function lensSentence(d, layer, t) {
  const { top, rank, came, next } = lensCell(d, layer, t);
  const list = top.map((x) => `${x.text} ${lensPercent(x.p)}`).join(", ");
  const end = rank ? `. What came, ${next}, has ${lensPercent(came)}, rank `
    + `${rank}` : ". The text ends here";
  return `${lensName(layer)}, after ${mgVisible(d.tokens[t])} (${t}): `
    + `${list}${end}.`;
}

// What a cell shows and how strong its colour is, in each view.
const lensViews = {
  best: ["the likeliest next token", (x) => [x.top[0].text, x.top[0].p]],
  came: ["probability of the token that came", (x) => (x.rank
    ? [lensPercent(x.came), x.came] : ["", 0])],
  rank: ["rank of the token that came", (x) => (x.rank
    ? [String(x.rank), 1 / x.rank] : ["", 0])],
};

export default {
  render({ model, el }) {
    const d = { tokens: model.get("tokens"), words: model.get("words") };
    ["best", "probs", "came", "rank"].forEach((name) => {
      d[name] = mgUnpack(model.get(name));
    });
    const [L, T, top] = d.best.shape;
    d.top = top;
    const state = { view: "best", row: 0, col: 0, pinned: false };
    const readout = mgReadout();
    const views = mgSelect({ label: "cells show", value: "best",
      options: Object.entries(lensViews).map(([k, [text]]) => [k, text]),
      onChange: (view) => { state.view = view; paint(); table.refresh(); } });
    const legend = mgLegend({ low: "0", high: "1" });

    // the last layer on top, as a stack of blocks is drawn
    const order = Array.from({ length: L }, (_, i) => L - 1 - i);
    const cells = order.map(() => Array.from({ length: T }, () => mgEl("button",
      { type: "button", class: "mg-lens-cell mg-token", role: "gridcell" })));
    const head = mgEl("div", { class: "mg-lens-row", role: "row" },
      mgEl("span", { class: "mg-lens-name", role: "columnheader" }, "after"),
      d.tokens.map((text) => mgEl("span", { role: "columnheader",
        class: "mg-lens-head mg-token" }, mgVisible(text, 9))));
    const grid = mgEl("div", { class: "mg-lens-grid", role: "grid",
      "aria-label": "layers by tokens: arrow keys move, Enter pins" }, head,
    cells.map((line, r) => mgEl("div", { class: "mg-lens-row", role: "row" },
      mgEl("span", { class: "mg-lens-name", role: "rowheader" },
        lensName(order[r])), line)));
    const roving = mgRovingGrid(grid, cells, {
      onMove: (r, c) => { if (!state.pinned) choose(r, c); },
      onPin: (r, c) => {
        const again = state.row === r && state.col === c;
        state.pinned = !(state.pinned && again);
        choose(r, c);
      },
      onUnpin: () => { state.pinned = false; choose(state.row, state.col); } });

    const table = mgTableButton(() => ({
      caption: lensViews[state.view][0], header: ["after", ...order.map(
        (_, i) => lensName(i))],
      rows: d.tokens.map((text, t) => [`${t} ${mgVisible(text)}`,
        ...order.map((_, i) => {
          const x = lensCell(d, i, t);
          const [shown] = lensViews[state.view][1](x);
          return state.view === "best" ? `${shown} ${lensPercent(x.top[0].p)}`
            : shown;
        })]) }));

    function choose(r, c) {
      cells[state.row][state.col].classList.remove("mg-lens-on");
      state.row = r;
      state.col = c;
      cells[r][c].classList.add("mg-lens-on");
      cells[r][c].classList.toggle("mg-lens-pinned", state.pinned);
      readout.set(lensSentence(d, order[r], c)
        + (state.pinned ? " (pinned)" : ""));
    }

    function paint() {
      const color = mgRamp("viridis");
      cells.forEach((line, r) => line.forEach((cell, t) => {
        const [text, strength] = lensViews[state.view][1](
          lensCell(d, order[r], t));
        cell.textContent = text;
        // dark text on the light end of the ramp, light on the dark end
        cell.style.background = color(strength);
        cell.style.color = strength > 0.42 ? "#000000" : "#ffffff";
      }));
      legend.redraw();
    }

    const { root, dispose } = mgWidget(el, { label: "Logit lens",
      redraw: paint });
    root.append(mgEl("div", { class: "mg-bar" }, views.el, legend.el),
      mgEl("div", { class: "mg-lens-frame" }, grid), readout.el,
      mgEl("p", { class: "mg-help" }, "Bottom row: before any block. Top row: "
        + "the model's own answer. Arrow keys move, Enter pins, Escape "
        + "unpins."), table.button, table.frame);
    paint();
    roving.move(0, 0, false);
    return dispose;
  },
};
