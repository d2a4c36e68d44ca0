// A text grows by one call of the model a step: guesses that were accepted,
// and the token that the model adds.

const draftPause = 900; // milliseconds between the calls while it plays

function draftSentence(calls, now) {
  if (!now) return "The prompt. Nothing is written yet.";
  const { guessed, right, added } = calls[now - 1];
  const names = guessed.map((text) => mgVisible(text)).join(", ");
  const what = guessed.length
    ? `the table guesses ${names}; ${right} of ${guessed.length} right`
    : "nothing is guessed";
  return `Call ${now}: ${what}. The model adds ${mgVisible(added)}.`;
}

// How many tokens all calls up to `now` have written, and by whom.
function draftSums(calls, now) {
  const done = calls.slice(0, now);
  const right = done.reduce((sum, call) => sum + call.right, 0);
  const guessed = done.reduce((sum, call) => sum + call.guessed.length, 0);
  return { tokens: right + now, right, guessed };
}

function draftTotals(calls, now) {
  const { tokens, right, guessed } = draftSums(calls, now);
  const each = now ? (tokens / now).toFixed(2) : "–";
  return `${tokens} tokens in ${now} calls: ${each} tokens a call. `
    + `${right} of ${guessed} guesses were right.`;
}

function draftPiece(text, kind) {
  return mgEl("bdi", { class: `mg-draft mg-draft-${kind}` },
    mgVisible(text, 24, " "));
}

// One call -> its pieces: right guesses, then the model's own token.
function draftCall({ guessed, right, added }) {
  return [...guessed.slice(0, right).map((x) => draftPiece(x, "right")),
    draftPiece(added, "model")];
}

function draftKey() {
  const key = [["right", "guessed by the table, accepted"],
    ["wrong", "guessed, rejected"], ["model", "added by the model"]];
  return mgEl("p", { class: "mg-bar mg-soft" }, key.map(([kind, text]) => mgEl(
    "span", {}, mgEl("span", { class: `mg-draft mg-draft-${kind}` }, "abc"),
    ` ${text}`)));
}

export default {
  render({ model, el }) {
    const calls = model.get("calls");
    const last = calls.length;
    const prompt = model.get("prompt").map((x) => draftPiece(x, "prompt"));
    const text = mgEl("p", { class: "mg-draft-text", tabindex: 0,
      role: "group", "aria-label": "the text so far: arrow keys step",
      onkeydown });
    const guesses = mgEl("p", { class: "mg-draft-now" });
    const readout = mgReadout();
    const totals = mgEl("p", { class: "mg-soft" });
    const stepper = mgStepper({ label: "call", min: 0, max: last, value: 0,
      onInput: (now) => { play.stop(); draw(now); } });
    const play = mgPlay({ stepper, draw, pause: draftPause });
    const table = mgTableButton(() => ({
      caption: "Each call of the model",
      header: ["call", "guessed", "right", "added by the model"],
      rows: calls.map(({ guessed, right, added }, i) => [String(i + 1),
        guessed.map((x) => mgVisible(x)).join(" "), String(right),
        mgVisible(added)]),
    }));

    function draw(now) {
      text.replaceChildren(...prompt, ...calls.slice(0, now).flatMap(draftCall));
      const call = calls[now - 1];
      guesses.replaceChildren(now ? "in this call: " : "", ...(now
        ? call.guessed.map((x, i) => draftPiece(x,
          i < call.right ? "right" : "wrong")) : []));
      const quiet = play.playing && now < last;
      readout.set(draftSentence(calls, now), { quiet });
      totals.textContent = draftTotals(calls, now);
    }

    function onkeydown(event) {
      const to = { ArrowRight: stepper.value + 1, ArrowLeft: stepper.value - 1,
        Home: 0, End: last }[event.key];
      if (to === undefined) return;
      play.stop();
      play.go(to);
      event.preventDefault();
      event.stopPropagation(); // JupyterLab has its own use for these keys
    }

    const { root, dispose } = mgWidget(el, { label: "Two models, one text" });
    root.append(mgEl("div", { class: "mg-bar" }, play.button, stepper.el), text,
      guesses, readout.el, totals, draftKey(), table.button, table.frame);
    draw(0);
    return () => { play.stop(); dispose(); };
  },
};
