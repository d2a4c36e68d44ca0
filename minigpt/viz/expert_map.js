// Who goes where: each token in the color of its experts, one layer at a time.

// The palette of the course's figures, and black; more experts begin again.
const expertColors = ["#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7",
  "#56b4e9", "#6b6b6b", "#f0e442"];

export default {
  render({ model, el }) {
    const tokens = model.get("tokens");
    const experts = mgUnpack(model.get("experts"));
    const [L, T, top] = experts.shape;
    const E = model.get("n_expert");
    const state = { layer: 0, token: 0, held: false };
    const shown = tokens.map((text) => mgVisible(text));
    const of = (t, layer = state.layer) => Array.from({ length: top },
      (_, k) => experts.at(layer, t, k));
    const color = (e) => (e === undefined ? "transparent"
      : expertColors[e % expertColors.length]);

    const cells = shown.map((text) => {
      const who = mgEl("span", { class: "mg-expert-who" });
      const cell = mgEl("button", { type: "button", class: "mg-expert" },
        mgEl("bdi", { class: "mg-token" }, text), who);
      return { cell, who };
    });
    const strip = mgEl("div", { class: "mg-experts", role: "group",
      "aria-label": "tokens and their experts: arrow keys move, Enter pins, "
        + "Escape unpins" }, cells.map(({ cell }) => cell));
    const readout = mgReadout();
    const layers = mgSelect({ label: "layer", value: "0",
      options: Array.from({ length: L }, (_, l) => [String(l), String(l)]),
      onChange: (value) => { state.layer = Number(value); draw(); } });
    const table = mgTableButton(() => ({
      caption: "the experts of each token, the weightiest first",
      header: ["token", ...Array.from({ length: L }, (_, l) => `layer ${l}`)],
      rows: shown.map((text, t) => [`${t} ${text}`,
        ...Array.from({ length: L }, (_, l) => of(t, l).join(", "))]),
    }));
    const loads = mgTableButton(() => ({
      caption: "how many of these tokens each expert has",
      header: ["expert", ...Array.from({ length: L }, (_, l) => `layer ${l}`)],
      rows: Array.from({ length: E }, (_, e) => [String(e),
        ...Array.from({ length: L }, (_, l) => String(count(e, l)))]),
    }), { show: "loads as table" });

    function count(e, layer) {
      let n = 0;
      for (let t = 0; t < T; t += 1) n += of(t, layer).includes(e);
      return n;
    }

    function draw() {
      cells.forEach(({ cell, who }, t) => {
        const [first, second] = of(t);
        cell.style.setProperty("--first", color(first));
        cell.style.setProperty("--second", color(second));
        who.textContent = of(t).join("·");
      });
      choose(state.token);
    }

    function choose(t) {
      state.token = t;
      const [first] = of(t);
      cells.forEach(({ cell }, s) => {
        cell.classList.toggle("mg-expert-on", s === t);
        cell.classList.toggle("mg-expert-same", of(s).includes(first));
      });
      const said = of(t).join(" and ");
      readout.set(`layer ${state.layer}: “${shown[t]}” (${t}) goes to `
        + `expert${top > 1 ? "s" : ""} ${said}; expert ${first} has `
        + `${count(first, state.layer)} of ${T} tokens`
        + `${state.held ? " (pinned)" : ""}`);
    }

    mgRovingGrid(strip, [cells.map(({ cell }) => cell)], {
      onMove: (_, t) => { if (!state.held) choose(t); },
      onPin: (_, t) => {
        state.held = !(state.held && state.token === t);
        choose(t);
      },
      onUnpin: () => { state.held = false; choose(state.token); },
    });
    const { root, dispose } = mgWidget(el, { label: "Who goes where" });
    root.append(layers.el, strip, readout.el,
      mgEl("div", { class: "mg-bar" }, table.button, loads.button),
      table.frame, loads.frame);
    draw();
    return dispose;
  },
};
