// The text as a picture to keep: its tokens, who wrote them, and in the foot
// the settings and the address that lead to the very same text.

const PICTURE = { width: 1200, margin: 64, size: 30, line: 52, most: 16 };
const PICTURE_COLORS = {
  light: { paper: "#ffffff", ink: "#1f2328", soft: "#57606a",
    written: "#cfe6f4", line: "#0072b2" },
  dark: { paper: "#14181d", ink: "#e6edf3", soft: "#a5afba",
    written: "#1d3d52", line: "#56b4e9" },
};

// Control characters, and signs that turn the direction of writing.
const PICTURE_UNSEEN = /[^\P{Cc}\n]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

// Pieces of text -> where each part of them is drawn: [{ text, x, line, i }].
// A piece that is longer than a line is broken where it has to be.
function pictureLayout(pen, pieces) {
  const room = PICTURE.width - 2 * PICTURE.margin;
  const parts = [];
  let [x, line] = [0, 0];
  const put = (text, i) => {
    const width = pen.measureText(text).width;
    if (x + width > room && x) [x, line] = [0, line + 1];
    parts.push({ text, x, line, i, width });
    x += width;
  };
  pieces.forEach((piece, i) => piece.split(/(\n)/).forEach((part) => {
    if (part === "\n") [x, line] = [0, line + 1];
    else if (pen.measureText(part).width <= room) put(part, i);
    else for (const c of part.slice(0, 400)) put(c, i);
  }));
  return parts;
}

// A picture too long shows the end of the text.
function pictureParts(pen, pieces) {
  const parts = pictureLayout(pen, pieces);
  const lines = (parts[parts.length - 1]?.line ?? 0) + 1;
  const cut = Math.max(0, lines - PICTURE.most);
  return { lines: lines - cut, parts: parts.filter((p) => p.line >= cut).map(
    (p) => ({ ...p, line: p.line - cut })) };
}

// Text in lines of the picture's width; what needs more than six is cut.
function pictureLines(pen, text) {
  const room = PICTURE.width - 2 * PICTURE.margin;
  const lines = [""];
  for (const c of text) {
    const longer = lines[lines.length - 1] + c;
    if (pen.measureText(longer).width <= room) lines[lines.length - 1] = longer;
    else if (lines.length < 6) lines.push(c);
    else return [...lines.slice(0, -1), `${lines[5].slice(0, -2)}…`];
  }
  return lines;
}

// pieces: the tokens' texts; written: the first that the model wrote; foot:
// lines of small text. -> a canvas
function pictureDraw({ pieces, written, foot }) {
  const { width, margin, size, line } = PICTURE;
  const color = PICTURE_COLORS[mgIsDark() ? "dark" : "light"];
  const canvas = document.createElement("canvas");
  const font = `${size}px ui-monospace, Menlo, Consolas, monospace`;
  const small = "22px system-ui, sans-serif";
  const pen = canvas.getContext("2d");
  pen.font = small;
  const below = foot.flatMap((text) => pictureLines(pen, text));
  pen.font = font;
  const { parts, lines } = pictureParts(pen, pieces.map(
    (piece) => piece.replace(PICTURE_UNSEEN, "")));
  canvas.width = width;
  canvas.height = Math.max(630, 2 * margin + line * lines + 34 * below.length
    + 40);
  pen.fillStyle = color.paper;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.font = font;
  pen.textBaseline = "middle";
  for (const { text, x, line: n, i, width: wide } of parts) {
    const y = margin + n * line;
    if (i >= written && text) {
      pen.fillStyle = color.written;
      pen.fillRect(margin + x, y, wide, line - 10);
      pen.fillStyle = color.line;
      pen.fillRect(margin + x, y + line - 12, wide, 3);
    }
    pen.fillStyle = color.ink;
    pen.fillText(text, margin + x, y + line / 2 - 5);
  }
  pen.font = small;
  pen.fillStyle = color.soft;
  below.forEach((text, i) => pen.fillText(text, margin,
    canvas.height - margin + 10 - 34 * (below.length - 1 - i)));
  return canvas;
}

function pictureBlob(canvas) {
  return new Promise((done) => { canvas.toBlob(done, "image/png"); });
}

// Into the clipboard, or where the browser refuses that, as a file.
async function pictureKeep(canvas) {
  const blob = await pictureBlob(canvas);
  try {
    await navigator.clipboard.write([new ClipboardItem(
      { "image/png": blob })]);
    return "The picture is in your clipboard.";
  } catch {
    const href = URL.createObjectURL(blob);
    mgEl("a", { href, download: "written.png" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10000);
    return "The picture is in your downloads.";
  }
}
