// Counts of pairs -> probabilities to look around in, and a random walk.

// A random number in [0, 1) is laid off along the counts of the row.
function drawFrom(row, total, random) {
  let rest = random * total;
  for (let c = 0; c < row.length; c += 1) {
    rest -= row[c];
    if (rest < 0) return c;
  }
  return -1; // nothing ever followed this character
}

// mulberry32: a small generator, so that a walk can be repeated
function randomNumbers(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function readTable(model) {
  const tokens = model.get("tokens");
  const pairs = mgUnpack(model.get("pairs"));
  const counts = mgUnpack(model.get("counts"));
  const table = tokens.map(() => new Float64Array(tokens.length));
  counts.data.forEach((n, i) => { table[pairs.at(0, i)][pairs.at(1, i)] = n; });
  const totals = table.map((row) => row.reduce((a, b) => a + b, 0));
  const prob = (r, c) => (totals[r] ? table[r][c] / totals[r] : 0);
  return { tokens, table, totals, prob };
}

function bars(frame, names, row, prob) {
  const best = names.map((_, c) => c)
    .filter((c) => prob(row, c) > 0)
    .sort((a, b) => prob(row, b) - prob(row, a)).slice(0, 6);
  frame.replaceChildren(...best.flatMap((c) => [
    mgEl("bdi", { class: "mg-token" }, names[c]),
    mgEl("div", { class: "mg-fill",
      style: { width: `${100 * prob(row, c)}%` } }),
    mgEl("span", {}, prob(row, c).toFixed(3)),
  ]));
  return best[0];
}

function makeWalk({ tokens, table, totals }, start, onStep) {
  const text = mgEl("div", { class: "mg-walk", role: "log",
    "aria-label": "the walk" });
  const walked = (i) => mgVisible(tokens[i], 60, " \n");
  let random = randomNumbers(1);
  let last = start();
  function again() {
    random = randomNumbers(1);
    last = start();
    text.textContent = walked(last);
  }
  function go(n) {
    for (let i = 0; i < n; i += 1) {
      const next = drawFrom(table[last], totals[last], random());
      if (next < 0) break;
      text.append(walked(next));
      onStep(last, next);
      last = next;
    }
  }
  const bar = mgEl("div", { class: "mg-bar" },
    mgButton("next character", () => go(1)),
    mgButton("60 more", () => go(60)),
    mgButton("start from this row", again));
  again();
  return [bar, text];
}

export default {
  render({ model, el }) {
    const data = readTable(model);
    const { tokens, table, totals, prob } = data;
    const names = tokens.map((token) => mgVisible(token));
    const first = model.get("top");
    const chart = mgEl("div", { class: "mg-bars", role: "img" });
    let shown = names.slice(0, first);

    function describe(r, c) {
      const often = `${table[r][c].toLocaleString("en")} of `
        + `${totals[r].toLocaleString("en")} times`;
      return `after ${names[r]} comes ${names[c]}: `
        + `${prob(r, c).toFixed(4)} (${often})`;
    }

    function follow(char) {
      const row = tokens.indexOf(char);
      if (row < 0) {
        map.readout.set(`${mgVisible(char)} is not in the vocabulary`);
        return;
      }
      if (row >= shown.length) choose.change("all");
      const best = names.map((_, c) => c)
        .reduce((a, b) => (prob(row, b) > prob(row, a) ? b : a));
      if (best >= shown.length) choose.change("all");
      map.select(row, best);
    }

    const map = mgHeatMap({
      label: "probability of the next character; arrow keys move, a letter "
        + "goes to its row, Enter pins, Escape lets go",
      rows: shown, cols: shown, at: prob, describe, scale: Math.sqrt,
      maxCell: 18,
      onMove({ row }) {
        const best = bars(chart, names, row, prob);
        chart.setAttribute("aria-label", best === undefined
          ? `nothing follows ${names[row]}`
          : `after ${names[row]}, most often ${names[best]}`);
        tableOf.refresh();
      },
      onKey(event) {
        const typed = Array.from(event.key).length === 1;
        if (!typed || event.ctrlKey || event.metaKey) return false;
        follow(event.key);
        return true;
      },
    });

    const choose = mgSelect({
      label: "show", value: "top",
      options: [["top", `the ${first} most frequent`],
        ["all", `all ${tokens.length}`]],
      onChange: (value) => choose.change(value),
    });
    choose.change = (value) => {
      choose.select.value = value;
      shown = value === "all" ? names : names.slice(0, first);
      map.set({ rows: shown, cols: shown });
      tableOf.refresh();
    };

    const tableOf = mgTableButton(() => ({
      caption: "probability of the next character (column) after a row's",
      header: ["after", ...shown],
      rows: shown.map((name, r) => [name,
        ...shown.map((_, c) => prob(r, c).toFixed(3))]),
    }));

    const walk = makeWalk(data, () => map.state.row, (from, to) => {
      if (Math.max(from, to) < shown.length) map.select(from, to);
    });
    const legend = mgLegend({ low: "0", high: "1 (colour: square root)" });
    const { root, dispose } = mgWidget(el, {
      label: "Which character follows which",
      redraw() { map.redraw(); legend.redraw(); },
    });
    root.classList.add("mg-bigram");
    root.append(
      mgEl("p", { class: "mg-help" }, "Row: a character. Column: the one "
        + "that follows. Point at a cell, or focus the map and use arrow keys; type a "
        + "letter to go to its row."),
      mgEl("div", { class: "mg-bar" }, choose.el, legend.el),
      map.el, map.readout.el, chart, ...walk,
      mgEl("div", { class: "mg-bar" }, tableOf.button), tableOf.frame);
    map.select(0, 0, { quiet: true });
    return dispose;
  },
};
