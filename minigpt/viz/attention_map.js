// Layers × heads as thumbnails, one head with its tokens, two heads compared.

// The weights of one head, row by row: begin(l, h) is where its data begins,
// seen(t) how many columns row t has. Large maps ask a million times, so the
// loops below walk through the data and call nothing.
function mgMapReader({ shape: [, H, T], data }, lower) {
  const size = lower ? (T * (T + 1)) / 2 : T * T;
  const begin = (l, h) => (l * H + h) * size;
  const seen = (t) => (lower ? t + 1 : T);
  const row = (t) => (lower ? (t * (t + 1)) / 2 : t * T);
  const at = (l, h, t, s) => (s < seen(t) ? data[begin(l, h) + row(t) + s]
    : NaN);
  return { data, begin, seen, at };
}

// Entropy (bits) and distance (tokens) of one head, as in attention_map.py.
function mgHeadNumbers({ data, begin, seen }, l, h, T) {
  let entropy = 0;
  let distance = 0;
  let rows = 0;
  let i = begin(l, h);
  for (let t = 0; t < T; t += 1) {
    const end = seen(t);
    let sum = 0;
    for (let s = 0; s < end; s += 1, i += 1) {
      const w = data[i];
      if (!(w > 0)) continue; // masked, or nothing
      sum += w;
      entropy -= w * Math.log2(w);
      distance += w * Math.abs(t - s);
    }
    if (sum > 0) rows += 1;
  }
  return { entropy: entropy / Math.max(1, rows),
    distance: distance / Math.max(1, rows) };
}

// The ramp as 256 pixels of an ImageData, each one number.
function mgPixels(name) {
  const color = mgRamp(name);
  return new Uint32Array(Uint8ClampedArray.from(Array.from({ length: 256 },
    (_, i) => [...color(i / 255).slice(4, -1).split(",").map(Number), 255],
  ).flat()).buffer);
}

// All thumbnails on one canvas, with one invisible button over each.
function mgThumbnails({ L, H, T, reader, names, onMove, onPin, onUnpin }) {
  const canvas = mgEl("canvas", { "aria-hidden": "true",
    class: "mg-heads-canvas" });
  const buttons = Array.from({ length: L }, (_, l) => Array.from({ length: H },
    (__, h) => mgEl("button", { type: "button", class: "mg-head",
      "aria-label": names(l, h), "aria-pressed": "false" })));
  const grid = mgEl("div", { class: "mg-heads-grid", role: "group",
    "aria-label": "heads: arrow keys move, Enter pins, Escape unpins",
    style: { gridTemplateColumns: `repeat(${H}, 1fr)` } }, buttons.flat());
  const inner = mgEl("div", { class: "mg-heads-inner" }, canvas, grid);
  const rows = mgEl("div", { class: "mg-heads-rows", "aria-hidden": "true" },
    Array.from({ length: L }, (_, l) => mgEl("span", {}, `layer ${l}`)));
  const el = mgEl("div", { class: "mg-heads" }, rows, inner);
  mgRovingGrid(grid, buttons, { onMove, onPin, onUnpin });

  function paint() {
    const table = mgPixels("viridis");
    const step = T + 1; // one empty pixel between two heads
    canvas.width = H * step - 1;
    canvas.height = L * step - 1;
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    const { data, begin, seen } = reader;
    for (let l = 0; l < L; l += 1) {
      for (let h = 0; h < H; h += 1) {
        let i = begin(l, h);
        for (let t = 0; t < T; t += 1) {
          const end = seen(t);
          let p = (l * step + t) * canvas.width + h * step;
          for (let s = 0; s < end; s += 1, i += 1, p += 1) {
            const w = data[i];
            if (w !== w) continue; // NaN: masked
            pixels[p] = table[Math.round(255 * Math.sqrt(Math.min(1, w)))];
          }
        }
      }
    }
    pen.putImageData(image, 0, 0);
    const wide = Math.max(24, Math.min(112, 640 / H));
    inner.style.width = `${Math.round(wide * H)}px`;
    inner.style.height = `${Math.round(wide * L)}px`;
  }

  function mark(focus, pins) {
    buttons.forEach((line, l) => line.forEach((button, h) => {
      const place = pins.findIndex((p) => p && p[0] === l && p[1] === h);
      const on = focus[0] === l && focus[1] === h;
      const pin = place < 0 ? "" : "AB"[place];
      if (button.textContent !== pin) button.textContent = pin;
      if (button.classList.contains("mg-head-on") !== on) {
        button.classList.toggle("mg-head-on", on);
      }
      button.setAttribute("aria-pressed", String(place >= 0));
    }));
  }

  return { el, paint, mark };
}

// The text, token by token: where the chosen token looks (filled) and who
// looks at it (underlined). weight(t, s) is the number of the head shown.
function mgTokenStrip({ tokens, weight, onMove, onPin, onUnpin }) {
  const spans = tokens.map((text) => mgEl("button", { type: "button",
    class: "mg-token mg-strip-token" }, mgVisible(text, 24)));
  const el = mgEl("div", { class: "mg-strip", role: "group",
    "aria-label": "tokens: arrow keys move, Enter pins, Escape unpins" },
  spans);
  mgRovingGrid(el, [spans], { onMove: (_, t) => onMove(t),
    onPin: (_, t) => onPin(t), onUnpin });

  function mark(token) {
    const share = (w) => `${Math.round(100 * Math.sqrt(Math.min(1, w)))}%`;
    spans.forEach((span, s) => {
      const looks = Math.abs(weight(token, s)) || 0;
      const seen = Math.abs(weight(s, token)) || 0;
      span.style.setProperty("--looks", share(looks));
      span.style.setProperty("--seen", share(seen));
      span.classList.toggle("mg-strip-on", s === token);
    });
  }

  return { el, mark };
}

export default {
  render({ model, el }) {
    performance.mark("mg-attention-map-start");
    const tokens = model.get("tokens");
    const weights = mgUnpack(model.get("weights"));
    const [L, H, T] = weights.shape;
    const reader = mgMapReader(weights, model.get("weights").lower);
    const { at } = reader;
    const shown = tokens.map((text) => mgVisible(text));
    const state = { focus: model.get("focus") || [0, 0], pins: [null, null],
      view: "focus", token: Math.max(0, T - 1), held: false, drawn: false };

    const numbers = [];
    for (let l = 0; l < L; l += 1) {
      for (let h = 0; h < H; h += 1) {
        numbers.push(mgHeadNumbers(reader, l, h, T));
      }
    }
    const name = ([l, h]) => `layer ${l}, head ${h}`;
    const facts = ([l, h]) => {
      const { entropy, distance } = numbers[l * H + h];
      return `entropy ${entropy.toFixed(2)} bits, `
        + `mean distance ${distance.toFixed(1)} tokens`;
    };

    // what the large map shows: a head, or A − B
    const head = () => (state.view === "a" ? state.pins[0]
      : state.view === "b" ? state.pins[1] : state.focus);
    function value(t, s) {
      if (state.view !== "difference") return at(...head(), t, s);
      return at(...state.pins[0], t, s) - at(...state.pins[1], t, s);
    }
    function signed(v) {
      const text = v.toFixed(3);
      return state.view === "difference" && v > 0 ? `+${text}`
        : text.replace("-", "−");
    }
    function describe(t, s) {
      const w = value(t, s);
      const pair = `“${shown[t]}” (${t}) → “${shown[s]}” (${s})`;
      if (Number.isNaN(w)) return `${pair}: masked, this token comes later`;
      return `${pair}: ${signed(w)}`;
    }
    function title() {
      if (state.view === "difference") {
        return `difference: ${name(state.pins[0])} (A) minus `
          + `${name(state.pins[1])} (B)`;
      }
      return `${name(head())}: ${facts(head())}`;
    }

    const thumbs = mgThumbnails({ L, H, T, reader,
      names: (l, h) => `${name([l, h])}, ${facts([l, h])}`,
      onMove: (l, h) => { state.focus = [l, h]; show("focus"); },
      onPin: pinHead, onUnpin: unpin });
    const heading = mgEl("p", { class: "mg-title mg-attention-title",
      role: "status", "aria-live": "polite" });
    const map = mgHeatMap({ label: "attention weights", rows: shown,
      cols: shown, at: value, describe, maxCell: 20, minCell: 5,
      scale: (w) => Math.sqrt(Math.min(1, w)),
      onMove: ({ row, pinned }) => { if (state.drawn) choose(row, pinned); } });
    const bands = ["row", "col"].map((kind) => mgEl("div", {
      class: `mg-band mg-band-${kind}`, "aria-hidden": "true" }));
    map.el.firstChild.append(...bands);
    const strip = mgTokenStrip({ tokens, weight: value,
      onMove: (t) => { if (!state.held) choose(t, false, true); },
      onPin: (t) => choose(t, !(state.held && state.token === t), true),
      onUnpin: () => choose(state.token, false, true) });
    const legend = {
      plain: mgLegend({ low: "0", high: "1 (colour: root of the weight)" }),
      difference: mgLegend({ low: "B −1", high: "+1 A", ramp: "diverging" }),
    };
    const views = mgSelect({ label: "show", value: "focus", options: [
      ["focus", "the head under the cursor"], ["a", "pinned head A"],
      ["b", "pinned head B"], ["difference", "difference A − B"]],
    onChange: show });
    views.select.setAttribute("aria-label", "what the large map shows");

    const heads = mgTableButton(() => ({
      caption: "every head: entropy in bits, mean distance in tokens",
      header: ["head", "entropy", "distance"],
      rows: numbers.map(({ entropy, distance }, i) => [
        name([Math.floor(i / H), i % H]), entropy.toFixed(2),
        distance.toFixed(1)]) }), { show: "heads as table" });
    const table = mgTableButton(() => ({
      caption: `${title()}; a row is a token that looks`,
      header: ["", ...shown.map((text, i) => `${i} ${text}`)],
      rows: shown.map((text, t) => [`${t} ${text}`, ...shown.map((_, s) => {
        const w = value(t, s);
        return Number.isNaN(w) ? "" : signed(w);
      })]) }), { show: "weights as table" });

    function pinHead(l, h) {
      const same = (p) => p && p[0] === l && p[1] === h;
      const place = state.pins.findIndex(same);
      if (place >= 0) state.pins[place] = null;
      else if (!state.pins[0]) state.pins[0] = [l, h];
      else state.pins[1] = [l, h];
      show(state.pins[0] && state.pins[1] ? "difference" : "focus");
    }

    function unpin() {
      state.pins = [null, null];
      show("focus");
    }

    function show(view) {
      state.view = view;
      views.select.value = view;
      const [a, b] = state.pins;
      const ready = { a, b, difference: a && b };
      [...views.select.options].forEach((option) => {
        option.disabled = option.value in ready && !ready[option.value];
      });
      const difference = view === "difference";
      legend.plain.el.hidden = difference;
      legend.difference.el.hidden = !difference;
      heading.textContent = title();
      thumbs.mark(state.focus, state.pins);
      if (!state.drawn) return;
      map.set(difference
        ? { ramp: "diverging", scale: (w) => (w + 1) / 2, label: title() }
        : { ramp: "viridis", scale: (w) => Math.sqrt(Math.min(1, w)),
          label: title() });
      light();
      table.refresh();
    }

    // Light the row and the column of one token, in the map and the strip.
    function choose(t, held, fromStrip = false) {
      if (fromStrip) map.select(t, t, { quiet: true }); // calls back here
      state.token = t;
      state.held = held;
      light();
    }

    function light() {
      const { left, top, cell } = map.box;
      const t = state.token;
      Object.assign(bands[0].style, { left: `${left}px`,
        top: `${top + t * cell}px`, width: `${cell * T}px`,
        height: `${cell}px` });
      Object.assign(bands[1].style, { left: `${left + t * cell}px`,
        top: `${top}px`, width: `${cell}px`, height: `${cell * T}px` });
      strip.mark(t);
    }

    function redraw() {
      thumbs.paint();
      map.redraw();
      legend.plain.redraw();
      legend.difference.redraw();
      light();
      if (state.drawn) return;
      state.drawn = true;
      map.select(state.token, state.token, { quiet: true });
      performance.mark("mg-attention-map-end");
      performance.measure("mg-attention-map-draw", "mg-attention-map-start",
        "mg-attention-map-end");
    }

    // pinned A, pinned B, under the cursor: "1.0_-_4.3"
    const texts = () => [...state.pins, state.focus].map(
      (p) => (p ? p.join(".") : "-"));
    mgKeep(thumbs.el, "heads", () => texts().join("_"), (text) => {
      const [a, b, focus] = text.split("_").map((part) => {
        const found = /^(\d{1,3})\.(\d{1,3})$/.exec(part)?.slice(1).map(Number);
        return found && found[0] < L && found[1] < H ? found : null;
      });
      Object.assign(state, { pins: [a, b], focus: focus ?? state.focus });
      show(a && b ? "difference" : "focus");
    });
    const { root, dispose } = mgWidget(el, { label: "Attention map", redraw });
    root.append(
      mgEl("p", { class: "mg-help" }, "Each picture is a head; a row is a "
        + "token that looks, a column a token that is looked at. Pin two "
        + "heads with Enter or a click to see their difference."),
      thumbs.el, mgEl("div", { class: "mg-bar" }, views.el,
        mgButton("unpin", unpin), legend.plain.el, legend.difference.el),
      heading, strip.el,
      mgEl("p", { class: "mg-help" }, "On the text: filled, where the chosen "
        + "token looks; underlined, who looks at it."),
      map.el, map.readout.el,
      mgEl("div", { class: "mg-bar" }, heads.button, table.button),
      heads.frame, table.frame);
    show("focus");
    return dispose;
  },
};
