// A window over a text: row x, row y (the same shifted by one), and the
// example at place t: everything up to x[t] is seen, y[t] is to be predicted.

// The row that names itself and its cells: [row element, its cells].
function windowRow(name, tokens, ids) {
  const cells = tokens.map((token, i) => mgEl("div", { class: "mg-win-cell",
    role: "gridcell" }, mgToken(token),
  mgEl("span", { class: "mg-win-id" }, String(ids[i]))));
  const head = mgEl("div", { class: "mg-win-head", role: "rowheader" }, name);
  return [mgEl("div", { class: "mg-win-row", role: "row" }, head, cells), cells];
}

export default {
  render({ model, el }) {
    const tokens = model.get("tokens");
    const ids = model.get("ids");
    const now = { start: 0, size: model.get("block_size"), t: 0,
      pinned: false };
    let cells = [];

    const readout = mgReadout();
    const room = mgEl("div", { class: "mg-win-room" });
    const marks = tokens.map((token) => mgToken(token));
    const strip = mgEl("p", { class: "mg-win-text", "aria-hidden": "true" },
      marks);
    const table = mgTableButton(() => ({
      caption: `The ${now.size} examples of the window at ${now.start}`,
      header: ["t", "after", "predict", "id"],
      rows: Array.from({ length: now.size }, (_, t) => [String(t), seen(t),
        mgVisible(tokens[now.start + t + 1]),
        String(ids[now.start + t + 1])]),
    }));
    const start = mgStepper({ label: "window begins at", min: 0,
      max: tokens.length - now.size - 1, value: 0,
      onInput: (value) => { now.start = value; draw(); } });
    const size = mgStepper({ label: "block_size", min: 1,
      max: model.get("most"), value: now.size, onInput: resize });

    function seen(t) {
      const text = tokens.slice(now.start, now.start + t + 1).join("");
      return mgVisible(text, 200);
    }

    function resize(value) {
      now.size = value;
      now.t = Math.min(now.t, value - 1);
      start.range.max = tokens.length - value - 1;
      start.set(now.start, true);
      now.start = start.value;
      draw();
    }

    function choose(t) {
      now.t = t;
      cells[0].forEach((c, i) => c.classList.toggle("mg-win-seen", i <= t));
      cells[1].forEach((c, i) => c.classList.toggle("mg-win-next", i === t));
      marks.forEach((m, i) => {
        const place = i - now.start;
        m.classList.toggle("mg-win-in", place >= 0 && place < now.size);
        m.classList.toggle("mg-win-seen", place >= 0 && place <= t);
        m.classList.toggle("mg-win-next", place === t + 1);
      });
      const target = mgVisible(tokens[now.start + t + 1]);
      readout.set(`t = ${t}: after ${seen(t)} predict ${target}`
        + `${now.pinned ? " (pinned)" : ""}`);
    }

    function draw() {
      const from = now.start;
      const part = (list, shift) => list.slice(from + shift,
        from + shift + now.size);
      const x = windowRow("x", part(tokens, 0), part(ids, 0));
      const y = windowRow("y", part(tokens, 1), part(ids, 1));
      cells = [x[1], y[1]];
      const grid = mgEl("div", { class: "mg-win-grid", role: "grid",
        "aria-label": "inputs x and targets y" }, x[0], y[0]);
      const roving = mgRovingGrid(grid, cells, {
        onMove: (_, t) => { if (!now.pinned) choose(t); },
        onPin: (_, t) => {
          now.pinned = !(now.pinned && t === now.t);
          choose(t);
        },
        onUnpin: () => { now.pinned = false; choose(now.t); },
      });
      room.replaceChildren(grid);
      now.pinned = false;
      roving.move(0, now.t, false);
      table.refresh();
    }

    const { root, dispose } = mgWidget(el, { label: "Sliding window" });
    root.append(strip, start.el, size.el, room, readout.el, table.button,
      table.frame);
    draw();
    return dispose;
  },
};
