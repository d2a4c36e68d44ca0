// The blocks of a paged cache at each step: who uses them, what they hold.

const pagesPause = 700; // milliseconds between the steps while it plays
const pagesColors = ["blue, #0072b2", "orange, #d55e00", "green, #009e73",
  "yellow, #e69f00", "purple, #cc79a7", "sky, #56b4e9"];

function pagesState({ users, text }) {
  if (users.length > 1) return "shared";
  if (users.length) return "used";
  return text.length ? "kept" : "free";
}

function pagesBlock(step, size, at) {
  const block = step.blocks[at];
  const state = pagesState(block);
  const holds = block.text.length
    ? `${block.text.length} of ${size} tokens: ${block.text.join(" ")}`
    : "empty";
  const who = { shared: `shared by ${block.users.join(", ")}`,
    used: `used by ${block.users[0]}`,
    kept: "free, but it still holds what it held", free: "free" }[state];
  return `Block ${at}: ${who}; ${holds}.`;
}

function pagesSentence(steps, now) {
  const { served, ended, waiting } = steps[now];
  const what = served.length ? `a call for ${served.join(", ")}`
    : "nobody to serve";
  const end = ended.length ? ` ${ended.join(", ")} is done.` : "";
  const line = waiting.length ? ` ${waiting.join(", ")} must wait.` : "";
  return `Step ${now + 1}: ${what}.${end}${line}`;
}

function pagesTotals(step) {
  const inUse = step.blocks.filter((block) => block.users.length).length;
  const shared = step.blocks.filter((block) => block.users.length > 1).length;
  return `${inUse} of ${step.blocks.length} blocks in use, ${shared} shared.`;
}

function pagesTables({ texts }) {
  return texts.map(({ name, table }) => `${name}: ${table.join(" ")}`)
    .join(" · ") || "nobody";
}

export default {
  render({ model, el }) {
    const [steps, size] = [model.get("steps"), model.get("size")];
    const names = model.get("names");
    const last = steps.length - 1;
    let [now, here] = [0, 0];
    const cells = steps[0].blocks.map((_, i) => mgEl("button", {
      type: "button", class: "mg-page" }, mgEl("span", { class: "mg-page-who" }),
    mgEl("span", { class: "mg-page-fill", "aria-hidden": "true" })));
    const frame = mgEl("div", { class: "mg-pages", role: "group",
      "aria-label": "blocks: arrow keys move" }, cells);
    const readout = mgReadout();
    const block = mgReadout();
    const tables = mgEl("p", {});
    const totals = mgEl("p", { class: "mg-soft" });
    const stepper = mgStepper({ label: "step", min: 0, max: last, value: 0,
      format: (step) => String(step + 1),
      onInput: (step) => { play.stop(); draw(step); } });
    const play = mgPlay({ stepper, draw, pause: pagesPause });
    mgRovingGrid(frame, [cells], { onMove: (_, col) => {
      here = col;
      block.set(pagesBlock(steps[now], size, here));
    } });
    const table = mgTableButton(() => ({
      caption: `Blocks after step ${now + 1}`,
      header: ["block", "users", "tokens", "text"],
      rows: steps[now].blocks.map(({ users, text }, i) => [String(i),
        users.join(" ") || "–", String(text.length), text.join(" ")]),
    }));

    function color(user) {
      const name = pagesColors[names.indexOf(user) % pagesColors.length];
      return `var(--mg-${name})`;
    }

    function draw(step) {
      now = step;
      steps[now].blocks.forEach((entry, i) => {
        const state = pagesState(entry);
        cells[i].className = `mg-page mg-page-${state}`;
        const [who, fill] = cells[i].children;
        who.textContent = entry.users.join("") || (state === "kept" ? "·" : "");
        fill.style.width = `${(100 * entry.text.length) / size}%`;
        fill.style.background = entry.users.length ? color(entry.users[0])
          : "var(--mg-line)";
        cells[i].setAttribute("aria-label", pagesBlock(steps[now], size, i));
      });
      const quiet = play.playing && now < last;
      readout.set(pagesSentence(steps, now), { quiet });
      block.set(pagesBlock(steps[now], size, here), { quiet: true });
      tables.textContent = `tables  ${pagesTables(steps[now])}`;
      totals.textContent = pagesTotals(steps[now]);
      table.refresh();
    }

    const { root, dispose } = mgWidget(el, { label: "Blocks of the cache" });
    root.append(mgEl("div", { class: "mg-bar" }, play.button, stepper.el), readout.el,
      frame, block.el, tables, totals, mgEl("p", { class: "mg-help" },
        "A letter is a request, and the bar shows how full a block is. Two "
        + "letters share a block; a dot marks a free block that still holds "
        + "what it held."), table.button, table.frame);
    draw(0);
    return () => { play.stop(); dispose(); };
  },
};
