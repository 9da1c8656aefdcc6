// Showing what a prisoner wrote, so that it cannot look like something else; and times.

import { el } from "./dom.js";

/** Characters that a screen acts on or does not show, or that change their neighbours: those that the CLI never shows either. */
const ODD = /[\u{0}-\u{1f}\u{7f}-\u{a0}\u{ad}\u{300}-\u{36f}\u{483}-\u{489}\u{600}-\u{605}\u{61c}\u{6dd}\u{70f}\u{890}-\u{891}\u{8e2}\u{115f}-\u{1160}\u{1680}\u{17b4}-\u{17b5}\u{180b}-\u{180f}\u{1ab0}-\u{1aff}\u{1dc0}-\u{1dff}\u{2000}-\u{200f}\u{2028}-\u{202f}\u{205f}-\u{206f}\u{20d0}-\u{20ff}\u{2800}\u{3000}\u{302a}-\u{302f}\u{3164}\u{e000}-\u{f8ff}\u{fdd0}-\u{fdef}\u{fe00}-\u{fe0f}\u{fe20}-\u{fe2f}\u{feff}\u{ffa0}\u{fff0}-\u{fffc}\u{fffe}-\u{ffff}\u{110bd}\u{110cd}\u{13430}-\u{1345f}\u{1bca0}-\u{1bca3}\u{1d159}\u{1d165}-\u{1d182}\u{1fffe}-\u{1ffff}\u{e0000}-\u{10ffff}]/u;
const BARE = /^[A-Za-z0-9_@%+=:,./-]+$/;
const LETTERS = { 7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 27: "e", 39: "'", 92: "\\" };
/** Characters of one argument that are shown at first: so many of its beginning, and so many of its end. */
const FOLD = 600;
const TAIL = 16;

/** The escape that bash's `$'…'` knows. */
function escaped(character) {
  const code = character.codePointAt(0);
  const hex = code.toString(16);
  const number = () => (code < 0x80 ? `x${hex.padStart(2, "0")}` : code < 0x10000 ? `u${hex.padStart(4, "0")}` : `U${hex.padStart(8, "0")}`);
  return `\\${LETTERS[code] ?? number()}`;
}

/** Text in pieces: what is shown as it is, and what `has` says, escaped; each `{ shown, odd }`. */
function pieces(text, has) {
  const made = [];
  let plain = "";
  for (const character of text) {
    if (!has.test(character)) {
      plain += character;
      continue;
    }
    if (plain) made.push({ shown: plain, odd: false });
    plain = "";
    made.push({ shown: escaped(character), odd: ODD.test(character) });
  }
  if (plain) made.push({ shown: plain, odd: false });
  return made;
}

const ESCAPED = new RegExp(`${ODD.source}|[\\\\]`, "u");
const ESCAPED_IN_QUOTES = new RegExp(`${ODD.source}|[\\\\']`, "u");

/** One argument as bash reads it back, in pieces; the first word of a command is quoted at a `=` too. */
function word(argument, first) {
  if (BARE.test(argument) && !(first && argument.includes("="))) return [{ shown: argument, odd: false }];
  if (!ODD.test(argument) && !argument.includes("'")) return [{ shown: `'${argument}'`, odd: false }];
  return [{ shown: "$'", odd: false }, ...pieces(argument, ESCAPED_IN_QUOTES), { shown: "'", odd: false }];
}

function marked(made) {
  return made.map(({ shown, odd }) => (odd ? el("span", { class: "odd", title: "a character that is not shown as it is" }, shown) : shown));
}

/** A sentence, a path or a name: odd characters escaped and marked, every backslash doubled. */
export function visible(text) {
  return marked(pieces(text, ESCAPED));
}

/** Text of several lines, such as a policy's. */
export function visibleLines(text) {
  return text.split("\n").flatMap((one, at) => [...(at ? ["\n"] : []), ...visible(one)]);
}

const EACH_ODD = new RegExp(ODD.source, "gu");

/** Text of a screen, one character for each: what could move its neighbours is a dot. */
export function harmless(text) {
  return text.replace(EACH_ODD, (character) => (character === "\u{a0}" ? " " : "·"));
}

/** The whole command line, exactly, to be pasted into a shell. It has no odd characters. */
export function copyable(argv) {
  return argv.map((argument, at) => word(argument, at === 0).map(({ shown }) => shown).join("")).join(" ");
}

/** A command, quoted as `copyable` does; a long argument folds, outside its quotes, with how much is left out. */
export function command(argv) {
  const box = el("pre", { class: "command" });
  argv.forEach((argument, at) => {
    if (at > 0) box.append(" ");
    const made = el("span", { class: at === 0 ? "tool" : "word" });
    const whole = () => marked(word(argument, at === 0));
    const characters = argument.length > FOLD + TAIL ? [...argument] : [];
    const left = characters.length - FOLD - TAIL;
    if (left > 0) {
      const more = el("button", { type: "button", class: "button small more" }, count(left, "more character"));
      more.addEventListener("click", () => made.replaceChildren(...whole()));
      made.append(...marked(word(characters.slice(0, FOLD).join(""), true)), " … ", more, " … ", ...marked(word(characters.slice(-TAIL).join(""), true)));
    } else made.append(...whole());
    box.append(made);
  });
  return box;
}

/** The command on one line, for lists: its beginning, and how much more there is. It has no odd characters. */
export function line(argv, most = 160) {
  const text = copyable(argv);
  return text.length > most ? `${text.slice(0, most)}… (${count(text.length - most, "more character")})` : text;
}

/** A number with what it counts: `1 command`, `2 commands`. `more` is the word for several. */
export function count(number, one, more = `${one}s`) {
  return `${number.toLocaleString()} ${number === 1 ? one : more}`;
}

/** A length of time in words. */
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** How long a command took. */
export function duration(ms) {
  if (ms === null || ms === undefined) return "";
  return ms < 1000 ? `${ms} ms` : ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : span(ms);
}

/** A moment in the reader's own zone, the day left out where it is today. */
export function moment(ms) {
  const at = new Date(ms);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const today = at.toDateString() === new Date().toDateString();
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return el("time", { datetime: at.toISOString(), title: at.toISOString() }, today ? clock : `${day} ${clock}`);
}

/** A time that counts: `ago` or for how long `since`, or left until. */
export function counting(ms, kind) {
  const made = el("span", { class: "counting", data: { ms, kind } });
  tick(made);
  return made;
}

function tick(made) {
  const distance = Date.now() - Number(made.dataset.ms);
  made.textContent = made.dataset.kind === "ago" ? `${span(distance)} ago` : made.dataset.kind === "since" ? `for ${span(distance)}` : distance >= 0 ? "expired" : `${span(-distance)} left`;
}

setInterval(() => document.querySelectorAll(".counting").forEach(tick), 1000);

/** Who asked, in a few words. */
export function caller(who) {
  const parts = [];
  if (who.uid !== null && who.uid !== undefined) parts.push(`uid ${who.uid}`);
  if (who.pid !== null && who.pid !== undefined) parts.push(`pid ${who.pid}`);
  if (who.container) parts.push(`container ${who.container.name} (${who.container.image})`);
  if (who.prisoner) parts.push(`prisoner ${who.prisoner.slice(0, 8)}`);
  return parts.length ? visible(parts.join(", ")) : "unknown";
}
