// The queue: what waits for a person, and answering it.

import { announce, busy, button, dialog, el, field } from "./dom.js";
import { post, get, query } from "./api.js";
import { copyable, count, visible } from "./show.js";
import { brief, card } from "./card.js";
import { approveMore } from "./reach.js";
import { answers, listen, refresh, state } from "./state.js";

/** Cards that are made at first, and further ones whenever the last comes near. */
const STEP = 40;
/** Cards that there are at most, without those of answered requests: what is far above is a gap of the same height. */
const MOST = 160;
/** Milliseconds for which an answered request stays to be seen. */
const STAY = 6000;
/** Milliseconds after cards have moved up within which a click was meant for what stood there before. */
const SETTLE = 500;

/** The page as it is now: its cards by id, what is marked, from which on how many may be shown, and how high what is above them was. */
let page = null;

export function show(main) {
  const search = el("input", { type: "search", placeholder: "Filter by command, jail, rule", "aria-label": "Filter", on: { input: () => draw(true) } });
  const bulk = bar();
  const list = el("ol", { class: "queue", "aria-label": "Requests that wait, oldest first" });
  const more = el("div", { class: "more-here" });
  const gap = el("div", { class: "gap" });
  page = { search, bulk, list, more, gap, above: [], start: 0, cards: new Map(), marked: new Set(), most: STEP, current: null, mine: new Set(), moved: -Infinity };
  // A key names its card; a click only a place.
  list.addEventListener("click", (event) => {
    if (event.detail === 0 || performance.now() - page.moved > SETTLE) return;
    event.preventDefault();
    event.stopPropagation();
  }, { capture: true });
  // Keys are for the card that one is in, however one came there.
  list.addEventListener("focusin", (event) => {
    const made = event.target.closest(".request");
    if (made) page.current = made.dataset.id;
  });
  main.append(
    el("div", { class: "page-head" }, el("h1", {}, "Waiting for an answer"), el("span", { class: "grow" }), search),
    bulk.box, gap, list, more,
  );
  const nearing = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting && page) (one.target === more ? down : up)();
  }, { rootMargin: "800px" });
  nearing.observe(more);
  nearing.observe(gap);
  page.again = (place) => {
    // Where it stays near, nobody would tell of it.
    nearing.unobserve(place);
    nearing.observe(place);
  };
  const deaf = listen(() => draw());
  draw();
  return () => {
    deaf();
    nearing.disconnect();
    page = null;
  };
}

function matching() {
  const wanted = page.search.value.trim().toLowerCase();
  if (!wanted) return state.queue;
  return state.queue.filter((entry) => [copyable(entry.argv), entry.jail, entry.rule ?? "", entry.reason].join(" ").toLowerCase().includes(wanted));
}

/** Shows further ones, and lets go of those that are far above. */
function down() {
  const entries = matching();
  if (page.start + page.most >= entries.length) return;
  page.most += STEP;
  const first = page.most > MOST ? page.cards.get(entries[page.start]?.id) : null;
  const next = page.cards.get(entries[page.start + STEP]?.id);
  if (first && next) {
    page.above.push(next.offsetTop - first.offsetTop);
    page.start += STEP;
    page.most -= STEP;
  }
  draw(false, true);
  page.again(page.more);
}

/** Shows what is above again, and lets go of what is far below. */
function up() {
  if (!page.start) return;
  page.start -= STEP;
  page.most = Math.min(MOST, page.most + STEP);
  page.above.pop();
  draw(false, true);
  page.again(page.gap);
}

/** `windowed`: cards come and go at the ends, and those between stay where they are. */
function draw(fresh = false, windowed = false) {
  const entries = matching();
  if (fresh || page.start >= Math.max(1, entries.length)) Object.assign(page, { most: STEP, start: 0, above: [] });
  page.gap.style.height = `${page.above.reduce((sum, height) => sum + height, 0)}px`;
  const shown = entries.slice(page.start, page.start + page.most);
  const ids = new Set(shown.map((entry) => entry.id));
  const waiting = new Set(state.queue.map((entry) => entry.id));
  for (const [id, made] of page.cards) {
    if (ids.has(id) || made.dataset.gone) continue;
    if (waiting.has(id) || state.live !== "on") drop(id, !windowed || !waiting.has(id));
    else answered(id, made);
  }
  let before = null;
  for (const entry of shown) {
    let made = page.cards.get(entry.id);
    if (!made) {
      made = card(entry, acts(entry.id));
      page.cards.set(entry.id, made);
      if (before) before.after(made);
      else page.list.prepend(made);
    }
    made.refresh?.(entry);
    before = made;
  }
  for (const id of page.marked) if (!waiting.has(id)) page.marked.delete(id);
  bulk();
  const below = entries.length - page.start - shown.length;
  page.more.textContent = below > 0 ? `${below.toLocaleString()} more below` : "";
  const nothing = !page.cards.size;
  page.list.hidden = nothing;
  page.empty?.remove();
  if (nothing && state.status) {
    page.empty = el("div", { class: "empty card" },
      el("h2", {}, state.queue.length ? "Nothing matches the filter" : "Nothing waits"),
      el("p", {}, state.queue.length ? "" : "When an agent runs a command that your policy asks about, it stands here until somebody answers."));
    page.list.after(page.empty);
  }
}

function acts(id) {
  return {
    approve: (pressed) => {
      const needs = state.queue.find((entry) => entry.id === id)?.approvals?.reason_required;
      if (needs) approveWith(id);
      else answer(id, "approve", {}, pressed);
    },
    more: approveMore,
    deny: () => deny([id]),
    mark: (on) => {
      if (on) page.marked.add(id);
      else page.marked.delete(id);
      bulk();
    },
  };
}

function drop(id, moves = true) {
  page.cards.get(id)?.remove();
  if (moves) page.moved = performance.now();
  page.cards.delete(id);
  if (page.current === id) page.current = null;
}

/** A request that is no longer waiting: says what became of it, and goes after a while. */
async function answered(id, made) {
  made.dataset.gone = "yes";
  const told = made.querySelector(".outcome");
  told.textContent = "Answered";
  made.classList.add("gone");
  setTimeout(() => {
    if (!page || page.cards.get(id) !== made) return;
    drop(id);
    draw();
  }, STAY);
  const words = { approved: "Approved", denied: "Denied", expired: "Expired: nobody answered in time", caller_left: "The caller left" };
  const say = (word, who, why) => {
    told.replaceChildren(...visible(`${words[word] ?? word}${who ? ` by ${who}` : ""}${why ? `: ${why}` : ""}`));
    made.classList.add(word === "approved" ? "good" : "bad");
  };
  const heard = answers.get(id);
  if (heard) {
    say(heard.event, heard.approver, heard.reason);
    return;
  }
  try {
    const { entries: [entry] } = await get(query("/api/history", { id, limit: 1 }));
    if (entry?.outcome) say(entry.outcome, entry.approver, entry.answer);
  } catch {
    // Who answered stands in the history in any case.
  }
}

async function answer(id, verdict, body, pressed) {
  await busy(pressed, async () => {
    const told = await post(`/api/queue/${id}/${verdict}`, body);
    const made = page?.cards.get(id);
    if (told.progress) {
      // Others are wanted: it goes on waiting.
      made?.querySelector(".outcome").replaceChildren(...visible(`Your yes counts: ${told.progress}`));
      announce(`Your yes counts: ${told.progress}`);
    } else if (made) {
      made.dataset.gone = "yes";
      made.classList.add("gone", verdict === "approve" ? "good" : "bad");
      const kept = told.delivered ? "" : "; its caller has gone, so this holds for the next identical command";
      made.querySelector(".outcome").textContent = `${verdict === "approve" ? "Approved" : "Denied"} by you${kept}`;
      announce(`${verdict === "approve" ? "Approved" : "Denied"}`);
      setTimeout(() => page?.cards.get(id) === made && (drop(id), draw()), STAY);
    }
    await refresh();
  });
}

/** Asks why it may run, where its rule wants to know. */
function approveWith(id) {
  const reason = el("textarea", { maxlength: "2000", placeholder: "For example: the change was reviewed in #214" });
  dialog("Approve this command", (close) => {
    const act = button("Approve", "first", () => busy(act, async () => {
      const told = await post(`/api/queue/${id}/approve`, { reason: reason.value.trim() || null });
      await refresh();
      close();
      announce(told.progress ? `Your yes counts: ${told.progress}` : "Approved");
    }));
    return [
      field("Why it may run: for the record, and for the others who are asked", reason),
      el("div", { class: "dialog-end", data: { problems: "" } }, button("Cancel", "", close), act),
    ];
  });
  reason.focus();
}

function deny(ids) {
  const reason = el("textarea", { maxlength: "2000", placeholder: "For example: use the lockfile; do not install new packages" });
  dialog(ids.length === 1 ? "Deny this command" : `Deny ${ids.length} commands`, (close) => {
    const act = button("Deny", "kill", () => busy(act, async () => {
      const body = { reason: reason.value.trim() || null };
      for (const id of ids) await post(`/api/queue/${id}/deny`, body);
      page?.marked.clear();
      await refresh();
      close();
      announce("Denied");
    }));
    return [
      field("What the agent is told, so that it can act on it", reason),
      el("div", { class: "dialog-end", data: { problems: "" } }, button("Cancel", "", close), act),
    ];
  });
  reason.focus();
}

/** The bar of what is marked. It is made once: a button that is made anew loses the focus, and a press that has begun. */
function bar() {
  const told = el("strong", { class: "grow" });
  const none = button("None", "quiet", () => {
    for (const id of page.marked) page.cards.get(id)?.querySelector('input[type="checkbox"]')?.click();
    page.marked.clear();
    bulk();
  });
  const approve = button("", "good", () => together([...page.marked]));
  const refuse = button("", "bad", () => deny([...page.marked]));
  return { box: el("div", { class: "bulk card", hidden: true }, told, none, approve, refuse), told, approve, refuse };
}

function bulk() {
  const { box, told, approve, refuse } = page.bulk;
  const { size } = page.marked;
  box.hidden = size === 0;
  if (!size) return;
  told.textContent = `${size} marked`;
  approve.textContent = `Approve ${size}`;
  refuse.textContent = `Deny ${size}…`;
}

function together(ids) {
  const entries = ids.map((id) => state.queue.find((entry) => entry.id === id)).filter(Boolean);
  const reason = el("textarea", { maxlength: "2000" });
  const needs = entries.some((entry) => entry.approvals?.reason_required);
  const item = (entry) => el("li", { class: "stack tight" }, brief(entry));
  const list = el("ol", { class: "plain-list" }, entries.map(item));
  dialog(`Approve ${count(entries.length, "command")}`, (close) => {
    const act = button(entries.length === 1 ? "Approve it" : `Approve all ${entries.length}`, "first", () => busy(act, async () => {
      const failed = [];
      let counted = 0;
      for (const entry of entries.splice(0)) {
        try {
          const told = await post(`/api/queue/${entry.id}/approve`, { reason: reason.value.trim() || null });
          if (told.progress) counted += 1;
          page?.marked.delete(entry.id);
        } catch (error) {
          failed.push([entry, error]);
        }
      }
      // Those that failed can be tried again, with a reason for example.
      entries.push(...failed.map(([entry]) => entry));
      act.textContent = entries.length === 1 ? "Approve the one that is left" : `Approve the ${entries.length} that are left`;
      list.replaceChildren(...entries.map(item));
      await refresh();
      if (failed.length) throw new Error(failed.map(([entry, error]) => `${entry.short}: ${error.message}`).join("; "));
      close();
      announce(counted ? `Approved; ${counted} ${counted === 1 ? "waits" : "wait"} for others as well` : "Approved");
    }));
    return [
      list,
      needs ? field(entries.length === 1 ? "Why it may run: it needs a reason" : "Why they may run: some of them need a reason", reason) : null,
      el("div", { class: "dialog-end", data: { problems: "" } }, button("Cancel", "", close), act),
    ];
  });
}

/** Keys: j, k, a, A, d, x, c. */
export function key(event) {
  if (!page) return;
  const cards = [...page.list.children].filter((made) => !made.dataset.gone);
  const at = cards.findIndex((made) => made.dataset.id === page.current);
  const go = (to) => {
    const made = cards[Math.max(0, Math.min(cards.length - 1, to))];
    if (!made) return;
    page.current = made.dataset.id;
    made.focus();
    made.scrollIntoView({ block: "nearest" });
  };
  const made = cards[at];
  if (event.key === "j") go(at + 1);
  else if (event.key === "k") go(at < 0 ? 0 : at - 1);
  else if (made && event.key === "a") made.querySelector(".approve")?.click();
  else if (made && event.key === "A") made.querySelector(".more")?.click();
  else if (made && event.key === "d") made.querySelector(".deny")?.click();
  else if (made && event.key === "x") made.querySelector('input[type="checkbox"]')?.click();
  else if (made && event.key === "c") made.querySelector(".copy").click();
  else return;
  event.preventDefault();
}
