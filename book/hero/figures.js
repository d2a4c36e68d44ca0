// Six small figures, each a question and a chapter. A figure is a function of
// an SVG and its recorded numbers -> draw(t), t from 0 to 1 along its loop. It
// moves only while it is seen, and not where the system asks for calm.

const HERO_WIDE = 300;
const HERO_HIGH = 150;

function heroLetters(x, y, text, attributes = {}) {
  return heroSvg("text", { x, y, ...attributes }, text);
}

function heroRect(x, y, width, height, attributes = {}) {
  return heroSvg("rect", { x, y, width: Math.max(0, width), height, rx: 4,
    ...attributes });
}

// t -> which of n stages, and how far into it; the last stage stays longer.
function heroStageOf(t, n, rest = 1.5) {
  const place = t * (n + rest);
  const i = Math.min(n - 1, Math.floor(place));
  return [i, Math.min(1, place - i)];
}

const heroEase = (t) => t * t * (3 - 2 * t);
const heroMix = (a, b, t) => a + (b - a) * t;

// Letters join pair by pair until the word is one token.
function heroMerge(svg, { word, lengths }) {
  const cell = 24;
  const from = (HERO_WIDE - cell * word.length) / 2;
  const boxes = heroSvg("g", { class: "mg-hero-box" });
  const count = heroLetters(HERO_WIDE / 2, 122, "", { class: "mg-hero-mid" });
  svg.append(boxes, heroSvg("g", { class: "mg-hero-mono mg-hero-mid" },
    ...Array.from(word, (letter, i) => heroLetters(from + (i + 0.5) * cell, 70,
      mgVisible(letter)))), count);

  // Places between letters where a piece ends.
  const ends = lengths.map((row) => {
    let at = 0;
    return new Set(row.map((n) => (at += n)));
  });

  return (t) => {
    const [i, part] = heroStageOf(t, lengths.length);
    const now = ends[i];
    const before = ends[Math.max(0, i - 1)];
    const gap = (place) => 2.5 * (now.has(place) ? 1
      : before.has(place) ? 1 - heroEase(Math.min(1, 2 * part)) : 0);
    let start = 0;
    const rects = [];
    for (let end = 1; end <= word.length; end += 1) {
      if (!gap(end)) continue;
      const [x1, x2] = [from + start * cell + (start ? gap(start) : 2.5),
        from + end * cell - gap(end)];
      rects.push(heroRect(x1, 46, x2 - x1, 36));
      start = end;
    }
    boxes.replaceChildren(...rects);
    const n = lengths[i].length;
    count.textContent = `${n} token${n === 1 ? "" : "s"}`;
  };
}

// Each word in turn looks back.
function heroAttention(svg, { tokens, permille }) {
  const wide = tokens.map((token) => 8.4 * token.length + 4);
  const total = wide.reduce((a, b) => a + b, 0);
  let x = (HERO_WIDE - total) / 2;
  const middles = wide.map((w) => {
    x += w;
    return x - w / 2;
  });
  const words = tokens.map((token, i) => heroLetters(middles[i], 112,
    token.trim()));
  const arcs = heroSvg("g", { class: "mg-hero-arcs" });
  svg.append(arcs, heroSvg("g", { class: "mg-hero-mono mg-hero-mid" },
    ...words));
  return (t) => {
    const [i, part] = heroStageOf(t, tokens.length, 1);
    const grown = heroEase(Math.min(1, 2.5 * part));
    words.forEach((word, k) => word.setAttribute("class",
      k === i ? "mg-hero-on" : ""));
    arcs.replaceChildren(...permille[i].slice(0, i).map((n, s) => {
      const weight = (n / 1000) * grown;
      const top = 92 - 0.62 * (middles[i] - middles[s]);
      return heroSvg("path", { d: `M${middles[i]} 96C${middles[i]} ${top} `
        + `${middles[s]} ${top} ${middles[s]} 96`,
      "stroke-width": 0.5 + 8 * weight, opacity: Math.min(1, 0.1 + weight) });
    }));
  };
}

// The loss falls, and the text that the model writes becomes English.
function heroLearning(svg, { prompt, steps, texts, eval_steps, eval_loss }) {
  const [least, most] = [Math.min(...eval_loss), Math.max(...eval_loss)];
  const last = steps.at(-1);
  const x = (step) => 14 + 272 * Math.sqrt(step / last);
  const y = (loss) => 66 - 52 * ((loss - least) / (most - least));
  const points = eval_steps.map((step, i) => [x(step), y(eval_loss[i])]);
  const line = heroSvg("polyline", { class: "mg-hero-line" });
  const dot = heroSvg("circle", { r: 4, class: "mg-hero-dot" });
  const label = heroLetters(286, 20, "", { class: "mg-hero-end" });
  const rows = [0, 1].map((i) => heroLetters(14, 112 + 20 * i, ""));
  svg.append(line, dot, label, heroLetters(14, 90, `${prompt} …`,
    { class: "mg-hero-soft" }), heroSvg("g", { class: "mg-hero-mono" },
    ...rows));
  const heights = (at) => {
    const k = Math.max(1, points.findIndex(([px]) => px >= at));
    const [[x0, y0], [x1, y1]] = [points[k - 1], points[k]];
    return heroMix(y0, y1, (at - x0) / (x1 - x0));
  };
  return (t) => {
    const [i, part] = heroStageOf(t, steps.length);
    const at = x(i && part < 0.3 ? heroMix(steps[i - 1], steps[i],
      part / 0.3) : steps[i]);
    const seen = points.filter(([px]) => px < at);
    line.setAttribute("points", [...seen, [at, heights(at)]].join(" "));
    dot.setAttribute("cx", at);
    dot.setAttribute("cy", heights(at));
    label.textContent = `step ${steps[i].toLocaleString("en-US")}`;
    const text = mgVisible(texts[i].replace(/\s+/g, " ").trim(), 60, " ");
    const cut = text.length > 32 ? text.lastIndexOf(" ", 32) + 1 || 32 : 32;
    const n = Math.ceil(60 * Math.min(1, part * 1.6));
    rows[0].textContent = text.slice(0, Math.min(n, cut));
    rows[1].textContent = text.slice(cut, Math.max(n, cut));
  };
}

// From below: what the model would say after each block.
function heroLens(svg, { text, texts, permille }) {
  const n = texts.length;
  const high = 108 / n;
  const rows = texts.map((token, l) => {
    const y = 120 - (l + 1) * high;
    const bar = heroRect(122, y + 2, 0, high - 4, { class: "mg-hero-bar" });
    const said = heroLetters(116, y + high - 4, mgVisible(token, 10),
      { class: "mg-hero-mono mg-hero-end" });
    const share = heroLetters(0, y + high - 4, heroPercent(permille[l] / 1000),
      { class: "mg-hero-soft" });
    const g = heroSvg("g", {}, heroLetters(4, y + high - 4,
      l ? `block ${l - 1}` : "before", { class: "mg-hero-soft" }), said, bar,
    share);
    svg.append(g);
    return { g, bar, share, p: permille[l] / 1000 };
  });
  svg.append(heroLetters(4, 141, `${text} …`, { class: "mg-hero-soft" }));
  return (t) => {
    const [i, part] = heroStageOf(t, n, 2);
    rows.forEach(({ g, bar, share, p }, l) => {
      const grown = l < i ? 1 : l === i ? heroEase(Math.min(1, 2 * part)) : 0;
      g.setAttribute("opacity", grown);
      g.setAttribute("class", l === n - 1 ? "mg-hero-on" : "");
      bar.setAttribute("width", 130 * p * grown);
      share.setAttribute("x", 128 + 130 * p * grown);
    });
  };
}

// The temperature goes up and down again.
function heroSampling(svg, { text, texts, temperatures, permille }) {
  const label = heroLetters(286, 141, "", { class: "mg-hero-end" });
  const rows = texts.map((token, i) => {
    const y = 4 + i * 20;
    const bar = heroRect(86, y + 2, 0, 15, { class: "mg-hero-bar" });
    svg.append(heroLetters(80, y + 14, mgVisible(token, 9),
      { class: "mg-hero-mono mg-hero-end" }), bar);
    return bar;
  });
  svg.append(heroLetters(4, 141, `${text} …`, { class: "mg-hero-soft" }),
    label);
  const most = Math.max(...permille.flat());
  return (t) => {
    const place = (temperatures.length - 1.001)
      * (0.5 - 0.5 * Math.cos(2 * Math.PI * t));
    const i = Math.floor(place);
    rows.forEach((bar, k) => bar.setAttribute("width", (200 / most)
      * heroMix(permille[i][k], permille[i + 1][k], place - i)));
    label.textContent = `temperature ${heroMix(temperatures[i],
      temperatures[i + 1], place - i).toFixed(1)}`;
  };
}

// Areas are numbers of parameters; the view moves away from the smallest.
function heroScale(svg, { names, parameters }) {
  const digits = (x) => (x < 10 ? x.toFixed(1) : String(Math.round(x)));
  const short = (n) => (n < 1e9 ? `${digits(n / 1e6)} million`
    : `${digits(n / 1e9)} billion`);
  const squares = parameters.map(() => heroRect(0, 0, 0, 0));
  const label = heroLetters(150, 20, "", { class: "mg-hero-mid" });
  svg.append(heroSvg("g", { class: "mg-hero-box" }, ...squares.reverse()),
    label);
  squares.reverse();
  return (t) => {
    const [i, part] = heroStageOf(t, names.length, 0.5);
    const log = parameters.map(Math.log);
    const view = i ? heroMix(log[i - 1], log[i], heroEase(Math.min(1,
      1.6 * part))) : log[0];
    squares.forEach((square, k) => {
      const side = 110 * Math.exp((log[k] - view) / 2);
      const shown = k <= i && side < 2000;
      square.setAttribute("x", 150 - side / 2);
      square.setAttribute("y", 140 - side);
      square.setAttribute("width", shown ? side : 0);
      square.setAttribute("height", shown ? side : 0);
    });
    label.textContent = `${names[i]}: ${short(parameters[i])} parameters`;
  };
}

const heroFigures = { // what is recorded under the same name; seconds; the
  merge: [heroMerge, 9, 0.8], // moment that is shown where nothing moves
  attention: [heroAttention, 9, 0.95],
  learning: [heroLearning, 16, 0.95],
  lens: [heroLens, 8, 0.95],
  sampling: [heroSampling, 8, 0.25],
  scale: [heroScale, 10, 0.95],
};

// Every figure of a box of them, and the button that stops them all.
function heroTiles(box) {
  let paused = false;
  const tiles = [...box.querySelectorAll("[data-figure]")].map((host) => {
    const name = host.dataset.figure;
    const [make, seconds, still] = heroFigures[name];
    const svg = heroSvg("svg", { viewBox: `0 0 ${HERO_WIDE} ${HERO_HIGH}` });
    host.append(svg);
    const tile = { draw: make(svg, heroRecord[name]), seconds, visible: false,
      t: 0 };
    tile.draw(still);
    heroWatch(host, (visible) => {
      tile.visible = visible;
      run();
    });
    return tile;
  });
  let frame = 0;
  let before = 0;

  function step(now) {
    const passed = Math.min(100, Math.max(0, now - before)) / 1000;
    before = now;
    for (const tile of tiles.filter(({ visible }) => visible)) {
      tile.t = (tile.t + passed / tile.seconds) % 1;
      tile.draw(tile.t);
    }
    frame = 0;
    run();
  }

  function run() {
    const still = paused || !tiles.some(({ visible }) => visible);
    if (frame || still || mgCalm()) return;
    frame = requestAnimationFrame(step);
  }

  const button = mgButton("pause the figures", () => {
    paused = !paused;
    button.textContent = paused ? "play the figures" : "pause the figures";
    cancelAnimationFrame(frame);
    frame = 0;
    run();
  }, { hidden: mgCalm() });
  box.after(button);
}

document.querySelectorAll(".mg-hero-tiles").forEach(heroTiles);
