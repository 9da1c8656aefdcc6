// One request of the queue, as a card.

import { button, el, facts, redraw } from "./dom.js";
import { mayAnswer } from "./session.js";
import { caller, command, copyable, count, counting, line, visible } from "./show.js";

/** What is said of a command that has no exact form. */
const NOT_WHOLE = "Not shown whole, or secrets in it are marked: what runs has more than is seen here.";

/** What an approver must see of an entry whatever else is shown: where it is from, what would run where, and what is odd about it. */
export function brief(entry) {
  const odd = [...(entry.warnings ?? []), ...entry.noticed].map((text) => el("li", {}, ...visible(text)));
  if (!entry.exact) odd.push(el("li", {}, NOT_WHOLE));
  return [
    el("div", { class: "chips" }, el("span", { class: "chip note" }, ...visible(entry.jail)), el("span", { class: "chip" }, ...where(entry))),
    command(entry.argv),
    odd.length ? el("ul", { class: "noticed" }, odd) : null,
  ];
}

function where(entry) {
  return visible(entry.run_as ? `${entry.executor} as ${entry.run_as}` : entry.executor);
}

/** Whose yes it takes and has: a row for each want, and for each vote with a reason. */
function approvals(entry) {
  if (!entry.approvals) return [];
  const { needs, votes, reason_required: why, confirm_on_page: here } = entry.approvals;
  const rows = needs.map(({ from, count: wanted, given, escalation }) => el("li", {},
    ...visible(`${given.length} of ${count(wanted, "approval")}${given.length ? `: ${given.join(", ")}` : ""}${from.length ? ` (from ${from.join(", ")})` : ""}`),
    ...(escalation ?? []).map(({ to, at_ms: at, reached }) => el("span", { class: "soft" }, " · ", ...visible(to.join(", ")), reached ? " may answer as well by now" : [" may answer as well: ", counting(at, "until")]))));
  const said = votes.filter((vote) => vote.reason).map((vote) => el("li", { class: "soft" }, ...visible(`${vote.person}: ${vote.reason}`)));
  return [...rows, ...said, why ? el("li", { class: "soft" }, "A yes needs a reason.") : null, here ? el("li", { class: "soft" }, "A yes by a chat is a wish, to be confirmed here.") : null];
}

/** What stands where the paths lead that it names. */
function touches({ touches: all = [], touches_more: more }) {
  if (!all.length) return null;
  const kinds = { missing: "not there yet", unclear: "a link to nothing, or hidden" };
  return el("ul", { class: "plain-list touches" }, all.map(({ path, kind }) => el("li", {}, el("code", {}, ...visible(path)), " ", el("span", { class: "chip" }, kinds[kind] ?? kind))),
    more ? el("li", { class: "soft" }, "and further ones") : null);
}

/** The card of an entry; `acts` has `approve`, `more`, `deny` and `mark`. Its `refresh` takes the entry as it is by now. */
export function card(entry, acts) {
  const head = `request-${entry.id}`;
  const approve = button("Approve", "good approve", () => acts.approve(approve), { "aria-describedby": head });
  const more = button("Approve for…", "quiet more", () => acts.more(entry), { "aria-describedby": head });
  const deny = button("Deny…", "bad deny", () => acts.deny(), { "aria-describedby": head });
  const copy = button("Copy", "quiet small copy", async () => {
    await navigator.clipboard.writeText(entry.exact ?? copyable(entry.argv));
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  }, { title: entry.exact ? "Copy the exact command" : "Copy the command as it is shown" });
  const mark = el("input", { type: "checkbox", "aria-label": "Mark for answering together", on: { change: () => acts.mark(mark.checked) } });
  const callers = el("span", { class: "chip" });
  const wanted = el("ul", { class: "wanted plain-list", "aria-label": "Approvals" });
  const left = el("div", { class: "left", role: "presentation" }, el("div", { class: "left-bar" }));
  const made = el("li", { class: "card request", tabindex: "0", data: { id: entry.id }, "aria-labelledby": head },
    el("div", { class: "request-head", id: head },
      mayAnswer() ? mark : null,
      el("span", { class: "chip note" }, ...visible(entry.jail)),
      el("span", { class: "chip" }, ...where(entry)),
      callers,
      el("span", { class: "grow" }),
      el("span", { class: "soft" }, counting(entry.since_ms, "ago"), " · ", counting(entry.expires_ms, "until")),
      el("code", { class: "soft", title: entry.id }, entry.short)),
    el("div", { class: "command-box" }, command(entry.argv), copy),
    entry.warnings?.length ? el("ul", { class: "noticed" }, entry.warnings.map((text) => el("li", {}, ...visible(text)))) : null,
    entry.exact ? null : el("ul", { class: "noticed" }, el("li", {}, NOT_WHOLE)),
    entry.noticed.length ? el("ul", { class: "noticed" }, entry.noticed.map((text) => el("li", {}, ...visible(text)))) : null,
    el("p", { class: "why" }, el("strong", {}, ...visible(entry.reason || "The policy asks")), entry.rule ? el("span", { class: "soft" }, " · ", ...visible(entry.rule)) : null),
    facts([
      ["may touch", touches(entry.context ?? {})],
      ["directory", entry.cwd === null ? null : el("code", {}, ...visible(entry.cwd))],
      ["runs", entry.executable ? el("code", {}, ...visible(entry.executable)) : null],
      ["its sha256", entry.sha256 ? el("code", { class: "sum" }, entry.sha256) : null],
      ["caller", el("span", {}, caller(entry.caller))],
      ["labels", Object.keys(entry.labels).length ? el("span", { class: "chips" }, Object.entries(entry.labels).map(([k, v]) => el("span", { class: "chip" }, ...visible(`${k}=${v}`)))) : null],
      ["started by", entry.context?.parent?.length ? el("code", {}, line(entry.context.parent, 200)) : null],
      ["repository", entry.context?.git_remote || entry.context?.git_branch ? el("span", {}, ...visible([entry.context.git_remote, entry.context.git_branch].filter(Boolean).join(", branch "))) : null],
      ["approved before", entry.context?.approved_before ? count(entry.context.approved_before, "time") : null],
      ["instead", entry.suggest ? el("span", {}, ...visible(entry.suggest)) : null],
    ]),
    wanted,
    left,
    el("div", { class: "answers", data: { problems: "" } }, el("span", { class: "outcome grow", role: "status" }), mayAnswer() ? [deny, more, approve] : null),
  );
  const whole = Math.max(1, entry.expires_ms - entry.since_ms);
  made.refresh = (now) => {
    const parked = now.callers === 0;
    callers.textContent = parked ? "caller has gone: an approval is kept" : now.callers > 1 ? count(now.callers, "caller") : "";
    callers.hidden = !callers.textContent;
    callers.className = parked ? "chip wait" : "chip";
    redraw(wanted, now.approvals ?? null, () => approvals(now));
    wanted.hidden = !now.approvals;
    approve.textContent = now.approvals?.reason_required ? "Approve…" : "Approve";
    const part = Math.max(0, Math.min(1, (now.expires_ms - Date.now()) / whole));
    left.firstChild.style.width = `${(part * 100).toFixed(1)}%`;
    left.classList.toggle("short", part < 0.15);
  };
  made.refresh(entry);
  return made;
}
