// Rules that would have answered what people had to answer: looked at, and taken.

import { announce, busy, button, dialog, el, facts, field } from "./dom.js";
import { get, post, query } from "./api.js";
import { count, line, visible, visibleLines } from "./show.js";
import { refresh } from "./state.js";
import { session } from "./session.js";

/** The box of suggestions; nothing is looked at before somebody asks. */
export function suggestions() {
  if (session.role !== "admin") return "";
  const min = el("select", {}, [2, 3, 5, 10].map((value) => el("option", { value, selected: value === 3 }, `${value} times`)));
  const told = el("div", { class: "stack", role: "status" });
  const look = async () => {
    told.replaceChildren(el("p", { class: "soft" }, "Looking through the history…"));
    try {
      told.replaceChildren(...found(await get(query("/api/policy/suggestions", { min: min.value }))));
    } catch (error) {
      told.replaceChildren();
      throw error;
    }
  };
  const act = button("Look for suggestions", "first", () => busy(act, look));

  function found(told) {
    const head = told.rules.length ? `${count(told.rules.length + told.omitted, "rule")} would have answered what people did.` : "Nothing to suggest.";
    return [
      el("p", { class: "answer" }, head),
      el("p", { class: "soft" }, `${count(told.looked_at, "request")} looked at, ${told.answered.toLocaleString()} of them answered by people.${told.complete ? "" : " There was no time for older ones."}`),
      ...told.rules.map(one),
      told.omitted ? el("p", { class: "soft" }, `${told.omitted} more ${told.omitted === 1 ? "is" : "are"} not shown; clawrden policy suggest has all.`) : "",
    ];
  }

  function one(rule) {
    const copy = button("Copy the rule", "", () => busy(copy, async () => {
      await navigator.clipboard.writeText(rule.rule);
      announce("Copied");
    }));
    return el("section", { class: "suggestion stack tight", "aria-label": "A suggested rule" },
      el("p", {}, el("span", { class: rule.action === "allow" ? "chip good" : "chip bad" }, rule.action), ` would have answered ${count(rule.asks, "ask")}: `, ...visible(rule.by)),
      el("pre", { class: "command", tabindex: "0" }, ...visibleLines(rule.rule)),
      facts([
        ["it takes", el("span", {}, ...visible(rule.wider))],
        ["such as", el("ul", { class: "plain-list" }, rule.examples.map((example) => el("li", {}, el("code", {}, line(example.argv)), el("span", { class: "soft" }, ` ${example.times}×`))))],
        ["not from here", rule.by_hand ? el("span", {}, ...visible(rule.by_hand)) : null],
      ]),
      el("div", { class: "dialog-end", data: { problems: "" } }, copy, rule.by_hand ? null : button("Accept…", "good", () => accept(rule))));
  }

  function accept(rule) {
    const reason = el("input", { type: "text", maxlength: "2000", placeholder: "For the record" });
    dialog("Put this rule in force", (close) => {
      const act = button("Write it", "first", () => busy(act, async () => {
        await post("/api/policy/suggestions", { rule: rule.rule, min: Number(min.value), reason: reason.value.trim() || null });
        await refresh();
        close();
        announce("The rule is in force");
        await look();
      }));
      return [
        el("pre", { class: "command", tabindex: "0" }, ...visibleLines(rule.rule)),
        el("p", {}, "It is written into a file of its own in rules.d. It takes ", ...visible(rule.wider), "."),
        field("Why", reason),
        el("div", { class: "dialog-end", data: { problems: "" } }, button("Cancel", "", close), act),
      ];
    });
  }

  return el("section", { class: "card stack", id: "suggest" }, el("h2", {}, "What people always answer the same"),
    el("p", { class: "soft" }, "Rules that would have answered it; each was tried against the history. Shells, interpreters and what runs other programs get none."),
    el("div", { class: "filters", data: { problems: "" } }, field("Answered at least", min), act), told);
}
