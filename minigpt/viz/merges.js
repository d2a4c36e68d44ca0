// The words after each merge, one step at a time. Python has computed all.

const PAUSE = 1200; // milliseconds between the steps while it plays
const CHIPS = 60; // tokens of a word that are drawn

function mergedToken(step) {
  return step.merged ? step.merged[0] + step.merged[1] : null;
}

function sayStep(steps, place) {
  const step = steps[place];
  const left = `${step.total} tokens`;
  if (!step.merged) return `Before the first merge: ${left}.`;
  const [a, b, times] = step.merged;
  return `Merge ${place} of ${steps.length - 1}: ${mgVisible(a)} + `
    + `${mgVisible(b)}, ${times} times, become ${mgVisible(a + b)}. Now ${left}.`;
}

function wordRow(tokens, times, fresh) {
  const chips = tokens.slice(0, CHIPS).map((token) => mgEl("span", {
    class: token === fresh ? "mg-chip mg-chip-new" : "mg-chip",
  }, mgToken(token)));
  const more = tokens.length - chips.length;
  if (more) chips.push(mgEl("span", { class: "mg-soft" }, `… ${more} more`));
  return mgEl("li", { class: "mg-word" }, mgEl("span", { class: "mg-chips" },
    chips), mgEl("span", { class: "mg-soft" }, ` × ${times}`));
}

function pairRow([a, b, times], most, next) {
  const bar = mgEl("span", { class: "mg-pair-bar",
    style: { width: `${(100 * times) / most}%` } });
  return mgEl("li", { class: next ? "mg-pair mg-pair-next" : "mg-pair" },
    mgEl("span", { class: "mg-pair-name" }, mgToken(a), " + ", mgToken(b)),
    mgEl("span", { class: "mg-pair-room" }, bar),
    mgEl("span", { class: "mg-pair-times" }, next ? `${times} ← next`
      : String(times)));
}

function isNext(pair, following) {
  return Boolean(following) && pair[0] === following.merged[0]
    && pair[1] === following.merged[1];
}

export default {
  render({ model, el }) {
    const steps = model.get("steps");
    const times = model.get("times");
    const last = steps.length - 1;

    const words = mgEl("ul", { class: "mg-words" });
    const pairs = mgEl("ul", { class: "mg-pairs" });
    const readout = mgReadout(sayStep(steps, 0));
    const stepper = mgStepper({ label: "merges", min: 0, max: last, value: 0,
      onInput: (place) => { play.stop(); draw(place); },
      format: (place) => `${place} of ${last}` });
    const play = mgPlay({ stepper, draw, pause: PAUSE });
    const table = mgTableButton(() => ({
      caption: "All merges, in order",
      header: ["merge", "left", "right", "times", "tokens afterwards"],
      rows: steps.slice(1).map((step, i) => [String(i + 1),
        mgVisible(step.merged[0]), mgVisible(step.merged[1]),
        String(step.merged[2]), String(step.total)]),
    }));
    const view = mgEl("div", { class: "mg-merges", tabindex: 0, role: "group",
      "aria-label": "words and pairs: arrow keys step, space plays",
      onkeydown },
    mgEl("div", {}, mgEl("p", { class: "mg-title" }, "the words, in tokens"),
      words),
    mgEl("div", {}, mgEl("p", { class: "mg-title" }, "most frequent pairs"),
      pairs));

    function draw(place) {
      const step = steps[place];
      const fresh = mergedToken(step);
      words.replaceChildren(...step.words.map((tokens, i) => wordRow(tokens,
        times[i], fresh)));
      const most = step.pairs.length ? step.pairs[0][2] : 1;
      pairs.replaceChildren(...step.pairs.map((pair) => pairRow(pair, most,
        isNext(pair, steps[place + 1]))));
      if (!step.pairs.length) {
        pairs.append(mgEl("li", { class: "mg-soft" }, "no pair is left"));
      }
      const quiet = play.playing && place < last;
      readout.set(sayStep(steps, place), { quiet });
    }

    function onkeydown(event) {
      const to = { ArrowRight: stepper.value + 1, ArrowLeft: stepper.value - 1,
        Home: 0, End: last }[event.key];
      if (to !== undefined) {
        play.stop();
        play.go(to);
      } else if (event.key === " ") {
        play.button.click();
      } else return;
      event.preventDefault();
      event.stopPropagation(); // JupyterLab has its own use for these keys
    }

    const { root, dispose } = mgWidget(el, { label: "Byte-pair merges" });
    root.append(mgEl("div", { class: "mg-bar" }, play.button, stepper.el), view,
      readout.el, table.button, table.frame);
    draw(0);
    return () => { play.stop(); dispose(); };
  },
};
