// Showing what a prisoner wrote, so that it cannot look like something else; and times.

import { el } from "./dom.js";

/** Characters that a screen acts on or does not show: controls, directions, joiners, blanks that are none. */
const ODD = /[\u0000-\u001f\u007f-\u009f\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffd\u{e0000}-\u{e0fff}]/gu;
const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;
/** Characters of one argument that are shown at first. */
const FOLD = 600;

function named(character) {
  const short = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\u001b": "\\e" }[character];
  return short ?? `\\u{${character.codePointAt(0).toString(16)}}`;
}

/** Text with odd characters named and marked. */
export function visible(text) {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(ODD)) {
    parts.push(text.slice(from, found.index));
    parts.push(el("span", { class: "odd", title: "a character that is not shown as it is" }, named(found[0])));
    from = found.index + found[0].length;
  }
  parts.push(text.slice(from));
  return parts.filter((part) => part !== "");
}

/** An argument as a shell would have to be given it. */
export function quoted(argument) {
  if (PLAIN.test(argument)) return argument;
  if (argument.search(ODD) < 0) return `'${argument.replaceAll("'", "'\\''")}'`;
  const inner = argument.replace(/[\\']/g, "\\$&").replace(ODD, (found) => {
    const code = found.codePointAt(0);
    return code < 0x80 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
  });
  return `$'${inner}'`;
}

/** The whole command line, exactly, to be pasted into a shell. */
export function copyable(argv) {
  return argv.map(quoted).join(" ");
}

/** A command, each argument told from the next; long ones fold, with their length. */
export function command(argv) {
  const box = el("pre", { class: "command" });
  argv.forEach((argument, at) => {
    if (at > 0) box.append(" ");
    const needs = !PLAIN.test(argument);
    const folded = argument.length > FOLD;
    const shown = folded ? argument.slice(0, FOLD) : argument;
    const word = el("span", { class: at === 0 ? "tool" : "word" });
    word.append(needs ? "'" : "", ...visible(shown));
    if (folded) {
      const more = el("button", { type: "button", class: "button small more" }, `${(argument.length - FOLD).toLocaleString()} more characters`);
      more.addEventListener("click", () => more.replaceWith(...visible(argument.slice(FOLD))));
      word.append(" … ", more);
    }
    word.append(needs ? "'" : "");
    box.append(word);
  });
  return box;
}

/** The command on one line, for lists. */
export function line(argv, most = 160) {
  const text = copyable(argv);
  return text.length > most ? `${text.slice(0, most)}…` : text;
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

/** A time that counts: `ago` since, or left until. */
export function counting(ms, kind) {
  const made = el("span", { class: "counting", data: { ms, kind } });
  tick(made);
  return made;
}

function tick(made) {
  const distance = Date.now() - Number(made.dataset.ms);
  made.textContent = made.dataset.kind === "ago" ? `${span(distance)} ago` : distance >= 0 ? "expired" : `${span(-distance)} left`;
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
