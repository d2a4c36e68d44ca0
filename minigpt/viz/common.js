// Put in front of every widget's own file by minigpt/viz/base.py.
// Plain functions, no imports, no exports, ES2020. Text goes into the page
// only through text nodes, so a token can never become markup.

// --- elements -------------------------------------------------------------

function mgEl(tag, attributes = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") el.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(el.style, value);
    else el.setAttribute(name, value === true ? "" : String(value));
  }
  el.append(...children.flat().filter((child) => child !== null));
  return el;
}

function mgButton(text, onclick, attributes = {}) {
  return mgEl("button",
    { type: "button", class: "mg-button", onclick, ...attributes }, text);
}

let mgLastId = 0;

function mgId(name) {
  return `mg-${name}-${(mgLastId += 1)}-${Math.floor(Math.random() * 1e9)}`;
}

// options: [[value, text], …]
function mgSelect({ label, options, value, onChange }) {
  const select = mgEl("select", {
    class: "mg-select", onchange: () => onChange(select.value),
  }, options.map(([v, text]) => mgEl("option", { value: v }, text)));
  if (value !== undefined) select.value = value;
  mgKeep(select, label, () => select.value, (wanted) => {
    const options = [...select.options];
    if (!options.some((o) => o.value === wanted && !o.disabled)) return;
    select.value = wanted;
    onChange(wanted);
  });
  return { el: mgEl("label", {}, label, " ", select), select };
}

// A labelled slider with a step back and a step forward.
function mgStepper({ label, min, max, value, onInput, format = String }) {
  const output = mgEl("output", {});
  const range = mgEl("input", {
    type: "range", class: "mg-range", min, max, step: 1, value,
    "aria-label": label, oninput: () => set(Number(range.value)),
    onkeydown: (event) => { // JupyterLab has its own use for these keys
      if (/^(Arrow|Page|Home|End)/.test(event.key)) event.stopPropagation();
    },
  });
  const back = mgButton("◀", () => set(Number(range.value) - 1),
    { "aria-label": `${label}: one back` });
  const next = mgButton("▶", () => set(Number(range.value) + 1),
    { "aria-label": `${label}: one on` });
  function set(wanted, quiet = false) {
    const v = Math.min(Number(range.max), Math.max(Number(range.min), wanted));
    range.value = v;
    range.setAttribute("aria-valuetext", format(v));
    output.textContent = format(v);
    back.disabled = v <= Number(range.min);
    next.disabled = v >= Number(range.max);
    if (!quiet) onInput(v);
  }
  set(value, true);
  mgKeep(range, label, () => range.value, mgWhole((v) => set(v)));
  const el = mgEl("div", { class: "mg-bar mg-stepper" },
    mgEl("span", {}, label), back, range, next, output);
  return { el, set, range, get value() { return Number(range.value); } };
}

// A button that plays a stepper; draw(step) shows a step. Where motion is not
// wanted, "play" shows the end at once.
function mgPlay({ stepper, draw, pause }) {
  const last = Number(stepper.range.max);
  let timer = null;
  const button = mgButton("play", () => (timer ? stop() : start()),
    { "aria-pressed": "false" });
  function go(step) {
    stepper.set(step, true);
    draw(stepper.value);
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "play";
    button.setAttribute("aria-pressed", "false");
  }
  function start() {
    if (mgCalm()) { go(last); return; }
    if (stepper.value === last) go(0);
    button.textContent = "pause";
    button.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      go(stepper.value + 1);
      if (stepper.value === last) stop();
    }, pause);
  }
  return { button, go, stop, get playing() { return timer !== null; } };
}

// --- theme and size -------------------------------------------------------

function mgIsDark() {
  const page = document.documentElement.dataset.theme;
  if (page === "dark" || page === "light") return page === "dark";
  const body = document.body;
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
  const kind = body.dataset.vscodeThemeKind;
  if (kind) return kind.includes("dark") || kind === "vscode-high-contrast";
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

function mgCalm() {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

// The box of one widget. `redraw` is called when theme or width change.
// Return `dispose` from render().
function mgWidget(el, { label, redraw = () => {} }) {
  const root = mgEl("section", { class: "mg", "aria-label": label });
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  let width = 0;
  const theme = () => {
    const now = mgIsDark() ? "dark" : "light";
    if (root.dataset.mgTheme === now) return;
    root.dataset.mgTheme = now;
    if (width) redraw();
  };
  const marks = new MutationObserver(theme);
  const filter = { attributes: true, attributeFilter: ["data-theme",
    "data-jp-theme-light", "data-vscode-theme-kind"] };
  marks.observe(document.documentElement, filter);
  marks.observe(document.body, filter);
  media.addEventListener("change", theme);
  let leave = () => {}; // the address
  const size = new ResizeObserver(() => {
    if (!root.clientWidth || root.clientWidth === width) return;
    const first = !width;
    width = root.clientWidth;
    redraw();
    if (first && el.dataset.address) leave = mgAddress(root, el.dataset.address);
  });
  theme();
  el.replaceChildren(root);
  size.observe(root);
  return {
    root,
    dispose() {
      marks.disconnect();
      size.disconnect();
      media.removeEventListener("change", theme);
      leave();
      root.remove();
    },
  };
}

// --- addresses ------------------------------------------------------------

// On a page of the book (see host.js) a widget has a name, and what the reader
// has changed in it is in the page's address:
//   #sampling-dial=temperature:7,top-p:18&window=cell:2.0
// Elsewhere it has no name, and nothing happens to the address. A part that
// names no widget, control or possible value is left out.

const mgKept = new WeakMap(); // element -> { get, set }

// A control whose state is kept: get() -> text; set(text) takes it, or ignores
// what makes no sense.
function mgKeep(el, name, get, set) {
  el.dataset.keep = name.replace(/\W+/g, "-");
  mgKept.set(el, { get, set });
}

// take(number, …) -> a set() for "3.14": `count` whole numbers, nothing else.
function mgWhole(take, count = 1) {
  return (text) => {
    const parts = text.split(".");
    if (parts.length === count && parts.every((x) => /^\d{1,9}$/.test(x))) {
      take(...parts.map(Number));
    }
  };
}

// Pairs around `sign`: "a:1,b:2" -> Map { a => 1, b => 2 }, and back.
function mgPairs(text, between, sign) {
  return new Map(text.split(between).filter((part) => part.includes(sign)).map(
    (part) => [part.slice(0, part.indexOf(sign)),
      part.slice(part.indexOf(sign) + 1)]));
}

function mgJoin(pairs, between, sign) {
  return [...pairs].map(([key, value]) => key + sign + value).join(between);
}

function mgDecoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

// Restore what the address says, write changes into it, and offer a link.
// Returns what undoes it.
function mgAddress(root, name) {
  const before = read();
  let stepped = false; // since Back: is there a step that Back undoes?
  let timer = null;

  // Its controls in order; of the same name, the second is called name2.
  function controls() {
    const seen = {};
    return [...root.querySelectorAll("[data-keep]")].map((el) => {
      const key = el.dataset.keep;
      seen[key] = (seen[key] ?? 0) + 1;
      return [seen[key] > 1 ? key + seen[key] : key, mgKept.get(el)];
    });
  }

  function read() {
    return new Map(controls().map(([key, { get }]) => [key, get()]));
  }

  function changed() {
    const pairs = [...read()].filter(([key, now]) => before.get(key) !== now);
    return mgJoin(pairs.map(([key, now]) => [key, encodeURIComponent(now)]),
      ",", ":");
  }

  const parts = () => mgPairs(location.hash.slice(1), "&", "=");

  // Twice, because what one control allows may depend on another.
  function restore() {
    const wanted = mgPairs(parts().get(name) ?? "", ",", ":");
    for (let pass = 0; pass < 2; pass += 1) {
      for (const [key, { get, set }] of controls()) {
        const text = wanted.has(key) ? mgDecoded(wanted.get(key))
          : before.get(key);
        if (text !== undefined && text !== get()) set(text);
      }
    }
  }

  // All changes after a Back, or after opening the page, are one step.
  function note() {
    const all = parts();
    if ((all.get(name) ?? "") === changed()) return;
    all.delete(name);
    if (changed()) all.set(name, changed());
    const hash = mgJoin(all, "&", "=");
    try {
      history[stepped ? "replaceState" : "pushState"](null, "",
        `${location.pathname}${location.search}${hash && `#${hash}`}`);
      stepped = true;
    } catch {
      // a browser may refuse; the widget works all the same
    }
  }

  function later() {
    clearTimeout(timer);
    timer = setTimeout(note, 300);
  }

  // A fragment without "=" leads to a heading, and changes nothing here.
  function follow() {
    clearTimeout(timer);
    stepped = false;
    if (!location.hash || parts().size) restore();
  }

  const said = mgEl("span", { class: "mg-soft", role: "status" });
  async function copy() {
    const link = `${location.href.split("#")[0]}#${name}=${changed()}`;
    try {
      await navigator.clipboard.writeText(link);
      said.textContent = " The link is in your clipboard.";
    } catch {
      said.textContent = ` ${link}`;
    }
  }

  const events = ["click", "change", "input", "keydown"];
  events.forEach((type) => root.addEventListener(type, later, true));
  addEventListener("popstate", follow);
  restore();
  const tables = root.querySelectorAll(".mg-button[aria-controls]");
  tables[tables.length - 1].after(" ", mgButton("copy link", copy), said);
  return () => {
    clearTimeout(timer);
    removeEventListener("popstate", follow);
  };
}

function mgColor(el, name) {
  return getComputedStyle(el).getPropertyValue(`--mg-${name}`).trim();
}

// --- numbers from Python --------------------------------------------------

// The same bits three places lower are a float32 that is 2^112 too small.
const mgFloat32 = new Float32Array(1);
const mgBits = new Uint32Array(mgFloat32.buffer);

function mgFloat16(bits) {
  const magnitude = bits & 0x7fff;
  if (magnitude > 0x7c00) return NaN;
  mgBits[0] = magnitude << 13;
  const value = magnitude === 0x7c00 ? Infinity : mgFloat32[0] * 2 ** 112;
  return bits & 0x8000 ? -value : value;
}

const mgReaders = {
  float16: [2, (view, i) => mgFloat16(view.getUint16(i, true))],
  float32: [4, (view, i) => view.getFloat32(i, true)],
  uint8: [1, (view, i) => view.getUint8(i)],
  uint16: [2, (view, i) => view.getUint16(i, true)],
  int32: [4, (view, i) => view.getInt32(i, true)],
};

// What pack() of base.py made -> { shape, data, at(i, j, …) }.
// With a lower triangle, at() above the diagonal is NaN.
function mgUnpack({ dtype, shape, lower, data: view }) {
  const [bytes, read] = mgReaders[dtype];
  const data = new Float64Array(view.byteLength / bytes);
  for (let i = 0; i < data.length; i += 1) data[i] = read(view, i * bytes);
  const rank = shape.length;
  const size = shape[rank - 1];
  function at(...index) {
    if (!lower) return data[index.reduce((n, i, d) => n * shape[d] + i, 0)];
    const [row, col] = index.slice(-2);
    if (col > row) return NaN;
    const map = index.slice(0, -2).reduce((n, i, d) => n * shape[d] + i, 0);
    return data[map * ((size * (size + 1)) / 2) + (row * (row + 1)) / 2 + col];
  }
  return { shape, data, at };
}

// --- token text -----------------------------------------------------------

const mgSigns = { " ": "·", "\n": "↵", "\t": "→", "\u00a0": "⍽", "\x7f": "␡" };

// Text as it can be seen; the same as visible() in base.py. The characters in
// `keep` stay as they are: " " in a line of prose, " \n" in a passage.
function mgVisible(text, longest = 12, keep = "") {
  const points = Array.from(text.slice(0, 2 * longest + 2));
  const cut = points.length > longest;
  let shown = "";
  let holds = 0; // how many more marks the letter before can carry
  for (const c of cut ? points.slice(0, longest - 1) : points) {
    const code = c.codePointAt(0);
    const hex = code.toString(16).toUpperCase().padStart(4, "0");
    const hidden = /^[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Co}\p{Cn}]$/u.test(c)
      || (/^\p{Zs}$/u.test(c) && c !== " ");
    const mark = /^\p{M}$/u.test(c);
    const sign = keep.includes(c) ? c : mgSigns[c];
    if (sign) shown += sign;
    else if (code < 32) shown += String.fromCodePoint(0x2400 + code);
    else if (hidden) shown += `⟨${hex}⟩`;
    else if (mark && !holds) shown += `◌${c}`;
    else shown += c;
    if (sign || code < 32 || hidden) holds = 0;
    else holds = (mark && holds ? holds : mark ? 4 : 5) - 1;
  }
  return cut ? `${shown}…` : shown || "∅"; // an empty token
}

function mgToken(text, longest = 12) {
  return mgEl("bdi", { class: "mg-token" }, mgVisible(text, longest));
}

// --- colours --------------------------------------------------------------

const mgRamps = {
  viridis: "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c "
    + "1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725",
  cividis: "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 "
    + "8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838",
  // −1 … +1 mapped to 0 … 1: blue, then paper (light or dark), then orange
  diverging: "0072b2 6fb3d9 f6f6f6 ee9a5e d55e00",
  "diverging-dark": "56b4e9 2f6d92 1c2127 96531f f28c38",
};

// t in [0, 1] -> "rgb(…)". Diverging: 0 is −1, 0.5 is zero, 1 is +1.
function mgRamp(name = "viridis") {
  const dark = name === "diverging" && mgIsDark();
  const stops = mgRamps[dark ? "diverging-dark" : name].split(" ").map(
    (hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
  return (t) => {
    const place = Math.min(1, Math.max(0, t)) * (stops.length - 1);
    const i = Math.min(stops.length - 2, Math.floor(place));
    const mix = (k) => Math.round(
      stops[i][k] + (stops[i + 1][k] - stops[i][k]) * (place - i));
    return `rgb(${mix(0)},${mix(1)},${mix(2)})`;
  };
}

// A canvas of width × height CSS pixels, sharp on every screen.
function mgCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
}

// low and high are the texts at the two ends.
function mgLegend({ low, high, ramp = "viridis" }) {
  const canvas = mgEl("canvas", { "aria-hidden": "true" });
  function redraw() {
    const pen = mgCanvas(canvas, 120, 10);
    const color = mgRamp(ramp);
    for (let x = 0; x < 120; x += 1) {
      pen.fillStyle = color(x / 119);
      pen.fillRect(x, 0, 1.5, 10);
    }
  }
  redraw();
  const el = mgEl("div", { class: "mg-legend mg-soft" },
    mgEl("span", {}, low), canvas, mgEl("span", {}, high));
  return { el, redraw };
}

// --- keyboard, readout, table ---------------------------------------------

// Where a key leads in a grid: [row, col], or null if it is no grid key.
function mgGridKey(event, row, col, rows, cols) {
  const all = event.ctrlKey || event.metaKey;
  if (event.altKey) return null;
  switch (event.key) {
    case "ArrowUp": return [Math.max(0, row - 1), col];
    case "ArrowDown": return [Math.min(rows - 1, row + 1), col];
    case "ArrowLeft": return [row, Math.max(0, col - 1)];
    case "ArrowRight": return [row, Math.min(cols - 1, col + 1)];
    case "PageUp": return [Math.max(0, row - 10), col];
    case "PageDown": return [Math.min(rows - 1, row + 10), col];
    case "Home": return [all ? 0 : row, 0];
    case "End": return [all ? rows - 1 : row, cols - 1];
    default: return null;
  }
}

// A grid of DOM cells with one tab stop. cells: rows of focusable elements.
// onMove(row, col), onPin(row, col), onUnpin() are optional.
function mgRovingGrid(frame, cells,
  { onMove = () => {}, onPin = () => {}, onUnpin = () => {} } = {}) {
  let row = 0;
  let col = 0;
  function move(r, c, focus = true) {
    cells[row][col].tabIndex = -1;
    row = r;
    col = Math.min(c, cells[r].length - 1);
    cells[row][col].tabIndex = 0;
    if (focus) cells[row][col].focus();
    onMove(row, col);
  }
  cells.forEach((line, r) => line.forEach((cell, c) => {
    cell.tabIndex = r || c ? -1 : 0;
    cell.addEventListener("pointerenter", () => onMove(r, c));
    cell.addEventListener("click", () => { move(r, c); onPin(r, c); });
  }));
  mgKeep(frame, "at", () => `${row}.${col}`, mgWhole((r, c) => {
    if (cells[r]) move(r, c, false);
  }, 2));
  frame.addEventListener("keydown", (event) => {
    const to = mgGridKey(event, row, col, cells.length, cells[row].length);
    if (to) move(...to);
    else if (event.key === "Enter" || event.key === " ") onPin(row, col);
    else if (event.key === "Escape") onUnpin();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return { move };
}

// Letters that are read from the right, each run in an element of its own, so
// that the words and numbers beside it stay where they are.
const mgFromRight = /([\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]+)/;

function mgSentence(text) {
  return text.split(mgFromRight).map((part, i) => (
    i % 2 ? mgEl("bdi", {}, part) : part));
}

// The line that says what is under the cursor. With { quiet: true } a screen
// reader is not told (the pointer moves too fast for that).
function mgReadout(first = "") {
  const el = mgEl("p", { class: "mg-readout", role: "status",
    "aria-live": "polite" }, mgSentence(first));
  function set(text, { quiet = false } = {}) {
    el.setAttribute("aria-live", quiet ? "off" : "polite");
    if (el.textContent !== text) el.replaceChildren(...mgSentence(text));
  }
  return { el, set };
}

// content() -> { caption, header: [text], rows: [[text]] }, called when opened
// and again by refresh(). The first column names the row.
function mgTableButton(content, { show = "show as table",
  hide = "hide table" } = {}) {
  const frame = mgEl("div", { class: "mg-table-frame", hidden: true,
    tabindex: 0, role: "region", "aria-label": "the same as a table",
    id: mgId("table") });
  const button = mgButton(show, () => toggle(frame.hidden),
    { "aria-expanded": "false", "aria-controls": frame.id });
  function refresh() {
    if (frame.hidden) return;
    const { caption, header, rows } = content();
    const head = header.map((text) => mgEl("th", { scope: "col" },
      mgEl("bdi", {}, text)));
    const body = rows.map((row) => mgEl("tr", {}, row.map((text, i) => mgEl(
      i ? "td" : "th", i ? {} : { scope: "row" }, mgEl("bdi", {}, text)))));
    frame.replaceChildren(mgEl("table", {}, mgEl("caption", {}, caption),
      mgEl("thead", {}, mgEl("tr", {}, head)), mgEl("tbody", {}, body)));
  }
  function toggle(open) {
    frame.hidden = !open;
    button.textContent = open ? hide : show;
    button.setAttribute("aria-expanded", String(open));
    refresh();
  }
  return { button, frame, refresh };
}

// --- heat map -------------------------------------------------------------

// A grid of numbers: canvas cells, DOM labels, one tab stop.
//   label       what the map shows, for screen readers
//   rows, cols  the labels, as visible text
//   at(r, c)    the number; NaN is a masked cell and stays empty
//   scale(v)    the number -> 0 … 1 on the ramp (default: itself)
//   describe(r, c) -> the sentence of the readout
//   onMove({ row, col, pinned }), onKey(event) -> true if it was used
// Returns { el, readout, select(row, col), redraw(), set(changes), state }.
function mgHeatMap(options) {
  const o = { ramp: "viridis", scale: (v) => v, minCell: 6, maxCell: 28,
    onMove: () => {}, onKey: () => false, ...options };
  const state = { row: 0, col: 0, pinned: false };
  const box = { left: 0, top: 0, cell: 0 };
  const canvas = mgEl("canvas", { "aria-hidden": "true" });
  const cursor = mgEl("div", { class: "mg-cursor", "aria-hidden": "true" });
  const labels = mgEl("div", { "aria-hidden": "true" });
  const inner = mgEl("div", { class: "mg-map-inner" }, canvas, labels, cursor);
  const readout = mgReadout();
  const el = mgEl("div", { class: "mg-map", tabindex: 0, role: "application",
    "aria-roledescription": "heat map", "aria-label": o.label,
    onkeydown, onpointermove, onclick }, inner);
  let rowTags = [];
  let colTags = [];

  function tag(kind, text, place) {
    return mgEl("span", { class: `mg-label mg-token ${kind}`, style: place },
      text);
  }

  function layout() {
    const long = (texts) => Math.min(14, Math.max(1,
      ...texts.map((t) => Array.from(t).length))); // the rest is cut off
    const up = long(o.cols) > 2;
    box.left = 10 + 7.5 * long(o.rows);
    box.top = up ? 10 + 7.5 * long(o.cols) : 20;
    const room = (el.clientWidth || 600) - box.left - 4;
    box.cell = Math.min(o.maxCell,
      Math.max(o.minCell, Math.floor(room / o.cols.length)));
    const { left, top, cell } = box;
    // the cursor is larger than its cell
    inner.style.width = `${left + cell * o.cols.length + 4}px`;
    inner.style.height = `${top + cell * o.rows.length + 4}px`;
    const font = `${Math.max(9, Math.min(13, cell))}px`;
    const thick = `${Math.max(cell, 12)}px`;
    const shift = (cell - Math.max(cell, 12)) / 2;
    rowTags = o.rows.map((text, r) => tag("mg-label-row", text, {
      left: "0", width: `${left - 4}px`, height: thick, fontSize: font,
      top: `${top + r * cell + shift}px`, paddingRight: "2px" }));
    colTags = o.cols.map((text, c) => tag(
      up ? "mg-label-col mg-label-up" : "mg-label-col", text, { top: "0",
        height: `${top - 4}px`, width: thick, fontSize: font,
        left: `${left + c * cell + shift}px` }));
    labels.replaceChildren(...rowTags, ...colTags);
  }

  function paint() {
    const { left, top, cell } = box;
    canvas.style.left = `${left}px`;
    canvas.style.top = `${top}px`;
    const pen = mgCanvas(canvas, cell * o.cols.length, cell * o.rows.length);
    const color = mgRamp(o.ramp);
    const gap = cell >= 10 ? 1 : 0;
    o.rows.forEach((_, r) => o.cols.forEach((__, c) => {
      const value = o.at(r, c);
      if (Number.isNaN(value)) return;
      pen.fillStyle = color(o.scale(value));
      pen.fillRect(c * cell, r * cell, cell - gap, cell - gap);
    }));
  }

  function mark() {
    const { left, top, cell } = box;
    Object.assign(cursor.style, { left: `${left + state.col * cell - 2}px`,
      top: `${top + state.row * cell - 2}px`, width: `${cell + 4}px`,
      height: `${cell + 4}px` });
    cursor.classList.toggle("mg-cursor-pinned", state.pinned);
    const on = (tags, place) => tags.forEach((t, i) => {
      t.classList.toggle("mg-label-on", i === place);
      t.hidden = cell < 10 && i !== place;
    });
    on(rowTags, state.row);
    on(colTags, state.col);
  }

  function tell(quiet) {
    const text = o.describe(state.row, state.col);
    readout.set(state.pinned ? `${text} (pinned)` : text, { quiet });
    o.onMove({ ...state });
  }

  function follow() {
    const { left, top, cell } = box;
    const x = left + state.col * cell;
    const y = top + state.row * cell;
    if (x - left < el.scrollLeft) el.scrollLeft = x - left;
    const right = x + cell + 4 - el.clientWidth;
    if (right > el.scrollLeft) el.scrollLeft = right;
    if (y - top < el.scrollTop) el.scrollTop = y - top;
    const bottom = y + cell + 4 - el.clientHeight;
    if (bottom > el.scrollTop) el.scrollTop = bottom;
  }

  function select(row, col, { quiet = false } = {}) {
    state.row = Math.max(0, Math.min(o.rows.length - 1, row));
    state.col = Math.max(0, Math.min(o.cols.length - 1, col));
    mark();
    if (!quiet) follow();
    tell(quiet);
  }

  function pin(pinned) {
    state.pinned = pinned;
    mark();
    tell(false);
  }

  function cellUnder(event) {
    const area = canvas.getBoundingClientRect();
    const row = Math.floor((event.clientY - area.top) / box.cell);
    const col = Math.floor((event.clientX - area.left) / box.cell);
    const inside = row >= 0 && col >= 0 && row < o.rows.length
      && col < o.cols.length;
    return inside ? [row, col] : null;
  }

  function onkeydown(event) {
    const to = mgGridKey(event, state.row, state.col, o.rows.length,
      o.cols.length);
    if (to) select(...to);
    else if (event.key === "Enter") pin(!state.pinned);
    else if (event.key === "Escape" && state.pinned) pin(false);
    else if (!o.onKey(event)) return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has its own use for these keys
  }

  function onpointermove(event) {
    const to = cellUnder(event);
    if (!to || state.pinned) return;
    if (to[0] === state.row && to[1] === state.col) return;
    select(...to, { quiet: true });
  }

  function onclick(event) {
    const to = cellUnder(event);
    if (!to) return;
    const again = state.pinned && to[0] === state.row && to[1] === state.col;
    state.pinned = !again;
    select(...to);
  }

  function redraw() {
    layout();
    paint();
    mark();
  }

  function set(changes) {
    Object.assign(o, changes);
    el.setAttribute("aria-label", o.label);
    state.row = Math.min(state.row, o.rows.length - 1);
    state.col = Math.min(state.col, o.cols.length - 1);
    redraw();
    tell(true);
  }

  readout.set(o.describe(0, 0), { quiet: true });
  mgKeep(el, "cell", () => `${state.row}.${state.col}`, mgWhole(select, 2));
  return { el, readout, select, redraw, set, state, box };
}
