// Approving more than one run of a command: for a session, a time, a pattern, what it starts, or always.

import { announce, busy, button, dialog, el, field } from "./dom.js";
import { get, post, query } from "./api.js";
import { brief } from "./card.js";
import { count, line, visible, visibleLines } from "./show.js";
import { refresh } from "./state.js";
import { session } from "./session.js";

const HOUR = 60 * 60 * 1000;
const TIMES = [["1 hour", HOUR], ["2 hours", 2 * HOUR], ["8 hours", 8 * HOUR], ["1 day", 24 * HOUR], ["7 days", 7 * 24 * HOUR]];
const SCOPES = [["once", "this run"], ["session", "every run, as long as this prisoner lives"], ["time", "every run, for a time"]];
/** Words that mean themselves in a pattern. */
const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** The command as a pattern that takes nothing else; nothing where that is not sure. */
function alone(argv) {
  return argv.length > 1 && argv.every((word) => PLAIN.test(word)) ? argv.join(" ") : "";
}

/** Asks for what an approval of `entry` is to be good, and gives it. */
export function approveMore(entry) {
  const scopes = session.role === "admin" ? [...SCOPES, ["always", "always: by a rule in the policy"]] : SCOPES;
  const scope = el("select", {}, scopes.map(([value, text]) => el("option", { value, selected: value === "session" }, text)));
  const time = el("select", {}, TIMES.map(([text, ms]) => el("option", { value: String(ms), selected: ms === 2 * HOUR }, text)));
  const timed = field("For how long", time);
  const wide = el("input", { type: "checkbox" });
  const widely = el("label", { class: "check" }, wide, "every command that a pattern takes, not the very same alone");
  const pattern = el("input", { type: "text", class: "mono", id: "reach-pattern", maxlength: "1024", autocomplete: "off", spellcheck: "false", value: alone(entry.argv), placeholder: "npm install *" });
  const test = button("Test it", "", () => busy(test, () => tried(pattern.value.trim())));
  const found = el("div", { class: "stack tight", role: "status" });
  const patterned = el("div", { class: "stack tight", data: { problems: "" } },
    el("div", { class: "filters" }, el("label", { class: "field wide" }, "Pattern: the tool's name and its arguments; * is any one word", pattern), test));
  const starts = el("input", { type: "checkbox", id: "reach-starts" });
  const startsToo = el("div", { class: "stack tight" }, el("label", { class: "check" }, starts, "and what it starts, as long as it runs"),
    el("p", { class: "soft" }, "What the policy denies stays denied. What it starts: any process below it, in this jail and by the same user; a prisoner can run a command that lives long, and start others below it."));
  const reason = el("input", { type: "text", maxlength: "2000", placeholder: "For the record" });
  /** What was looked at and may be approved: a pattern, or `always`. */
  let agreed = null;
  const isWide = () => wide.checked && ["session", "time"].includes(scope.value);
  const act = button("Approve", "first", () => busy(act, give));

  function draw() {
    const always = scope.value === "always";
    timed.hidden = scope.value !== "time";
    widely.hidden = scope.value === "once" || always;
    patterned.hidden = !isWide();
    startsToo.hidden = always;
    act.disabled = (isWide() && agreed !== pattern.value.trim()) || (always && agreed === null);
    act.textContent = always ? "Write the rule and approve" : "Approve";
  }

  function again() {
    agreed = null;
    found.replaceChildren();
    for (const place of [patterned, act.parentElement]) place?.querySelector(":scope > .problem")?.remove();
    draw();
  }

  async function tried(text) {
    again();
    const told = await get(query(`/api/queue/${entry.id}/pattern`, { pattern: text }));
    if (text !== pattern.value.trim()) return;
    if (told.why === null) agreed = text;
    found.replaceChildren(...taken(told));
    draw();
  }

  async function rule() {
    const told = await post("/api/policy/rules", { id: entry.id, dry_run: true });
    if (scope.value !== "always") return;
    agreed = told.rule;
    found.replaceChildren(el("p", {}, "This rule is written into ", el("code", {}, ...visible(told.file)), ":"),
      el("pre", { class: "command", tabindex: "0" }, ...visibleLines(told.rule)),
      el("p", { class: "soft" }, "It takes ", ...visible(told.wider), ". Remove the file to be asked again."));
  }

  async function give() {
    const why = reason.value.trim() || null;
    if (scope.value === "always") {
      const told = await post("/api/policy/rules", { id: entry.id, reason: why, rule: agreed });
      announce(told.approved ? "Approved for always" : "The rule is written; the request was answered before");
    } else {
      const body = { scope: scope.value, and_what_it_starts: starts.checked, reason: why };
      if (scope.value === "time") body.for_ms = Number(time.value);
      if (isWide()) body.pattern = pattern.value.trim();
      const told = await post(`/api/queue/${entry.id}/approve`, body);
      announce(told.progress ? `Your yes counts: ${told.progress}` : "Approved");
    }
    await refresh();
    box.close();
  }

  scope.addEventListener("change", () => {
    again();
    if (scope.value === "always") busy(act, rule).then(draw);
  });
  wide.addEventListener("change", again);
  pattern.addEventListener("input", again);
  pattern.addEventListener("keydown", (event) => {
    if (event.key === "Enter") test.click();
  });
  const box = dialog("Approve for longer", (close) => [
    el("div", { class: "stack tight" }, brief(entry)),
    field("For", scope),
    timed,
    widely,
    patterned,
    found,
    startsToo,
    field("Why", reason),
    el("div", { class: "dialog-end", data: { problems: "" } }, button("Cancel", "", close), act),
  ]);
  draw();
  scope.focus();
}

/** What a pattern would have taken of the history. */
function taken(told) {
  const times = (one) => `${count(one.times, "time")}${one.denied ? `, denied ${one.denied.toLocaleString()}` : ""}`;
  return [
    told.why === null ? null : el("p", { class: "problem" }, "It cannot be approved here: ", ...visible(told.why), "."),
    el("p", {}, `Of the last ${count(told.looked_at, "request")} it takes, from this folder and by this user${told.complete ? "" : " (there was no time for all)"}: `,
      told.commands.length ? "" : "none."),
    told.commands.length ? el("ul", { class: "plain-list taken", tabindex: "0", "aria-label": "Commands that it takes" },
      told.commands.map((one) => el("li", {}, el("code", {}, line(one.argv)), " ", el("span", { class: one.denied ? "chip bad" : "chip" }, times(one))))) : null,
    told.omitted ? el("p", { class: "soft" }, `And ${count(told.omitted, "further command")}.`) : null,
  ].filter(Boolean);
}
