// What the playground shows, part by part. Each part is { el, … } and changes
// only when it is told to; tokens go into the page as text nodes.

// Percent with three digits that count.
function pgPercent(x) {
  if (x === 0) return "0 %";
  if (x < 0.00001) return "< 0.001 %";
  return `${(100 * x).toFixed(x < 0.001 ? 3 : x < 0.0995 ? 2 : 1)} %`;
}

// One token as text: a special one by its name, bytes that are no whole
// character in hexadecimal.
function pgTokenText(vocabulary, id) {
  const { tokens, special } = vocabulary;
  const first = tokens.length - special.length;
  if (id >= first) return special[id - first];
  return bpePieces(tokens[id]).map(({ text, byte }) => (text
    ?? `⟨${byte.toString(16).toUpperCase().padStart(2, "0")}⟩`)).join("");
}

// The text that each of the ids adds; none where a character is unfinished.
function pgPieces(vocabulary, ids) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return ids.map((id) => decoder.decode(bpeBytes(vocabulary, [id]),
    { stream: true }).replace(/\r/g, "\n"));
}

// A button that keeps the focus while it is off.
function pgButton(text, onclick, attributes = {}) {
  const button = mgButton(text, () => {
    if (button.getAttribute("aria-disabled") !== "true") onclick();
  }, attributes);
  return button;
}

function pgAllow(el, is) {
  el.setAttribute("aria-disabled", String(!is));
}

function pgTitle(text) {
  return mgEl("h2", { class: "mg-pg-title" }, text);
}

function pgHeader(texts) {
  return mgEl("tr", {}, texts.map((text) => (text
    ? mgEl("th", { scope: "col" }, mgEl("bdi", {}, text)) : mgEl("td", {}))));
}

// --- tabs -------------------------------------------------------------------

// parts: [[name, element]]; onOpen(name): the reader turns to a part.
function pgTabs(parts, onOpen) {
  const panels = parts.map(([, content]) => mgEl("div", { role: "tabpanel",
    class: "mg-pg-panel", id: mgId("panel") }, content));
  const tabs = parts.map(([name], i) => mgEl("button", { type: "button",
    role: "tab", class: "mg-pg-tab", id: mgId("tab"),
    "aria-controls": panels[i].id, onclick: () => open(i) }, name));
  panels.forEach((panel, i) => panel.setAttribute("aria-labelledby",
    tabs[i].id));
  const list = mgEl("div", { role: "tablist", class: "mg-pg-tabs",
    "aria-label": "views of the model", onkeydown: (event) => {
      const at = tabs.indexOf(document.activeElement);
      const to = mgGridKey(event, 0, at, 1, tabs.length);
      if (!to) return;
      event.preventDefault();
      tabs[to[1]].focus();
      open(to[1]);
    } }, tabs);
  let now = 0;

  function open(at) {
    now = at;
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === at));
      tab.tabIndex = i === at ? 0 : -1;
      panels[i].hidden = i !== at;
    });
    onOpen(parts[at][0]);
  }

  return { el: mgEl("div", {}, list, panels), open,
    get now() { return parts[now][0]; } };
}

// --- the text in numbers ----------------------------------------------------

function pgCount({ ids, start, begun }, open, characters) {
  const words = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
  let text = ids.length
    ? `${words(ids.length, "token")}, ${words(characters, "character")}. `
    : "No text, so the model reads this token instead. ";
  if (start) {
    text += `The model reads the last ${begun.length - start} tokens; the `
      + `first ${start} have left its window. `;
  }
  if (open) {
    text += `The last ${words(open, "byte")} began a character that is not `
      + "finished; the text leaves them out. ";
  }
  return text;
}

// --- the next token ---------------------------------------------------------

// onChoose(id): the reader puts this token after the place that is shown.
function pgNext({ name, onChoose }) {
  const caption = mgEl("caption", {});
  const body = mgEl("tbody", {});
  const el = mgEl("div", {}, pgTitle("What they do to the next token"),
    mgEl("div", { class: "mg-pg-frame", tabindex: 0, role: "region",
      "aria-label": "the next token" },
    mgEl("table", { class: "mg-pg-next" }, caption, mgEl("thead", {},
      pgHeader(["token", "model", "with your settings", ""])), body)),
    mgEl("p", { class: "mg-help" }, "Gray: the model's own probability. "
      + "Color: what temperature, top-k and top-p make of it. Press a token "
      + "to put it into the text."));
  let rows = [];

  function row() {
    const token = mgEl("bdi", { class: "mg-token" });
    const button = pgButton(token, () => onChoose(line.id));
    const cells = [mgEl("td", {}), mgEl("td", {})];
    const model = mgEl("div", { class: "mg-pg-model" });
    const after = mgEl("div", { class: "mg-pg-after" });
    const line = { token, button, cells, model, after };
    line.el = mgEl("tr", {}, mgEl("th", { scope: "row" }, button), cells,
      mgEl("td", { class: "mg-pg-bars", "aria-hidden": "true" }, model,
        after));
    return line;
  }

  function fill(line, { id, model, after, cut, rank }, next, widest) {
    line.id = id;
    line.token.textContent = mgVisible(name(id), 24);
    line.button.classList.toggle("mg-pg-real", id === next);
    line.cells[0].textContent = pgPercent(model);
    line.cells[1].textContent = cut ? `cut by ${cut}` : pgPercent(after);
    const wide = (x) => `${Math.min(100, (100 * x) / widest)}%`;
    line.model.style.width = wide(model);
    line.after.style.width = wide(after);
    const what = id === next ? ", which the text has here" : "";
    line.button.title = `id ${id}, place ${rank + 1}${what}`;
  }

  function update({ lines, bits, keep, place, begun, next }, V) {
    while (rows.length < lines.length) {
      rows = [...rows, row()];
      body.append(rows[rows.length - 1].el);
    }
    const widest = Math.max(...lines.map((x) => Math.max(x.model, x.after)));
    rows.forEach((line, i) => {
      line.el.hidden = i >= lines.length;
      if (lines[i]) fill(line, lines[i], next, widest);
    });
    const before = begun.slice(Math.max(0, place - 3), place + 1).map(name);
    caption.textContent = `After “${mgVisible(before.join(""), 40)}”: `
      + `uncertainty ${bits.toFixed(2)} bits, your settings keep ${keep} of `
      + `${V} tokens`;
  }

  function allow(is) {
    rows.forEach(({ button }) => pgAllow(button, is));
  }

  return { el, update, allow };
}

// --- attention --------------------------------------------------------------

// What the chosen token reads, head by head. onHead([layer, head] or null):
// the arcs shall show this head, or the mean of all.
function pgReading({ L, H, onHead }) {
  const readout = mgReadout();
  const list = mgEl("ol", { class: "mg-pg-reads" });
  const mean = mgButton("mean of all heads", () => onHead(null));
  const cells = Array.from({ length: L * H }, (_, i) => {
    const canvas = mgEl("canvas", { "aria-hidden": "true", height: 1 });
    const name = `layer ${Math.floor(i / H)}, head ${i % H}`;
    const button = mgEl("button", { type: "button", class: "mg-pg-strip",
      "aria-label": name, title: name }, canvas);
    return { button, canvas };
  });
  const rows = Array.from({ length: L }, (_, l) => cells.slice(l * H,
    l * H + H).map(({ button }) => button));
  const grid = mgEl("div", { class: "mg-pg-strips", role: "group",
    "aria-label": "heads: arrow keys move, Enter chooses, Escape shows the "
      + "mean of all", style: { gridTemplateColumns:
        `max-content repeat(${H}, minmax(0, 1fr))` } },
  rows.map((line, l) => [mgEl("span", { class: "mg-soft" }, `layer ${l}`),
    line]).flat(2));
  mgRovingGrid(grid, rows, { onPin: (l, h) => onHead([l, h]),
    onUnpin: () => onHead(null) });
  const map = pgAttention();
  const el = mgEl("div", {}, readout.el, list, mgEl("div",
    { class: "mg-bar" }, mean), grid, mgEl("p", { class: "mg-help" },
    "One strip for each head: the text from left to right, orange where the "
      + "chosen token reads. Choose a head to see its arcs."), map.el);

  function strip({ canvas }, row) {
    canvas.width = row.length;
    const pen = canvas.getContext("2d");
    pen.fillStyle = mgColor(el, "orange") || "#d55e00";
    row.forEach((w, s) => {
      pen.globalAlpha = Math.sqrt(Math.min(1, w));
      pen.fillRect(s, 0, 1, 1);
    });
  }

  // names: the tokens in the window; rows: the weights of each head at the
  // chosen token; read: those that are drawn as arcs.
  function update({ names, rows: weights, read, head, maps }) {
    const t = read.length - 1;
    const who = head ? `Layer ${head[0]}, head ${head[1]}`
      : `The mean of all ${L * H} heads`;
    readout.set(`${who}: “${mgVisible(names[t], 24)}” reads`,
      { quiet: true });
    const order = Array.from(read, (w, s) => [w, s]).sort(
      (a, b) => b[0] - a[0]).slice(0, 5);
    list.replaceChildren(...order.map(([w, s]) => mgEl("li", {},
      mgEl("bdi", { class: "mg-token" }, mgVisible(names[s], 16)), " ",
      mgEl("span", { class: "mg-soft" }, pgPercent(w)))));
    mean.setAttribute("aria-pressed", String(!head));
    cells.forEach((cell, i) => {
      strip(cell, weights[i]);
      cell.button.setAttribute("aria-pressed", String(Boolean(head)
        && head[0] * H + head[1] === i));
    });
    map.update(names, maps);
  }

  return { el, update, map };
}

// The weights at place p, of each head: Float32Array(p + 1).
function pgRows({ shape: [L, H, T], data }, p) {
  const all = new Float32Array(data.buffer);
  const size = (T * (T + 1)) / 2;
  return Array.from({ length: L * H }, (_, i) => {
    const start = i * size + (p * (p + 1)) / 2;
    return all.subarray(start, start + p + 1);
  });
}

function pgMean(rows) {
  const mean = new Float32Array(rows[0].length);
  for (const row of rows) {
    for (let s = 0; s < mean.length; s += 1) mean[s] += row[s] / rows.length;
  }
  return mean;
}

// The attention map of the notebooks, for whoever opens it; drawn anew for
// each text. The head that was shown and the heads that were pinned stay so.
function pgAttention() {
  const host = mgEl("div", { class: "mg-pg-attention" });
  const el = mgEl("details", { ontoggle: () => draw() },
    mgEl("summary", {}, "All weights of every head"), host);
  let dispose = () => {};
  let now = null;
  let drawn = null;

  function chosen() {
    const heads = [...host.querySelectorAll(".mg-head")];
    return { on: heads.findIndex((h) => h.classList.contains("mg-head-on")),
      pins: ["A", "B"].map((pin) => heads.findIndex(
        (h) => h.textContent === pin)) };
  }

  function update(tokens, weights) {
    now = { tokens, weights };
    draw();
  }

  function draw() {
    if (!el.open || drawn === now) return;
    drawn = now;
    const before = chosen();
    dispose();
    // made outside the page, so that no screen reader is told each time
    const fresh = mgEl("div", {});
    dispose = mgAttentionMap.render({ el: fresh,
      model: { get: (key) => drawn[key] } });
    const heads = [...fresh.querySelectorAll(".mg-head")];
    before.pins.forEach((i) => { if (i >= 0) heads[i].click(); });
    if (before.on > 0) heads[before.on].dispatchEvent(
      new PointerEvent("pointerenter"));
    host.replaceChildren(fresh);
  }

  return { el, update };
}

// --- logit lens -------------------------------------------------------------

function pgLens({ name }) {
  const frame = mgEl("div", { class: "mg-table-frame mg-pg-lenses",
    tabindex: 0, role: "region", "aria-label": "logit lens" });
  const el = mgEl("div", {}, mgEl("p", { class: "mg-help" }, "What would the "
    + "model say next if it stopped after each block? For the last 24 tokens, "
    + "the likeliest token and its probability."), frame);

  function cell({ id, p }) {
    const text = mgVisible(name(id), 12);
    const box = mgEl("td", { class: "mg-pg-lens", title: text },
      mgEl("bdi", { class: "mg-token" }, text), " ",
      mgEl("span", { class: "mg-soft" }, `${Math.round(100 * p)} %`));
    box.style.setProperty("--share", `${Math.round(40 * p)}%`);
    return box;
  }

  function update(rows) {
    const blocks = rows[0].cells.length - 1;
    const header = ["after", "no block", ...Array.from(
      { length: blocks }, (_, l) => `block ${l}`)];
    frame.replaceChildren(mgEl("table", {},
      mgEl("thead", {}, pgHeader(header)),
      mgEl("tbody", {}, rows.map(({ place, id, cells }) => mgEl("tr", {},
        mgEl("th", { scope: "row", title: `token ${place + 1}` }, mgEl("bdi",
          { class: "mg-token" }, mgVisible(name(id), 12))),
        cells.map(cell))))));
    frame.scrollTop = frame.scrollHeight; // the end of the text
  }

  return { el, update };
}

// --- heads off --------------------------------------------------------------

// onOff(Uint8Array): the heads that shall give zeros; onMeasure(): the loss.
function pgHeads({ L, H, onOff, onMeasure }) {
  const off = new Uint8Array(L * H);
  const readout = mgReadout();
  const name = (i) => `layer ${Math.floor(i / H)}, head ${i % H}`;
  const cells = Array.from({ length: L * H }, (_, i) => {
    const bar = mgEl("span", { class: "mg-pg-change", "aria-hidden": "true" });
    const text = mgEl("span", {}, "on");
    const button = mgEl("button", { type: "button",
      class: "mg-button mg-pg-head",
      "aria-pressed": "false", "aria-label": `${name(i)}: off` }, text, bar);
    return { button, text, bar, change: null };
  });
  const grid = mgEl("div", { class: "mg-pg-heads", role: "group",
    "aria-label": "heads: arrow keys move, Enter switches off or on" },
  Array.from({ length: L }, (_, l) => [mgEl("span", { class: "mg-soft" },
    `layer ${l}`), mgEl("div", { class: "mg-pg-layer" }, cells.slice(l * H,
    l * H + H).map(({ button }) => button))]).flat());
  mgRovingGrid(grid, Array.from({ length: L }, (_, l) => cells.slice(l * H,
    l * H + H).map(({ button }) => button)), {
    onMove: (l, h) => tell(l * H + h), onPin: (l, h) => flip(l * H + h) });

  function tell(i) {
    const { change } = cells[i];
    const loss = change === null ? "not measured for this text"
      : `alone switched off, the loss changes by ${pgSigned(change)} nats `
        + "a token";
    readout.set(`${name(i)}: ${off[i] ? "off" : "on"}; ${loss}`,
      { quiet: true });
  }

  function flip(i) {
    off[i] = 1 - off[i];
    forget();
    onOff(off);
  }

  // The text or the heads have changed: what was measured no longer holds.
  function forget() {
    cells.forEach((cell) => { cell.change = null; });
    draw();
  }

  function draw() {
    const color = mgRamp("diverging");
    const most = Math.max(1e-9, ...cells.map((c) => Math.abs(c.change ?? 0)));
    cells.forEach(({ button, text, bar, change }, i) => {
      button.setAttribute("aria-pressed", String(Boolean(off[i])));
      text.textContent = off[i] ? "off" : change === null ? "on"
        : pgSigned(change);
      bar.style.background = change === null || off[i] ? "transparent"
        : color(0.5 + change / most / 2);
    });
  }

  function update({ error, before, changes, done, of, tokens }) {
    if (error) {
      readout.set(error);
      return;
    }
    cells.forEach((cell, i) => {
      cell.change = i < done ? changes[i] : null;
    });
    draw();
    readout.set(done < of ? `head ${done} of ${of} measured` : "measured: "
      + `the loss on these ${tokens} tokens is ${before.toFixed(3)} nats a `
      + "token; each number is its change when that head alone is switched "
      + "off", { quiet: done < of });
  }

  const measure = pgButton("measure every head", onMeasure);
  const el = mgEl("div", {}, mgEl("p", { class: "mg-help" },
    "A head that is switched off outputs zeros, in everything that this page "
      + "shows and writes. Orange: the loss on your text rises without the "
      + "head. Blue: it falls."),
    mgEl("div", { class: "mg-bar" }, measure, mgButton("all heads on", () => {
      off.fill(0);
      forget();
      onOff(off);
    })), grid, readout.el);
  const allow = (is) => pgAllow(measure, is);
  const set = (pairs) => {
    off.fill(0);
    pairs.filter(([l, h]) => l < L && h < H).forEach(([l, h]) => {
      off[l * H + h] = 1;
    });
    draw();
  };
  const pairs = () => Array.from(off, (is, i) => [is, i]).filter(
    ([is]) => is).map(([, i]) => [Math.floor(i / H), i % H]);
  return { el, update, forget, draw, allow, set, pairs,
    get off() { return off; } };
}

function pgSigned(x) {
  return `${x > 0 ? "+" : x < 0 ? "−" : ""}${Math.abs(x).toFixed(3)}`;
}
