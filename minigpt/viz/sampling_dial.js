// A distribution over the next token, with the knobs of sampling.
// Pure functions first, then what draws them.

// Scores -> probabilities; −Infinity gives 0.
function dialSoftmax(scores) {
  let best = -Infinity;
  for (const z of scores) if (z > best) best = z;
  const powers = scores.map((z) => Math.exp(z - best));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((x) => x / sum);
}

// Penalty, temperature, top-k, top-p, min-p, softmax: the order of
// minigpt.sample.probabilities. -> probs, and for each token what cut it.
function dialProbabilities(logits, seen, { t, k, p, m, penalty }) {
  let z = Array.from(logits, (x, i) => {
    if (!seen.has(i)) return x;
    return x > 0 ? x / penalty : x * penalty;
  });
  const order = z.map((_, i) => i).sort((a, b) => z[b] - z[a] || a - b);
  const cutBy = z.map(() => "");
  const cut = (i, why) => { z[i] = -Infinity; cutBy[i] = cutBy[i] || why; };
  if (t === 0) order.slice(1).forEach((i) => cut(i, "temperature 0"));
  else z = z.map((x) => x / t);
  order.slice(k).forEach((i) => cut(i, "top-k"));
  if (p < 1) {
    const probs = dialSoftmax(z);
    let before = 0;
    order.forEach((i) => {
      if (before >= p) cut(i, "top-p");
      before += probs[i];
    });
  }
  if (m > 0) {
    const probs = dialSoftmax(z);
    const bar = m * probs[order[0]];
    order.forEach((i) => { if (probs[i] < bar) cut(i, "min-p"); });
  }
  return { probs: dialSoftmax(z), cutBy };
}

// Dice that give the same throws for the same seed (mulberry32).
function dialDice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

// One draw: the token in whose stretch of 0 … 1 the throw falls.
function dialDraw(probs, dice) {
  let left = dice();
  let last = 0;
  for (let i = 0; i < probs.length; i += 1) {
    if (probs[i] > 0) {
      left -= probs[i];
      last = i;
      if (left < 0) return i;
    }
  }
  return last;
}

function percent(x) {
  const digits = x > 0 && x < 0.001 ? 3 : 1;
  return `${(100 * x).toFixed(digits)} %`;
}

function dialKs(V) {
  const some = [1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
  return [...some.filter((k) => k < V), V];
}

function dialState(model) {
  const vocabulary = model.get("vocabulary");
  const { data } = mgUnpack(model.get("logits"));
  const V = vocabulary.length;
  return { V, vocabulary, ks: dialKs(V), place: 0, at: 0, pinned: false,
    rows: model.get("places").map((_, i) => data.slice(i * V, i * V + V)),
    seen: model.get("seen").map((ids) => new Set(ids)),
    most: Math.min(model.get("most"), V), dice: dialDice(1),
    knobs: { t: 1, k: V, p: 1, m: 0, penalty: 1 } };
}

// The lines that are drawn: the likeliest tokens, then all others together.
function dialLines(d) {
  const one = (i) => ({ name: mgVisible(d.vocabulary[i]), id: String(i),
    model: d.model[i], after: d.after[i], cut: d.cutBy[i],
    drawn: d.counts[i] });
  const shown = d.order.slice(0, d.most);
  const rest = d.order.slice(d.most);
  const lines = shown.map(one);
  if (!rest.length) return lines;
  const sum = (list) => rest.reduce((total, i) => total + list[i], 0);
  const kept = rest.some((i) => !d.cutBy[i]);
  return [...lines, { name: `the other ${rest.length} tokens`, id: "",
    brief: "the rest",
    model: sum(d.model), after: sum(d.after), drawn: sum(d.counts),
    cut: kept ? "" : "the knobs" }];
}

function dialSentence(d, line) {
  const share = d.total ? ` (${percent(line.drawn / d.total)})` : "";
  const after = line.cut ? `cut by ${line.cut}`
    : `after the knobs ${percent(line.after)}`;
  return `${line.name}: model ${percent(line.model)}, ${after}, drawn `
    + `${line.drawn} of ${d.total}${share}`;
}

function dialSummary(d) {
  const keep = d.cutBy.filter((why) => !why).length;
  const mass = d.model.reduce((sum, x, i) => sum + (d.cutBy[i] ? 0 : x), 0);
  const bits = d.after.reduce((sum, x) => sum - (x > 0 ? x * Math.log2(x) : 0),
    0);
  return `${keep} of ${d.V} tokens kept, which have ${percent(mass)} of the `
    + `model's probability; uncertainty ${Math.abs(bits).toFixed(2)} bits; `
    + `${d.total} drawn`;
}

function dialRow(d, line, widest) {
  const share = d.total ? line.drawn / d.total : 0;
  const wide = (x) => `${Math.min(100, (100 * x) / widest)}%`;
  const bar = mgEl("div", { class: "mg-dial-bar", "aria-hidden": "true" },
    mgEl("div", { class: `mg-dial-model${line.cut ? " mg-dial-cut" : ""}`,
      style: { width: wide(line.model) } }),
    mgEl("div", { class: "mg-dial-after", style: { width: wide(line.after) } }),
    mgEl("div", { class: "mg-dial-share", hidden: !line.drawn,
      style: { left: wide(share) } }));
  const cell = mgEl("div", { class: "mg-dial-cell", role: "gridcell" },
    mgEl("bdi", { class: "mg-token mg-dial-name" }, line.brief ?? line.name),
    bar,
    mgEl("span", { class: "mg-dial-number" },
      line.cut ? "cut" : percent(line.after)),
    mgEl("span", { class: "mg-dial-number" }, String(line.drawn)));
  return [mgEl("div", { role: "row" }, cell), cell];
}

function dialKnobs(d, change) {
  const knob = (label, name, min, max, value, number, text) => mgStepper({
    label, min, max, value, onInput: (v) => change({ [name]: number(v) }),
    format: (v) => text(number(v)) });
  const off = (still) => (x) => (x === still ? "off" : x.toFixed(2));
  return [
    knob("temperature", "t", 0, 30, 10, (v) => v / 10,
      (x) => (x === 0 ? "0 (greedy)" : x.toFixed(1))),
    knob("top-k", "k", 0, d.ks.length - 1, d.ks.length - 1, (v) => d.ks[v],
      (x) => (x === d.V ? "off" : String(x))),
    knob("top-p", "p", 1, 20, 20, (v) => v / 20, off(1)),
    knob("min-p", "m", 0, 20, 0, (v) => v / 20, off(0)),
    knob("penalty", "penalty", 10, 30, 10, (v) => v / 10, off(1)),
  ];
}

export default {
  render({ model, el }) {
    const d = dialState(model);
    const places = model.get("places");
    const start = [10, d.ks.length - 1, 20, 0, 10]; // every knob off
    const readout = mgReadout();
    const summary = mgReadout();
    const room = mgEl("div", {});
    const place = mgSelect({ label: "after the text", value: 0,
      options: places.map((text, i) => [i, mgVisible(text, 60)]),
      onChange: (i) => { d.place = Number(i); d.at = 0; change({}); } });
    const knobs = dialKnobs(d, change);
    const dice = [1, 100, 10000].map((n) => mgButton(
      n === 1 ? "draw one" : `draw ${n}`, () => roll(n)));
    const again = mgButton("knobs off", () => {
      knobs.forEach((knob, i) => knob.set(start[i]));
    });
    const table = mgTableButton(() => ({
      caption: `After “${mgVisible(places[d.place], 60)}”: the model, and `
        + "what the knobs make of it",
      header: ["token", "id", "model", "after the knobs", "cut by", "drawn"],
      rows: d.lines.map((x) => [x.name, x.id, x.model.toFixed(6),
        x.after.toFixed(6), x.cut, String(x.drawn)]) }));

    function change(what) {
      Object.assign(d.knobs, what);
      const logits = d.rows[d.place];
      d.model = dialSoftmax(Array.from(logits));
      d.order = d.model.map((_, i) => i).sort(
        (a, b) => logits[b] - logits[a] || a - b);
      Object.assign(d, { counts: d.model.map(() => 0), total: 0,
        pinned: false, dice: dialDice(1) });
      const { probs, cutBy } = dialProbabilities(logits, d.seen[d.place],
        d.knobs);
      Object.assign(d, { after: probs, cutBy });
      draw();
    }

    function roll(n) {
      let i = 0;
      for (let left = n; left > 0; left -= 1) {
        i = dialDraw(d.after, d.dice);
        d.counts[i] += 1;
      }
      d.total += n;
      const line = d.order.indexOf(i);
      d.at = n === 1 ? Math.min(line, d.most) : d.at;
      draw();
    }

    function tell(row) {
      d.at = row;
      const text = dialSentence(d, d.lines[row]);
      readout.set(text + (d.pinned ? " (pinned)" : ""));
    }

    function draw() {
      d.lines = dialLines(d);
      const likely = d.lines.slice(0, d.most);
      const widest = Math.max(...likely.map((x) => Math.max(x.model, x.after)));
      const made = d.lines.map((line) => dialRow(d, line, widest));
      const grid = mgEl("div", { class: "mg-dial-grid", role: "grid",
        "aria-label": "tokens, the likeliest first" },
      made.map(([row]) => row));
      const roving = mgRovingGrid(grid, made.map(([, cell]) => [cell]), {
        onMove: (row) => { if (!d.pinned) tell(row); },
        onPin: (row) => { d.pinned = !(d.pinned && d.at === row); tell(row); },
        onUnpin: () => { d.pinned = false; tell(d.at); } });
      room.replaceChildren(grid);
      d.at = Math.min(d.at, d.lines.length - 1);
      roving.move(d.at, 0, false);
      tell(d.at);
      summary.set(dialSummary(d));
      table.refresh();
    }

    const { root, dispose } = mgWidget(el, { label: "Sampling dial" });
    const bar = (...children) => mgEl("div", { class: "mg-bar" }, children);
    root.append(bar(place.el, again), ...knobs.map((knob) => knob.el),
      bar(...dice), summary.el, room, readout.el,
      mgEl("p", { class: "mg-help" }, "Grey: the model. Colour: after the "
        + "knobs, 0 where hatched. Line: the share drawn. Last column: how "
        + "often drawn. Arrow keys move, Enter pins."),
      table.button, table.frame);
    change({});
    return dispose;
  },
};
