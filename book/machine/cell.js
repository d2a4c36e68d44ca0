// Z3: one number, from its products to its place in the text.

const MC_GROW = 700; // milliseconds until all products are there

// Bars of the products and, over them, the line of the running sum.
function mcBars(terms, tell) {
  const canvas = mgEl("canvas", { "aria-hidden": "true" });
  const el = mgEl("div", { class: "mc-sum" }, canvas);
  let frame = 0;

  function draw(shown) {
    const width = Math.max(240, el.clientWidth);
    const pen = mgCanvas(canvas, width, 150);
    const step = width / terms.length;
    const most = (name) => Math.max(1e-9, ...terms.map(
      (term) => Math.abs(term[name])));
    const bar = 68 / most("product");
    const line = 68 / most("total");
    pen.fillStyle = mgColor(el, "line");
    pen.fillRect(0, 74.5, width, 1);
    terms.slice(0, shown).forEach(({ product }, i) => {
      pen.fillStyle = mgColor(el, product < 0 ? "accent" : "read");
      pen.fillRect(i * step, 75 - Math.max(0, product) * bar,
        Math.max(1, step - (step > 4 ? 1.5 : 0)), Math.abs(product) * bar);
    });
    pen.strokeStyle = mgColor(el, "ink");
    pen.lineWidth = 2;
    pen.beginPath();
    terms.slice(0, shown).forEach(({ total }, i) => {
      pen.lineTo((i + 0.5) * step, 75 - total * line);
    });
    pen.stroke();
  }

  function start() {
    cancelAnimationFrame(frame);
    if (mgCalm()) {
      draw(terms.length);
      return;
    }
    const begin = performance.now();
    const grow = (now) => {
      const part = Math.min(1, (now - begin) / MC_GROW);
      draw(Math.ceil(part * terms.length));
      if (part < 1 && el.isConnected) frame = requestAnimationFrame(grow);
    };
    frame = requestAnimationFrame(grow);
  }

  canvas.addEventListener("pointermove", (event) => {
    const area = canvas.getBoundingClientRect();
    const i = Math.max(0, Math.min(terms.length - 1, Math.floor(
      ((event.clientX - area.left) / area.width) * terms.length)));
    const { label, a, b, product, total } = terms[i];
    tell(`${label}: ${mcNumber(a)} × ${mcNumber(b)} = ${mcNumber(product)}, `
      + `sum so far ${mcNumber(total)}`, { quiet: true });
  });
  return { el, start, redraw: () => draw(terms.length) };
}

// Three lines of the chapter's own code; `on` is the one at work.
function mcCode({ module, title, href, lines }, on) {
  return mgEl("div", { class: "mc-code" }, mgEl("p", {},
    "You write this in ", mgEl("a", { href }, title), `, minigpt/${module}`),
  mgEl("pre", { tabindex: 0 }, lines.map((line, i) => mgEl("code", {
    class: i === on && "mc-on", "aria-current": i === on && "true" },
  `${line}\n`))));
}

// The row of weights that the cell is part of; a link to each neighbor.
function mcSoftmaxRow({ state, word, at }, row) {
  return mgEl("ol", { class: "mc-softmax" }, row.map(({ weight }, s) => mgEl(
    "li", {}, mgEl("a", { href: mcHash({ ...at, k: s }),
      "aria-current": s === at.k && "true" }, mgToken(word(state.ids[s])),
    mgEl("span", { class: "mc-weight" }, mgEl("i", {
      style: { width: `${100 * weight}%` } })),
    mgEl("span", {}, s > at.q ? "masked" : weight.toFixed(3))))));
}

function mcCellView(place, cell, title) {
  const { tell, code } = place;
  const bars = mcBars(cell.terms, tell);
  const lines = mgEl("div", {});
  const buttons = cell.steps.map(({ name, value, text }, i) => mgButton("",
    () => choose(i), { "aria-pressed": "false", class: "mc-step" }));
  buttons.forEach((button, i) => {
    const { name, value, text } = cell.steps[i];
    button.append(mgEl("b", {}, name), mgEl("span", { class: "mc-value" },
      mcNumber(value)), mgEl("span", { class: "mc-soft" }, text));
  });

  function choose(on) {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed",
      String(i === on)));
    lines.replaceChildren(mcCode(code(cell.code), cell.steps[on].line));
  }

  choose(0);
  const end = cell.steps[cell.steps.length - 1];
  const table = () => ({ caption: title, header: ["term", "a", "b", "a × b",
    "sum so far"],
  rows: [...cell.terms.map(({ label, a, b, product, total }) => [label,
    ...[a, b, product, total].map(mcNumber)]),
  ...cell.steps.map(({ name, value }) => [name, "", "", "", mcNumber(value)])],
  });
  return { el: mgEl("div", { class: "mc-cell" },
    mgEl("p", { class: "mc-result" }, `${title}: `,
      mgEl("b", {}, mcNumber(end.value))),
    bars.el,
    mgEl("p", { class: "mc-soft" }, "Bars are products, the line is their sum "
      + "so far; each has a scale of its own."),
    mgEl("div", { class: "mc-steps", role: "group", "aria-label": "steps" },
      buttons),
    cell.row ? mcSoftmaxRow(place, cell.row) : "", lines),
  table, ready: bars.start, redraw: bars.redraw, cell,
  help: "Choose a step to see its line of code." };
}
