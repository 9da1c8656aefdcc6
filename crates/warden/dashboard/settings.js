// How this browser likes the page. Kept here alone; the warden is told nothing of it.

import { button, dialog, el, field } from "./dom.js";
import { about } from "./session.js";

const KEY = "clawrden";

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

/** The settings: `theme` (`light`, `dark` or empty for the system's), `sound`, `notify`. */
export const wanted = { theme: "", sound: false, notify: false, ...read() };

function apply() {
  if (wanted.theme) document.documentElement.dataset.theme = wanted.theme;
  else delete document.documentElement.dataset.theme;
}

function keep(name, value) {
  wanted[name] = value;
  apply();
  try {
    localStorage.setItem(KEY, JSON.stringify(wanted));
  } catch {
    // A browser that keeps nothing shows it as chosen until it is closed.
  }
}

export function settings() {
  dialog("Settings", (close) => {
    const theme = el("select", { on: { change: () => keep("theme", theme.value) } },
      [["", "as the system"], ["light", "light"], ["dark", "dark"]].map(([value, text]) => el("option", { value, selected: wanted.theme === value }, text)));
    const sound = el("input", { type: "checkbox", checked: wanted.sound, on: { change: () => keep("sound", sound.checked) } });
    const notify = el("input", { type: "checkbox", checked: wanted.notify, on: { change: async () => {
      const granted = !notify.checked || (await window.Notification?.requestPermission()) === "granted";
      notify.checked &&= granted;
      keep("notify", notify.checked);
      refused.hidden = granted;
    } } });
    const refused = el("p", { class: "problem", hidden: true }, "The browser does not allow notifications for this page; allow them in its site settings.");
    return [
      about(),
      field("Colours of this browser", theme),
      el("label", { class: "check" }, sound, "A sound for a new request"),
      el("label", { class: "check" }, notify, "A notification for a new request while the page is not in front"),
      refused,
      el("div", { class: "dialog-end" }, button("Close", "first", close)),
    ];
  });
}

apply();
