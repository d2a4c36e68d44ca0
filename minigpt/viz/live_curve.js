// A training run: three curves, and the recorded points to scrub through.
// It follows while a kernel trains; on a page it shows what was recorded.

const HEIGHTS = [170, 60, 60]; // loss, learning rate, gradient norm
const LEFT = 52;
const NAMES = ["loss (nats)", "learning rate", "gradient norm"];

// What an axis spans, given finite numbers.
function ends(values) {
  if (!values.length) return [0, 1];
  const low = Math.min(...values);
  const high = Math.max(...values);
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

// Figures a person can read: 2.31, 0.001, 2e-4.
function brief(value) {
  if (!Number.isFinite(value)) return "?";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 0.001) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

function panel(name, height, color) {
  const canvas = mgEl("canvas", { "aria-hidden": "true" });
  const high = mgEl("span", { class: "mg-curve-high" });
  const low = mgEl("span", { class: "mg-curve-low" });
  const el = mgEl("div", { class: "mg-curve-panel",
    style: { height: `${height}px` }, "aria-hidden": "true" },
  canvas, high, low, mgEl("span", { class: "mg-curve-name" },
    mgEl("span", { class: "mg-curve-key", style: {
      background: `var(--mg-${color})` } }), name));
  return { el, canvas, high, low, height, color };
}

function line(pen, xs, ys, color, width) {
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.beginPath();
  let drawing = false;
  xs.forEach((x, i) => {
    if (Number.isFinite(ys[i])) {
      if (drawing) pen.lineTo(x, ys[i]); else pen.moveTo(x, ys[i]);
      drawing = true;
    } else drawing = false;
  });
  pen.stroke();
}

export default {
  render({ model, el }) {
    let at = -1; // the point that is shown; -1: the newest
    let rows = [[], [], [], []];
    let maps = null;
    const panels = NAMES.map((name, i) => panel(name, HEIGHTS[i],
      ["blue", "green", "purple"][i]));
    const readout = mgReadout();
    const text = mgEl("p", { class: "mg-curve-text" });
    const spot = mgEl("div", {});
    const chart = mgEl("div", { class: "mg-curve", tabindex: 0, role: "group",
      "aria-label": "training curves: arrow keys move between the points",
      onkeydown, onclick }, panels.map((p) => p.el));
    let stepper = null;
    let map = null;
    const table = mgTableButton(() => ({
      caption: "The recorded points", header: ["steps", "held-out loss", "text"],
      rows: points().map((p) => [String(p.step), brief(p.loss),
        p.text && mgVisible(p.text, 400)]),
    }));

    const points = () => model.get("points");
    const shown = () => (at < 0 ? points().length - 1 : at);

    function read() {
      const { shape, data } = mgUnpack(model.get("curve"));
      const n = shape[1];
      maps = mgUnpack(model.get("attention"));
      rows = [0, 1, 2, 3].map((r) => Array.from(data.slice(r * n, r * n + n)));
    }

    // [step, held-out loss] of the points and of all other measurements
    function measured() {
      const { shape, data } = mgUnpack(model.get("held_out"));
      const n = shape[1];
      const all = new Map(Array.from({ length: n },
        (_, i) => [data[i], data[n + i]]));
      points().forEach((p) => Number.isFinite(p.loss) && all.set(p.step, p.loss));
      return [...all].sort((a, b) => a[0] - b[0]);
    }

    function values(i) {
      return i ? rows[i + 1] : [...rows[1], ...measured().map((m) => m[1])];
    }

    function paint(p, i) {
      const width = Math.max(120, (chart.clientWidth || 600) - LEFT);
      const pen = mgCanvas(p.canvas, width, p.height);
      const seen = values(i).filter(Number.isFinite);
      const [low, high] = ends(seen);
      const across = (step) => 4 + (step / model.get("steps")) * (width - 8);
      const up = (v) => p.height - 5 - ((v - low) / (high - low))
        * (p.height - 12);
      const flat = seen.length > 0 && seen.every((v) => v === seen[0]);
      p.high.textContent = seen.length ? brief(flat ? seen[0] : high) : "";
      p.low.textContent = seen.length && !flat ? brief(low) : "";
      const place = points()[shown()];
      if (place) {
        line(pen, [across(place.step), across(place.step)], [0, p.height],
          mgColor(root, "soft"), 1);
      }
      line(pen, rows[0].map(across), rows[i + 1].map(up),
        mgColor(root, p.color), i === 1 ? 1.8 : 1);
      if (i) return;
      const [xs, ys] = [measured().map((m) => across(m[0])),
        measured().map((m) => up(m[1]))];
      line(pen, xs, ys, mgColor(root, "orange"), 1.8);
      pen.fillStyle = mgColor(root, "orange");
      xs.forEach((x, k) => pen.fillRect(x - 3, ys[k] - 3, 6, 6));
    }

    function say() {
      const n = rows[0].length;
      const place = points()[shown()];
      if (!place) {
        if (!n) return "Nothing yet.";
        return `After ${rows[0][n - 1]} of ${model.get("steps")} steps: loss `
          + `${brief(rows[1][n - 1])}.`;
      }
      let k = n - 1;
      while (k > 0 && rows[0][k] > place.step) k -= 1;
      const then = n && rows[0][k] <= place.step ? `, loss of the batch ${
        brief(rows[1][k])}, learning rate ${brief(rows[2][k])}, gradient norm ${
        brief(rows[3][k])}` : "";
      const held = Number.isFinite(place.loss)
        ? `: held-out loss ${brief(place.loss)}` : "";
      return `After ${place.step} of ${model.get("steps")} steps${held}${
        held ? then : then.replace(", ", ": ")}.`;
    }

    function draw(quiet = true) {
      panels.forEach(paint);
      const place = points()[shown()];
      text.replaceChildren(...(place && place.text ? [mgEl("bdi", {},
        mgVisible(place.text, 1000, " \n"))] : []));
      text.hidden = !(place && place.text);
      readout.set(say(), { quiet });
      table.refresh();
      if (map) map.set({ at: weight });
    }

    function weight(r, c) {
      return shown() < maps.shape[0] ? maps.at(shown(), r, c) : NaN;
    }

    function go(place) {
      at = Math.max(0, Math.min(points().length - 1, place));
      if (stepper) stepper.set(at, true);
      draw(false);
    }

    // The slider and the map exist as soon as there are points.
    function build() {
      const last = points().length - 1;
      if (last < 1 || (stepper && Number(stepper.range.max) === last)) return;
      stepper = mgStepper({ label: "recorded point", min: 0, max: last,
        value: shown(), onInput: go,
        format: (i) => `step ${points()[i].step}` });
      spot.replaceChildren(stepper.el);
      const tokens = model.get("tokens").map((text) => mgVisible(text));
      if (!tokens.length) return;
      const whose = `attention of ${mgVisible(model.get("head"), 40, " ")}`;
      if (!map) {
        map = mgHeatMap({ label: whose,
          rows: tokens, cols: tokens, at: weight, maxCell: 18,
          describe: (r, c) => (c > r
            ? `${tokens[r]} cannot see ${tokens[c]}, which comes later`
            : `${tokens[r]} looks at ${tokens[c]}: ${
              weight(r, c).toFixed(3)}`) });
      }
      spot.append(mgEl("p", { class: "mg-title" }, whose), map.el,
        map.readout.el);
    }

    function onkeydown(event) {
      const last = points().length - 1;
      const to = { ArrowRight: shown() + 1, ArrowLeft: shown() - 1, Home: 0,
        End: last }[event.key];
      if (to === undefined || last < 0) return;
      go(to);
      event.preventDefault();
      event.stopPropagation(); // JupyterLab has its own use for these keys
    }

    function onclick(event) {
      const area = panels[0].canvas.getBoundingClientRect();
      const step = ((event.clientX - area.left - 4) / (area.width - 8))
        * model.get("steps");
      const away = points().map((p) => Math.abs(p.step - step));
      if (away.length) go(away.indexOf(Math.min(...away)));
    }

    function follow() {
      read();
      build();
      draw();
    }

    const { root, dispose } = mgWidget(el, { label: "Training run",
      redraw: () => draw() });
    root.append(chart, mgEl("p", { class: "mg-curve-under" }, "steps, 0 to "
      + `${model.get("steps")}; squares: held-out loss`), readout.el, text,
    spot, table.button, table.frame);
    const names = ["curve", "points", "attention"];
    names.forEach((name) => model.on(`change:${name}`, follow));
    follow();
    return () => {
      names.forEach((name) => model.off(`change:${name}`, follow));
      dispose();
    };
  },
};
