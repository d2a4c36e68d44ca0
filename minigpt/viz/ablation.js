// Heads to switch off: every combination was computed beforehand, and the
// page looks it up. Bit k of a state says that head k is off.

function ablationNats(v) {
  const text = v.toFixed(3);
  return v > 0 ? `+${text}` : text.replace("-", "−");
}

function ablationNames(d, state) {
  const off = d.names.filter((_, k) => (state >> k) & 1);
  return off.length ? off.join(", ") : "nothing";
}

// The costs of the single heads of a state, added up.
function ablationSum(d, state) {
  return d.names.reduce((sum, _, k) => sum
    + ((state >> k) & 1 ? d.cost.at(1 << k, 0) : 0), 0);
}

function ablationSentence(d, state) {
  if (!state) return `Nothing is off: loss ${d.loss.toFixed(3)} nats a token.`;
  const cost = d.cost.at(state, 0);
  const alone = (state & (state - 1)) === 0;
  const sum = alone ? "" : ` One by one they cost `
    + `${ablationNats(ablationSum(d, state))} in sum.`;
  return `Off: ${ablationNames(d, state)}. Loss ${(d.loss + cost).toFixed(3)} `
    + `nats a token, ${ablationNats(cost)} ± ${d.cost.at(state, 1).toFixed(3)}.`
    + sum;
}

// What the model says after prompt m: the likeliest tokens.
function ablationSays(d, state, m) {
  return Array.from({ length: d.best.shape[2] }, (_, k) => ({
    text: mgVisible(d.words[d.best.at(state, m, k)]),
    p: d.probs.at(state, m, k) }));
}

function ablationBar(name, value, widest, note) {
  const share = Math.max(0, Math.min(100, (100 * value) / widest));
  return mgEl("div", { class: "mg-ablation-line" },
    mgEl("span", { class: "mg-ablation-name" }, name),
    mgEl("div", { class: "mg-ablation-track", "aria-hidden": "true" },
      mgEl("div", { class: "mg-ablation-bar", style: { width: `${share}%` } })),
    mgEl("span", { class: "mg-ablation-number" }, note));
}

function ablationPrompt(d, state, m) {
  const before = ablationSays(d, 0, m)[0].text;
  return mgEl("div", { class: "mg-ablation-prompt" },
    mgEl("p", {}, "after ", mgToken(d.prompts[m], 60)),
    ablationSays(d, state, m).map((x, k) => mgEl("div", {
      class: "mg-ablation-line" },
    mgEl("bdi", { class: "mg-token mg-ablation-name" }, x.text
      + (k === 0 && x.text !== before ? " (new)" : "")),
    mgEl("div", { class: "mg-ablation-track", "aria-hidden": "true" },
      mgEl("div", { class: "mg-ablation-bar mg-ablation-p", style: {
        width: `${100 * x.p}%` } })),
    mgEl("span", { class: "mg-ablation-number" },
      `${(100 * x.p).toFixed(1)} %`))));
}

export default {
  render({ model, el }) {
    const d = { cost: mgUnpack(model.get("cost")), words: model.get("words"),
      best: mgUnpack(model.get("best")), probs: mgUnpack(model.get("probs")),
      prompts: model.get("prompts"), loss: mgUnpack(model.get("loss")).at(0),
      names: model.get("heads").map(([l, h]) => `layer ${l}, head ${h}`) };
    const states = d.cost.shape[0];
    let state = 0;
    const widest = Math.max(1e-9, ...Array.from({ length: states },
      (_, s) => Math.max(d.cost.at(s, 0), ablationSum(d, s))));
    const readout = mgReadout();
    const bars = mgEl("div", {});
    const says = mgEl("div", { class: "mg-ablation-says" });

    const buttons = d.names.map((name, k) => mgButton(name,
      () => {}, { "aria-pressed": "false", title: "switch off or on",
        "aria-label": `${name}: off` }));
    const group = mgEl("div", { class: "mg-bar", role: "group",
      "aria-label": "heads to switch off: arrow keys move, Enter switches" },
    buttons);
    mgRovingGrid(group, [buttons], {
      onPin: (_, k) => { state ^= 1 << k; draw(); },
      onUnpin: () => { state = 0; draw(); } });
    const all = mgButton("all off", () => { state = states - 1; draw(); });
    const none = mgButton("all on", () => { state = 0; draw(); });

    const table = mgTableButton(() => ({
      caption: `Every combination: nats a token more than ${
        d.loss.toFixed(3)}, and the likeliest token after each text`,
      header: ["off", "cost", "standard error", "sum one by one",
        ...d.prompts.map((text) => mgVisible(text, 60))],
      rows: Array.from({ length: states }, (_, s) => [ablationNames(d, s),
        ablationNats(d.cost.at(s, 0)), d.cost.at(s, 1).toFixed(3),
        ablationNats(ablationSum(d, s)), ...d.prompts.map((_p, m) => {
          const x = ablationSays(d, s, m)[0];
          return `${x.text} ${(100 * x.p).toFixed(1)} %`;
        })]) }));

    function draw() {
      buttons.forEach((button, k) => button.setAttribute("aria-pressed",
        String(Boolean((state >> k) & 1))));
      const cost = d.cost.at(state, 0);
      const sum = ablationSum(d, state);
      bars.replaceChildren(
        ablationBar("together", cost, widest, ablationNats(cost)),
        ablationBar("sum, one by one", sum, widest, ablationNats(sum)));
      says.replaceChildren(...d.prompts.map((_, m) => ablationPrompt(d,
        state, m)));
      readout.set(ablationSentence(d, state));
    }

    mgKeep(bars, "off", () => String(state), mgWhole((wanted) => {
      if (wanted < states) { state = wanted; draw(); }
    }));
    const { root, dispose } = mgWidget(el, { label: "Ablation" });
    root.append(mgEl("p", { class: "mg-help" }, "Pressed: the head is off, its "
      + `output replaced by ${model.get("replaced")}. Measured on `
      + `${model.get("tokens")} tokens.`), group,
    mgEl("div", { class: "mg-bar" }, all, none), readout.el, bars, says,
    table.button, table.frame);
    draw();
    return dispose;
  },
};
