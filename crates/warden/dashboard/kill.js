// The kill switch: two steps, and what it will hit is shown before.

import { busy, button, dialog, el, field } from "./dom.js";
import { post } from "./api.js";
import { count, line, visible } from "./show.js";
import { refresh, state } from "./state.js";

/** What a stop of everything, or of one jail, would hit. */
function hits(jail) {
  const jails = (state.status?.jails ?? []).filter((one) => !jail || one.name === jail);
  const prisoners = jails.flatMap((one) => one.prisoners);
  return [
    `${count(prisoners.length, "prisoner")}${prisoners.length ? `: ${prisoners.map((one) => line(one.command, 60)).join(", ")}` : ""}`,
    `${count(jails.length, "jail")} (${jails.map((one) => one.name).join(", ") || "none"}) with all ${jails.length === 1 ? "its" : "their"} containers`,
    ...(jail ? [] : [count(state.status?.running ?? 0, "running command")]),
    "every new command, until somebody resumes",
  ];
}

/** Asks how, and then once more. */
export function kill(event, jail = null) {
  const what = jail ? `jail ${jail}` : "everything";
  const reason = el("input", { type: "text", maxlength: "500", autocomplete: "off" });
  dialog(`Stop ${what}`, (close) => {
    const step = (pause) => () => {
      const sure = pause ? `Pause ${what} now` : `End ${what} now`;
      const act = button(sure, "kill", () => busy(act, async () => {
        const report = await post("/api/kill", { pause, reason: reason.value.trim() || null, ...(jail ? { jail } : {}) });
        await refresh();
        close();
        told(report, pause);
      }));
      choice.replaceChildren(button("Back", "", () => { close(); kill(event, jail); }), act);
      act.focus();
    };
    const choice = el("div", { class: "dialog-end", data: { problems: "" } }, button("Cancel", "", close), button("Pause…", "", step(true)), button("End…", "kill", step(false)));
    return [
      el("p", {}, "Ending kills every process of it; pausing freezes them where they stand. It reaches:"),
      el("ul", {}, hits(jail).map((text) => el("li", {}, text))),
      field("Why (goes into the ledger)", reason),
      choice,
    ];
  });
}

/** Takes it back. */
export function resume(which) {
  const what = which.jail ? `jail ${which.jail}` : which.container ? "this container" : "everything";
  dialog(`Resume ${what}`, (close) => {
    const act = button("Resume", "first", () => busy(act, async () => {
      const report = await post("/api/resume", which);
      await refresh();
      close();
      if (report.problems.length) told(report, true);
    }));
    return [
      el("p", {}, "New commands are judged by the policy again. What was ended stays ended; what was paused goes on."),
      el("div", { class: "dialog-end", data: { problems: "" } }, button("Cancel", "", close), act),
    ];
  });
}

function told(report, pause) {
  dialog(pause ? "Paused" : "Stopped", (close) => [
    el("p", {}, `${count(report.processes, "process", "processes")} and ${count(report.containers, "container")} were ${pause ? "reached" : "ended"}.`),
    report.problems.length ? el("ul", { class: "problem" }, report.problems.map((text) => el("li", {}, ...visible(text)))) : null,
    el("div", { class: "dialog-end" }, button("Close", "first", close)),
  ]);
}
