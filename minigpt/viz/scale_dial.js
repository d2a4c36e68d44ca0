// What a configuration takes: the formulas of minigpt.scale, then the sliders.

const SCALE_KNOBS = [
  ["n_layer", "blocks"], ["n_embd", "channels"], ["n_head", "heads"],
  ["block_size", "context"], ["vocab_size", "vocabulary"],
  ["tokens", "training tokens"], ["batch_size", "windows at once"],
  ["devices", "devices"], ["utilization", "utilization (%)"],
];

// What no model can be, in the words of GPTConfig; or nothing.
function scaleProblem({ n_embd: C, n_head: H }) {
  if (C % H === 0) return "";
  return "n_head must divide n_embd, and n_kv_head must divide n_head, "
    + `got n_embd=${C}, n_head=${H}, n_kv_head=${H}`;
}

function scaleParameters({ n_layer: L, n_embd: C, block_size: T,
  vocab_size: V, bias }) {
  const b = bias ? 1 : 0;
  const norm = C * (1 + b);
  const block = 4 * C * C + b * 4 * C + 8 * C * C + b * 5 * C + 2 * norm;
  return L * block + V * C + T * C + norm;
}

function scaleActivations({ n_layer: L, n_embd: C, n_head: H, block_size: T,
  vocab_size: V, batch_size: B }) {
  const block = 16 * C + 4 + H;
  const token = 4 * (L * block + 2 * C + 2 + V);
  const masks = 4 * L * T * T;
  return token * T * B + masks + 16 * T * B + 8 * T + 4;
}

// The numbers of minigpt.scale.estimate, under the same names.
function scaleEstimate(c) {
  const { n_layer: L, n_embd: C, block_size: T, vocab_size: V } = c;
  const N = scaleParameters(c);
  const mixing = L * 4 * T * C;
  const forward = L * 24 * C * C + mixing + 2 * V * C;
  const flops = 3 * c.tokens * forward;
  return {
    parameters: N,
    token_flops: 3 * forward,
    mixing_share: mixing / forward,
    six_nd: 6 * N * c.tokens,
    train_flops: flops,
    pf_days: flops / (1e15 * 86400),
    days: flops / (c.peak * c.devices * (c.utilization / 100)) / 86400,
    weights: 4 * N,
    gradients: 4 * N,
    moments: 8 * N,
    activations: scaleActivations(c),
    cache: 2 * L * T * C * 2,
  };
}

// 1234567 -> "1.23 million"; beyond words, powers of ten.
function scaleSay(x) {
  const digits = (y) => (y >= 99.95 ? y.toFixed(0)
    : y.toPrecision(3).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, ""));
  if (x >= 999.5e12 || (x > 0 && x < 0.001)) {
    const [m, e] = x.toExponential(2).split("e");
    const signs = "⁰¹²³⁴⁵⁶⁷⁸⁹";
    const up = Array.from(String(Math.abs(Number(e))), (d) => signs[d]);
    return `${m} × 10${e.startsWith("-") ? "⁻" : ""}${up.join("")}`;
  }
  const words = [[1e12, " trillion"], [1e9, " billion"], [1e6, " million"]];
  for (const [size, word] of words) {
    if (x >= 0.9995 * size) return digits(x / size) + word;
  }
  return x >= 9999.5 ? Math.round(x).toLocaleString("en") : digits(x);
}

function scaleBytes(x) {
  const units = ["bytes", "KB", "MB", "GB", "TB", "PB", "EB"];
  let i = 0;
  while (x >= 999.5 && i < units.length - 1) { x /= 1000; i += 1; }
  return `${i && x < 99.95 ? x.toPrecision(3) : x.toFixed(0)} ${units[i]}`;
}

function scaleTime(days) {
  const units = [[365, "years"], [1, "days"], [1 / 24, "hours"],
    [1 / 1440, "minutes"], [1 / 86400, "seconds"]];
  const [size, unit] = units.find(([least]) => days >= least) || units[4];
  return `${scaleSay(days / size)} ${unit}`;
}

// name, what is said, the plain number, and how long its bar is (or none)
function scaleRows(e) {
  const memory = ["weights", "gradients", "moments", "activations"];
  const most = Math.max(...memory.map((key) => e[key]), e.cache);
  const bytes = (key, name) => [name, scaleBytes(e[key]), e[key],
    e[key] / most, key];
  return [
    ["parameters", scaleSay(e.parameters), e.parameters, null, "parameters"],
    ["FLOPs to train a token", scaleSay(e.token_flops), e.token_flops, null,
      "token_flops"],
    ["share of attention's mixing", `${(100 * e.mixing_share).toFixed(1)} %`,
      e.mixing_share, e.mixing_share, "mixing_share"],
    ["FLOPs of training", scaleSay(e.train_flops), e.train_flops, null,
      "train_flops"],
    ["the rule 6ND says", scaleSay(e.six_nd), e.six_nd, null, "six_nd"],
    ["PF-days", scaleSay(e.pf_days), e.pf_days, null, "pf_days"],
    ["time", scaleTime(e.days), e.days, null, "days"],
    bytes("weights", "memory: weights"),
    bytes("gradients", "memory: gradients"),
    bytes("moments", "memory: AdamW's moments"),
    bytes("activations", "memory: activations"),
    bytes("cache", "cache of one text, 16 bits"),
  ];
}

function scaleLine([name, said, , share]) {
  const track = mgEl("div", { class: share === null ? ""
    : "mg-scale-track", "aria-hidden": "true" });
  if (share !== null) {
    track.append(mgEl("div", { style: { width: `${100 * share}%` } }));
  }
  return mgEl("li", {}, mgEl("span", {}, name), track,
    mgEl("span", { class: "mg-scale-value" }, said));
}

function scaleSentence(e, c) {
  const all = e.weights + e.gradients + e.moments + e.activations;
  return `${scaleSay(e.parameters)} parameters; training takes `
    + `${scaleSay(e.pf_days)} PF-days, ${scaleTime(e.days)} on `
    + `${c.devices.toLocaleString("en")} device${c.devices > 1 ? "s" : ""}, `
    + `and ${scaleBytes(all)} of memory`;
}

export default {
  render({ model, el }) {
    const models = model.get("models");
    const machines = model.get("machines");
    const stops = model.get("stops");
    const c = { batch_size: 1, devices: 1, utilization: 40 };
    const readout = mgReadout();
    const list = mgEl("ul", { class: "mg-scale-results" });
    let rows = [];
    let quiet = true;

    const knobs = Object.fromEntries(SCALE_KNOBS.map(([key, label]) => [key,
      mgStepper({ label, min: 0, max: stops[key].length - 1, value: 0,
        format: (i) => scaleSay(stops[key][i]),
        onInput: (i) => { c[key] = stops[key][i]; draw(); } })]));
    const preset = mgSelect({ label: "model", value: 0,
      options: models.map(({ name }, i) => [i, mgVisible(name, 40, " ")]),
      onChange: (i) => take(models[i]) });
    const machine = mgSelect({ label: "device (FLOPs a second)", value: 0,
      options: machines.map(([name], i) => [i, mgVisible(name, 40, " ")]),
      onChange: (i) => { c.peak = machines[i][1]; draw(); } });
    const bias = mgSelect({ label: "biases", value: 1,
      options: [[1, "with"], [0, "without"]],
      onChange: (v) => { c.bias = v === "1"; draw(); } });
    const table = mgTableButton(() => ({
      caption: "What this configuration takes",
      header: ["quantity", "value", "exactly", "name in estimate()"],
      rows: rows.map(([name, said, x, , key]) => [name, said, String(x),
        key]) }));

    function take({ name, ...settings }) {
      Object.assign(c, settings);
      bias.select.value = c.bias ? 1 : 0;
      quiet = true;
      for (const [key] of SCALE_KNOBS) {
        knobs[key].set(stops[key].indexOf(c[key]));
      }
      quiet = false;
      draw();
    }

    function draw() {
      if (quiet) return;
      const problem = scaleProblem(c);
      const e = scaleEstimate(c);
      rows = problem ? [] : scaleRows(e);
      list.replaceChildren(...rows.map(scaleLine));
      readout.el.classList.toggle("mg-scale-error", Boolean(problem));
      readout.set(problem || scaleSentence(e, c));
      table.refresh();
    }

    const { root, dispose } = mgWidget(el, { label: "Scale dial" });
    c.peak = machines[0][1];
    root.append(
      mgEl("div", { class: "mg-bar" }, preset.el, machine.el, bias.el),
      mgEl("div", { class: "mg-scale-knobs" },
        SCALE_KNOBS.map(([key]) => knobs[key].el)),
      readout.el, list,
      mgEl("p", { class: "mg-help" }, "Memory in float32, all devices "
        + "together. Bars compare the five lines of memory."),
      table.button, table.frame);
    take(models[0]);
    return dispose;
  },
};
