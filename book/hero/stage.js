// What the hero shows: one moment of the writing. The text so far, arcs from
// its last token to what each of a few heads reads, the likeliest next tokens,
// and the attention of every head.

const HERO_SVG = "http://www.w3.org/2000/svg";

function heroSvg(tag, attributes = {}, ...children) {
  const el = document.createElementNS(HERO_SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    el.setAttribute(name, String(value));
  }
  el.append(...children);
  return el;
}

function heroPercent(p) {
  return `${(100 * p).toFixed(p < 0.0995 ? 1 : 0)} %`;
}

// The text with its arcs. update({ tokens, given, looks }): the first `given`
// tokens were there before the model wrote; `looks` holds, for each head that
// is drawn, a weight for each token.
function heroText() {
  const svg = heroSvg("svg", { class: "mg-hero-arcs", "aria-hidden": "true" });
  const words = mgEl("p", { class: "mg-hero-words", dir: "auto" });
  const el = mgEl("div", { class: "mg-hero-text", tabindex: 0, role: "region",
    "aria-label": "the text" }, mgEl("div", {}, svg, words));
  const longest = 500; // characters: what is typed comes as one token at first
  let last = { tokens: [], given: 0, looks: [] };

  function middle(span) {
    const box = [...span.getClientRects()].at(-1);
    const frame = words.getBoundingClientRect();
    return box ? [box.left + box.width / 2 - frame.left, box.top - frame.top]
      : [0, 0];
  }

  function arc([x1, y1], [x, y], weight) {
    const top = Math.min(y, y1) - 10 - Math.min(44, Math.abs(x - x1) * 0.16);
    return heroSvg("path", { d: `M${x1} ${y1 + 4}C${x1} ${top} ${x} ${top} `
      + `${x} ${y + 4}`, "stroke-width": 1 + 6 * weight,
    opacity: 0.25 + 0.7 * weight });
  }

  function update(moment) {
    last = moment;
    const { tokens, given, looks } = moment;
    const most = tokens.map((_, s) => Math.max(0, ...looks.map((row) => row[s])));
    const spans = tokens.map((token, i) => {
      const span = mgEl("span", { class: i < given ? "mg-hero-given"
        : i === tokens.length - 1 ? "mg-hero-new" : null },
      token && mgVisible(token.replace(/^ (?=.)/s, ""), longest, " \n"));
      span.style.setProperty("--look", `${Math.round(55 * most[i])}%`);
      return span;
    });
    words.replaceChildren(...spans.flatMap((span, i) => (
      /^ ./s.test(tokens[i]) ? [" ", span] : [span])));
    el.scrollTop = el.scrollHeight;
    const from = spans.length ? middle(spans.at(-1)) : null;
    svg.replaceChildren(...looks.flatMap((row) => [...row].map((weight, s) => (
      weight < 0.08 || s === spans.length - 1 ? null
        : arc(from, middle(spans[s]), weight)))).filter(Boolean));
  }

  return { el, update, redraw: () => update(last) };
}

// The likeliest next tokens: [{ text, p, chosen }].
function heroNext() {
  const list = mgEl("ol", { class: "mg-hero-next" });
  const el = mgEl("div", {}, mgEl("p", { class: "mg-hero-label" },
    "What comes next?"), list);

  function update(lines) {
    list.replaceChildren(...lines.map(({ text, p, chosen }) => {
      const bar = mgEl("i", { style: { width: `${Math.max(0.5, 100 * p)}%` } });
      return mgEl("li", { class: chosen ? "mg-hero-chosen" : null },
        mgToken(text, 12), mgEl("span", { "aria-hidden": "true" }, bar),
        mgEl("b", {}, heroPercent(p)));
    }));
  }

  return { el, update };
}

// All heads, a small chart each: how much it reads of every token.
function heroHeads({ n_layer: L, n_head: H, arcs }) {
  const canvas = mgEl("canvas", { role: "img",
    "aria-label": `the attention of all ${L * H} heads` });
  const host = mgEl("div", { class: "mg-hero-heads" }, canvas);
  const el = mgEl("div", {}, mgEl("p", { class: "mg-hero-label" },
    `Where do its ${L * H} heads look?`), host);
  let last = [];

  function update(rows) {
    last = rows;
    const [width, high] = [host.clientWidth, 23];
    if (!width) return;
    const pen = mgCanvas(canvas, width, L * high);
    const soft = mgColor(host, "soft");
    const [line, hot] = [mgColor(host, "line"), mgColor(host, "orange")];
    const wide = (width - 50) / H;
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "middle";
    for (let l = 0; l < L; l += 1) {
      pen.fillStyle = soft;
      pen.fillText(`block ${l}`, 0, (l + 0.5) * high);
      for (let h = 0; h < H; h += 1) {
        const [x, y] = [50 + h * wide, l * high + 2];
        pen.fillStyle = line;
        pen.globalAlpha = 0.45;
        pen.fillRect(x, y, wide - 4, high - 4);
        pen.globalAlpha = 1;
        pen.fillStyle = hot;
        heroBars(pen, rows[l * H + h] ?? [], x, y, wide - 4, high - 4);
        if (!arcs.includes(l * H + h)) continue;
        pen.strokeStyle = soft;
        pen.strokeRect(x + 0.5, y + 0.5, wide - 5, high - 5);
      }
    }
  }

  return { el, update, redraw: () => update(last) };
}

function heroBars(pen, row, x, y, width, height) {
  const wide = width / Math.max(12, row.length);
  row.forEach((weight, s) => {
    const tall = height * Math.sqrt(weight);
    pen.fillRect(x + s * wide, y + height - tall, Math.max(1, wide - 0.5),
      tall);
  });
}

// All three: update({ tokens, given, rows, lines }), rows for all heads.
function heroStage(facts) {
  const parts = { text: heroText(), next: heroNext(), heads: heroHeads(facts) };
  const el = mgEl("div", { class: "mg-hero-stage" }, parts.text.el,
    mgEl("div", { class: "mg-hero-row" }, parts.next.el, parts.heads.el));

  function update({ tokens, given, rows, lines }) {
    const looks = facts.arcs.map((i) => rows[i] ?? []);
    parts.text.update({ tokens, given, looks });
    parts.next.update(lines);
    parts.heads.update(rows);
  }

  function redraw() {
    parts.text.redraw();
    parts.heads.redraw();
  }

  return { el, update, redraw };
}
