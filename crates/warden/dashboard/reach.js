// Approving more than one run of a command: for a session, a time, or what it starts.

import { announce, busy, button, dialog, el, field } from "./dom.js";
import { post } from "./api.js";
import { brief } from "./card.js";
import { refresh } from "./state.js";

const HOUR = 60 * 60 * 1000;
const TIMES = [["1 hour", HOUR], ["2 hours", 2 * HOUR], ["8 hours", 8 * HOUR], ["1 day", 24 * HOUR], ["7 days", 7 * 24 * HOUR]];

/** Asks for what an approval of `entry` is to be good, and gives it. */
export function approveMore(entry) {
  const scope = el("select", { "aria-describedby": "reach-scope" },
    [["once", "this run"], ["session", "every run of the same, as long as this prisoner lives"], ["time", "every run of the same, for a time"]]
      .map(([value, text]) => el("option", { value, selected: value === "session" }, text)));
  const time = el("select", {}, TIMES.map(([text, ms]) => el("option", { value: String(ms), selected: ms === 2 * HOUR }, text)));
  const timed = field("For how long", time);
  const starts = el("input", { type: "checkbox", id: "reach-starts" });
  const reason = el("input", { type: "text", maxlength: "2000", placeholder: "For the record" });
  const draw = () => { timed.hidden = scope.value !== "time"; };
  scope.addEventListener("change", draw);
  draw();
  dialog("Approve for longer", (close) => {
    const act = button("Approve", "first", () => busy(act, async () => {
      const body = { scope: scope.value, and_what_it_starts: starts.checked, reason: reason.value.trim() || null };
      if (scope.value === "time") body.for_ms = Number(time.value);
      await post(`/api/queue/${entry.id}/approve`, body);
      await refresh();
      close();
      announce("Approved");
    }));
    return [
      el("div", { class: "stack tight" }, brief(entry)),
      field("For", scope),
      timed,
      el("label", { class: "field", for: "reach-starts" }, el("span", {}, starts, " and what it starts, as long as it runs")),
      el("p", { class: "soft" }, "What the policy denies stays denied. What it starts: any process below it, in this jail and by the same user; a prisoner can run a command that lives long, and start others below it."),
      field("Why", reason),
      el("div", { class: "dialog-end", data: { problems: "" } }, button("Cancel", "", close), act),
    ];
  });
  scope.focus();
}
