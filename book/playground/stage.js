// The text: a box to type in, and under its letters the tokens as soft chips.
// Above them arcs show what the chosen token reads; below hang the likeliest
// next tokens. The chips have the letters of the box, unseen, so that each
// lies behind its own; a screen reader has the box alone.

const STAGE_LINES = 5; // candidates
const STAGE_FULL = 0.3; // at least, what the thickest arc stands for
const STAGE_LEAST = 0.08; // of that; less is no arc
const STAGE_ARCS = 10;

// A candidate: its token, its probability, and a button that takes it.
function stageLine(onChoose) {
  const token = mgEl("bdi", { class: "mg-token" });
  const bar = mgEl("i", { "aria-hidden": "true" });
  const number = mgEl("span", {});
  const button = mgEl("button", { type: "button", class: "mg-pg-candidate",
    onclick: () => {
      if (button.getAttribute("aria-disabled") !== "true") onChoose(line.id);
    } }, token, mgEl("span", { class: "mg-pg-track" }, bar), number);
  const line = { el: mgEl("li", {}, button), button, id: null };
  line.fill = ({ id, text, share, real }) => {
    line.id = id;
    token.textContent = mgVisible(text, 16);
    bar.style.width = `${100 * share}%`;
    number.textContent = pgPercent(share).padStart(7); // so nothing moves
    button.classList.toggle("mg-pg-real", Boolean(real));
    button.title = real ? "the text has this token here" : "";
  };
  return line;
}

// onText(): typed; onPlace(i): token i is chosen; onHover(i or null);
// onChoose(id): a candidate is taken; onKey(event): a key in the box.
function pgStage({ onText, onPlace, onHover, onChoose, onKey }) {
  const area = mgEl("textarea", { class: "mg-pg-text", dir: "auto", rows: 3,
    spellcheck: "false", autocomplete: "off", autocapitalize: "off",
    placeholder: "Write a few words.", id: mgId("text"), oninput: () => {
      sketch(area.value);
      onText();
    }, onkeydown: onKey, onkeyup: follow, onclick, onpointermove,
    onpointerleave: () => hover(null) });
  const under = mgEl("div", { class: "mg-pg-under", dir: "auto",
    "aria-hidden": "true" });
  const arcs = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  arcs.setAttribute("class", "mg-pg-arcs");
  arcs.setAttribute("aria-hidden", "true");
  const caret = mgEl("span", { class: "mg-pg-caret", "aria-hidden": "true" });
  const sheet = mgEl("div", { class: "mg-pg-sheet" }, under, area, arcs,
    caret);
  const scroll = mgEl("div", { class: "mg-pg-scroll" }, sheet);
  const lines = Array.from({ length: STAGE_LINES },
    () => stageLine(onChoose));
  const list = mgEl("ol", { class: "mg-pg-candidates",
    "aria-label": "the likeliest next tokens: choose one" },
  lines.map((line) => line.el));
  const hang = mgEl("div", { class: "mg-pg-hang" }, list);
  const label = mgEl("label", { for: area.id, class: "mg-title" },
    "Your text");
  const el = mgEl("div", { class: "mg-pg-stage" }, label, scroll, hang);
  const rest = document.createTextNode("");
  const outside = mgEl("span", { class: "mg-pg-outside" });
  under.append(outside, rest, "\u200b"); // a last line break has a line too
  let chips = [];
  let shown = { pieces: [], place: 0, read: [] };
  let over = null;

  function trim(n) {
    chips.splice(n).forEach((chip) => chip.remove());
  }

  // Chips for the pieces; those that stay the same are kept.
  function build(before, pieces) {
    let same = 0;
    while (same < Math.min(chips.length, pieces.length)
      && chips[same].textContent === pieces[same]) same += 1;
    trim(same);
    outside.textContent = before;
    rest.data = "";
    const fresh = pieces.slice(same).map((piece) => mgEl("span",
      { class: "mg-pg-chip" }, piece));
    rest.before(...fresh);
    chips.push(...fresh);
  }

  // While the tokens of what was typed are not known: its letters.
  function sketch(text) {
    let same = 0;
    let at = outside.textContent.length;
    if (!text.startsWith(outside.textContent)) {
      outside.textContent = "";
      trim(0);
      at = 0;
    }
    while (same < chips.length
      && text.startsWith(chips[same].textContent, at)) {
      at += chips[same].textContent.length;
      same += 1;
    }
    trim(same);
    rest.data = text.slice(at);
    arcs.replaceChildren();
  }

  // before: text that has left the window; pieces: the tokens' texts; place:
  // the chosen token; written: the first token that the model wrote; read: the
  // chosen token's weights; next: the candidates.
  function show(view) {
    shown = view;
    build(view.before, view.pieces);
    const last = chips.length - 1;
    chips.forEach((chip, i) => {
      chip.classList.toggle("mg-pg-written", i >= view.written);
      chip.classList.toggle("mg-pg-newest", i === last && i >= view.written);
      chip.classList.toggle("mg-pg-chosen", i === view.place);
    });
    lines.forEach((line, i) => {
      line.el.hidden = !view.next[i];
      if (view.next[i]) line.fill(view.next[i]);
    });
    look(view.read, view.place);
    point();
  }

  // Tints and arcs: what the token at `place` reads. Where its attention is
  // spread thin, all of it is drawn stronger.
  function look(weights, place) {
    const most = Math.max(STAGE_FULL, ...weights.slice(0, place));
    const read = weights.map((w) => Math.min(1, w / most));
    chips.forEach((chip, s) => {
      const w = s <= place ? read[s] ?? 0 : 0;
      const share = w < 0.04 ? "" : `${Math.round(55 * Math.sqrt(w))}%`;
      if (chip.style.getPropertyValue("--read") !== share) {
        chip.style.setProperty("--read", share);
      }
    });
    const home = sheet.getBoundingClientRect();
    const best = Array.from(read.slice(0, place), (w, s) => [w, s]).filter(
      ([w]) => w >= STAGE_LEAST).sort((a, b) => b[0] - a[0]);
    const from = chips[place] && stageTop(chips[place], home);
    arcs.replaceChildren(...best.slice(0, STAGE_ARCS).map(([w, s]) => (
      stageArc(from, stageTop(chips[s], home), w))));
  }

  // The caret goes behind the chosen token, the candidates below it.
  function point() {
    const chip = chips[shown.place];
    if (!chip) return;
    const home = sheet.getBoundingClientRect();
    const rects = chip.getClientRects();
    const end = rects[rects.length - 1];
    const [x, y] = [end.right - home.left, end.top - home.top];
    caret.style.transform = `translate(${x}px, ${y}px)`;
    caret.style.height = `${end.height}px`;
    const room = hang.clientWidth - 12 - list.offsetWidth; // its padding
    const right = Math.max(0, Math.min(x - 8, room));
    list.style.transform = `translateX(${right}px)`;
  }

  function redraw() {
    look(shown.read, shown.place);
    point();
  }

  // --- which token

  function chipAt(event) {
    return chips.indexOf(document.elementsFromPoint(event.clientX,
      event.clientY).find((e) => e.classList.contains("mg-pg-chip")));
  }

  function onpointermove(event) {
    if (event.pointerType === "touch") return;
    const i = chipAt(event);
    hover(i < 0 ? null : i);
  }

  function hover(i) {
    if (over === i) return;
    over = i;
    onHover(i);
  }

  function onclick(event) {
    const i = chipAt(event);
    if (i >= 0 && area.selectionStart === area.selectionEnd) onPlace(i);
    else follow();
  }

  // The token before the caret is the chosen one.
  function follow() {
    if (rest.data) return; // the tokens are not known yet
    const caretAt = area.selectionEnd;
    let end = outside.textContent.length;
    let i = caretAt === area.value.length ? chips.length - 1 : 0;
    for (; i < chips.length - 1; i += 1) {
      end += chips[i].textContent.length;
      if (end >= caretAt) break;
    }
    if (chips.length) onPlace(i);
  }

  function set(text) {
    if (area.value === text) return;
    area.value = text;
    sketch(text);
    scroll.scrollTop = scroll.scrollHeight;
  }

  // A recording has no box to type in: its letters are those of the chips.
  function play(is) {
    el.classList.toggle("mg-pg-recorded", is);
    area.hidden = is;
    label.hidden = is;
    under.setAttribute("aria-hidden", String(!is));
    lines.forEach(({ button }) => { button.disabled = is; });
  }

  function allow(is) {
    lines.forEach(({ button }) => pgAllow(button, is));
  }

  return { el, area, show, look, redraw, sketch, set, play, allow, scroll };
}

// The middle of the upper edge of a chip, in the sheet.
function stageTop(chip, home) {
  const { left, width, top } = chip.getClientRects()[0];
  return [left + width / 2 - home.left, top - home.top];
}

function stageArc([x1, y1], [x2, y2], weight) {
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const top = Math.min(y1, y2) - 10 - Math.min(44, Math.abs(x1 - x2) * 0.2);
  path.setAttribute("d", `M${x1} ${y1 + 2}C${x1} ${top} ${x2} ${top} ${x2} `
    + `${y2 + 2}`);
  path.setAttribute("stroke-width", (1 + 6 * weight).toFixed(1));
  path.setAttribute("opacity", (0.25 + 0.7 * weight).toFixed(2));
  return path;
}
