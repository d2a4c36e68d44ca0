// Two texts and the map between them: which source token a written one read.

// A text as a row of buttons. shares(i) colours token i; on is outlined.
function mgCrossText({ name, tokens, onMove, onPin, onUnpin }) {
  const spans = tokens.map((text) => mgEl("button", { type: "button",
    class: "mg-token mg-cross-token" }, mgVisible(text, 24)));
  const grid = mgEl("span", { role: "group",
    "aria-label": `${name}: arrow keys move, Enter pins, Escape unpins` },
  spans);
  const el = mgEl("div", { class: "mg-cross-text" },
    mgEl("span", { class: "mg-cross-name" }, name), grid);
  mgRovingGrid(grid, [spans], { onMove: (_, i) => onMove(i),
    onPin: (_, i) => onPin(i), onUnpin });
  function mark(on, share) {
    spans.forEach((span, i) => {
      const part = Math.sqrt(Math.min(1, Math.max(0, share(i))));
      span.style.setProperty("--share", `${Math.round(100 * part)}%`);
      span.classList.toggle("mg-cross-on", i === on);
    });
  }
  return { el, mark };
}

export default {
  render({ model, el }) {
    const sources = model.get("sources");
    const targets = model.get("targets");
    const [L, H] = model.get("heads");
    const { data } = mgUnpack(model.get("weights"));
    const starts = [0];
    sources.forEach((source, i) => starts.push(
      starts[i] + L * H * source.length * targets[i].length));

    // side says which text is chosen in: "written" lights the source
    const state = { text: 0, head: "mean", t: 0, s: 0, side: "written",
      held: false, drawn: false };
    const names = () => ({ rows: targets[state.text].map((t) => mgVisible(t)),
      cols: sources[state.text].map((t) => mgVisible(t)) });

    function one(h, t, s) {
      const S = sources[state.text].length;
      const T = targets[state.text].length;
      return data[starts[state.text] + (h * T + t) * S + s];
    }

    function weight(t, s) {
      if (state.head !== "mean") return one(Number(state.head), t, s);
      let sum = 0;
      for (let h = 0; h < L * H; h += 1) sum += one(h, t, s);
      return sum / (L * H);
    }

    const headName = (h) => (h === "mean" ? "mean of all heads"
      : `layer ${Math.floor(h / H)}, head ${h % H}`);
    const whole = (tokens) => mgVisible(tokens.join(""), 60, " ");
    const title = () => `${headName(state.head)}: ${
      whole(targets[state.text])} from ${whole(sources[state.text])}`;

    const map = mgHeatMap({ label: "", ...names(), at: weight,
      scale: (w) => Math.sqrt(Math.min(1, w)), minCell: 12,
      describe: (t, s) => {
        const { rows, cols } = names();
        return `writing “${rows[t]}” (${t}) ← “${cols[s]}” (${s}): ${
          weight(t, s).toFixed(3)}`;
      },
      onMove: ({ row, col }) => {
        if (!state.drawn) return;
        state.t = row;
        state.s = col;
        state.side = "written";
        light();
      } });
    const legend = mgLegend({ low: "0", high: "1" });
    const heading = mgEl("p", { class: "mg-title mg-cross-title" });
    const texts = mgEl("div", {});
    const table = mgTableButton(() => {
      const { rows, cols } = names();
      return { caption: `${title()}; a row is a token that is written`,
        header: ["", ...cols.map((text, s) => `${s} ${text}`)],
        rows: rows.map((text, t) => [`${t} ${text}`,
          ...cols.map((_, s) => weight(t, s).toFixed(3))]) };
    });
    let strips = {};

    function light() {
      const { t, s, side } = state;
      const lit = side === "written";
      strips.written.mark(lit ? t : -1, (i) => (lit ? 0 : weight(i, s)));
      strips.source.mark(lit ? -1 : s, (i) => (lit ? weight(t, i) : 0));
    }

    function choose(side, i) {
      if (state.held) return;
      if (side === "written") state.t = i;
      else state.s = i;
      map.select(state.t, state.s, { quiet: false });
      state.side = side;
      light();
    }

    function pin(side, i) {
      state.held = false;
      choose(side, i);
      state.held = true;
    }

    function build() {
      const strip = (name, side, tokens) => mgCrossText({ name, tokens,
        onMove: (i) => choose(side, i), onPin: (i) => pin(side, i),
        onUnpin: () => { state.held = false; } });
      strips = { source: strip("source", "source", sources[state.text]),
        written: strip("written", "written", targets[state.text]) };
      texts.replaceChildren(strips.source.el, strips.written.el);
    }

    function show() {
      heading.replaceChildren(...mgSentence(title()));
      state.t = Math.min(state.t, targets[state.text].length - 1);
      state.s = Math.min(state.s, sources[state.text].length - 1);
      if (!state.drawn) return;
      map.set({ ...names(), label: title() });
      map.select(state.t, state.s, { quiet: true });
      light();
      table.refresh();
    }

    const pick = mgSelect({ label: "text",
      options: sources.map((s, i) => [String(i), whole(s)]), value: "0",
      onChange: (v) => {
        state.text = Number(v);
        state.held = false;
        build();
        show();
      } });
    const heads = mgSelect({ label: "head", value: "mean",
      options: ["mean", ...Array(L * H).keys()].map(
        (h) => [String(h), headName(h)]),
      onChange: (v) => { state.head = v; show(); } });

    function redraw() {
      map.redraw();
      legend.redraw();
      if (state.drawn) return;
      state.drawn = true;
      show();
    }

    build();
    const { root, dispose } = mgWidget(el, { label: "Cross-attention map",
      redraw });
    root.append(
      mgEl("p", { class: "mg-help" }, "Choose a character of either text to "
        + "see what it has to do with the other; Enter or a click holds it. "
        + "In the map a row is written, a column is read."),
      mgEl("div", { class: "mg-bar" }, pick.el, heads.el, legend.el),
      heading, texts, map.el, map.readout.el,
      mgEl("div", { class: "mg-bar" }, table.button), table.frame);
    show();
    return dispose;
  },
};
