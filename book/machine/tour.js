// Nine stops, each a place in the machine, some words and a chapter.

const MC_TOUR = [
  { chapter: "01_tokenizer", lit: "tokens", at: {},
    words: "The text is cut into tokens: whole words where they are common, "
      + "pieces where they are rare. Each token gets a lane." },
  { chapter: "08_gpt", lit: "embedding", at: {},
    words: "Each token becomes a vector, looked up in a table. A tile shows all "
      + "its numbers: orange is positive, blue is negative." },
  { chapter: "05_position", lit: "embedding", at: {},
    words: "Attention alone cannot see order. So each token's place enters the "
      + "numbers too, and the first word differs from the fifth." },
  { chapter: "04_attention", at: { b: 3, h: 1, k: 0 },
    words: "One head, one pair of tokens: a query times a key gives a score. "
      + "Softmax turns the scores of a row into weights." },
  { chapter: "06_multihead", at: {},
    words: "Several heads look at once, each for something else. The arcs show "
      + "what the last token reads, thicker where it reads more." },
  { chapter: "07_block", at: { b: 3 },
    words: "A block: normalize, let tokens read each other, add. Normalize, "
      + "think about it alone, add. The vector keeps its size." },
  { chapter: "12_lens", lit: "output", at: {},
    words: "After the last block the head reads the vector as a next token. "
      + "Words above the tiles show what it would read earlier." },
  { chapter: "10_sample", lit: "output", at: {},
    words: "The model gives every token a probability. One is drawn and "
      + "becomes part of the text. Choose one yourself below." },
  { chapter: "11_cache", lit: "cache", at: {},
    words: "When a token is added, earlier lanes stay as they are: with their "
      + "keys and values kept, only the new lane is computed." },
];

// The bar of the tour. go(at) opens a place, chapters: { name: { href, title }}
function mcTour({ go, chapters }) {
  const text = mgEl("p", { class: "mc-words", role: "status",
    "aria-live": "polite" });
  const back = mgButton("◀", () => step(-1), { "aria-label": "previous stop" });
  const next = mgButton("▶", () => step(1), { "aria-label": "next stop" });
  const start = mgButton("Take the tour", () => show(1));
  const end = mgButton("End the tour", () => show(undefined));
  const el = mgEl("section", { class: "mc-tour", "aria-label": "tour" }, start,
    back, text, next, end);
  let now;

  // -> false if there is no such stop
  function step(by) {
    if (!MC_TOUR[now + by - 1]) return false;
    show(now + by);
    return true;
  }

  function show(s) {
    go(s === undefined ? {} : { ...MC_TOUR[s - 1].at, s });
  }

  // s is the stop in the address, or undefined.
  function set(s) {
    now = s >= 1 && s <= MC_TOUR.length ? s : undefined;
    const on = now !== undefined;
    for (const part of [back, next, end]) part.hidden = !on;
    start.hidden = on;
    el.classList.toggle("mc-touring", on);
    back.disabled = now === 1;
    next.disabled = now === MC_TOUR.length;
    if (!on) {
      text.textContent = `${MC_TOUR.length} stops, from a text to its next token`;
      return;
    }
    const { words, chapter } = MC_TOUR[now - 1];
    text.replaceChildren(mgEl("b", {}, `${now} of ${MC_TOUR.length} `), words,
      " ", mgEl("a", { href: chapters[chapter].href }, chapters[chapter].title));
  }

  return { el, set, step };
}
