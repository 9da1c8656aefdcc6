// A terminal's picture as text: what a recording shows, drawn cell by cell. Nothing of it becomes markup, and no character
// of it can move its neighbours.

import { el } from "./dom.js";
import { harmless } from "./show.js";

/** The most columns and rows of the screen, and rows above it that are kept. */
const COLUMNS = 400;
const ROWS = 150;
const ABOVE = 500;
/** Pieces of text with a look of their own that one picture has; what is below them is plain. */
const PIECES = 20000;
/** Milliseconds between pictures; one that took long to draw is kept for longer. */
const EVERY = 100;
const REST = 4;
const STEPS = [0, 95, 135, 175, 215, 255];

/** The colour of a number of the palette; the first sixteen are classes. */
function colour(number) {
  if (number >= 232) {
    const grey = 8 + (number - 232) * 10;
    return `rgb(${grey} ${grey} ${grey})`;
  }
  const at = number - 16;
  return `rgb(${STEPS[Math.floor(at / 36)]} ${STEPS[Math.floor(at / 6) % 6]} ${STEPS[at % 6]})`;
}

/** Gives `made` the colour of the cell's ground or ink as its `ground` or its ink: some are turned round. */
function paint(made, cell, ofGround, ground) {
  const [isRgb, isPalette, number] = ofGround ? [cell.isBgRGB(), cell.isBgPalette(), cell.getBgColor()] : [cell.isFgRGB(), cell.isFgPalette(), cell.getFgColor()];
  if (!isRgb && !isPalette) return;
  if (isPalette && number < 16) made.classList.add(`${ground ? "ground" : "ink"}-${number}`);
  else made.style[ground ? "backgroundColor" : "color"] = isRgb ? `#${number.toString(16).padStart(6, "0")}` : colour(number);
}

/** What makes two cells look alike. */
function look(cell) {
  return [cell.getFgColorMode(), cell.getFgColor(), cell.getBgColorMode(), cell.getBgColor(), cell.isBold(), cell.isDim(), cell.isUnderline(), cell.isInverse(), cell.isInvisible()].join();
}

function piece(text, cell) {
  const made = el("span", {}, text);
  const turned = Boolean(cell.isInverse());
  paint(made, cell, turned, false);
  paint(made, cell, !turned, true);
  for (const [name, is] of [["bold", cell.isBold()], ["dim", cell.isDim()], ["underline", cell.isUnderline()], ["inverse", cell.isInverse()], ["unseen-text", cell.isInvisible()]]) if (is) made.classList.add(name);
  return made;
}

function row(line, columns) {
  const made = [];
  let cell;
  let text = "";
  let first = null;
  let before = "";
  const end = () => {
    if (text) made.push(first.isAttributeDefault() ? text : piece(text, first));
    text = "";
  };
  for (let x = 0; line && x < columns; x += 1) {
    cell = line.getCell(x);
    if (!cell || cell.getWidth() === 0) continue;
    const now = look(cell);
    if (now !== before) {
      end();
      first = cell;
      before = now;
    }
    text += harmless(cell.getChars() || " ");
  }
  if (text && first.isAttributeDefault()) text = text.trimEnd();
  end();
  return made;
}

function plain(line) {
  const text = harmless(line?.translateToString(true) ?? "");
  return text ? [text] : [];
}

/** A screen; `write` takes what a command wrote and ends when it is shown. */
export async function screen(columns, rows) {
  const { Terminal } = await import("./vendor/xterm.js");
  const size = (c, r) => ({ cols: Math.max(1, Math.min(COLUMNS, c || 80)), rows: Math.max(1, Math.min(ROWS, r || 24)) });
  const terminal = new Terminal({ ...size(columns, rows), scrollback: ABOVE, convertEol: true, allowProposedApi: true });
  const box = el("pre", { class: "screen", tabindex: "0", role: "region", "aria-label": "What it showed" });
  let drawing = null;
  let next = 0;
  const draw = () => {
    drawing = null;
    const began = performance.now();
    const buffer = terminal.buffer.active;
    const isLow = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
    const lines = [];
    let pieces = 0;
    for (let y = 0; y < buffer.length; y += 1) {
      const line = buffer.getLine(y);
      const made = pieces < PIECES ? row(line, terminal.cols) : plain(line);
      pieces += made.length;
      lines.push(made);
    }
    while (lines.length > 1 && !lines.at(-1).length) lines.pop();
    box.replaceChildren(...lines.flatMap((made, at) => (at ? ["\n", ...made] : made)));
    if (isLow) box.scrollTop = box.scrollHeight;
    next = began + Math.max(EVERY, REST * (performance.now() - began));
  };
  const soon = () => { drawing ??= setTimeout(draw, Math.max(0, next - performance.now())); };
  const resize = (c, r) => {
    const { cols, rows: high } = size(c, r);
    terminal.resize(cols, high);
    soon();
  };
  return {
    box,
    write: (text) => new Promise((done) => {
      terminal.write(text, () => {
        soon();
        done();
      });
    }),
    resize,
    clear: () => {
      terminal.reset();
      resize(columns, rows);
    },
    end: () => {
      clearTimeout(drawing);
      terminal.dispose();
    },
  };
}
