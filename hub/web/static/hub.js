"use strict";
// Enhancements only: every page works without this file.

// Rows of a table that carry data-href: arrow keys move, Enter and a click open the story.
const rowOf = (event) => event.target.closest("tr[data-href]");

const move = (row, step) => {
  const rows = [...row.closest("table").querySelectorAll("tr[data-href]")];
  const next = rows[rows.indexOf(row) + step];
  if (next) next.focus();
};

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const row = rowOf(event);
  if (row && event.key === "ArrowDown") { event.preventDefault(); move(row, 1); }
  if (row && event.key === "ArrowUp") { event.preventDefault(); move(row, -1); }
  if (row && event.key === "Enter" && event.target === row) location.assign(row.dataset.href);
});

document.addEventListener("click", (event) => {
  const row = rowOf(event);
  const busy = event.target.closest("a, button, input, label, select, summary, textarea");
  if (!row || busy || window.getSelection().toString()) return;
  if (event.ctrlKey || event.metaKey) window.open(row.dataset.href, "_blank", "noopener");
  else location.assign(row.dataset.href);
});

// Buttons that carry data-copy put the text of that element on the clipboard.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
  button.classList.add("hub-copied");
  setTimeout(() => button.classList.remove("hub-copied"), 2000);
});

// A form is sent once, however often the button is pressed.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  if (event.target.dataset.sent) { event.preventDefault(); return; }
  event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// Fields that carry data-send send their form when they change.
document.addEventListener("change", (event) => {
  if (event.target.dataset.send !== undefined) event.target.form.requestSubmit();
});

// A box that carries data-ticks ticks all boxes of that name in its form.
document.addEventListener("change", (event) => {
  const name = event.target.dataset.ticks;
  if (!name) return;
  for (const box of event.target.form.querySelectorAll(`input[name="${name}"]`)) box.checked = event.target.checked;
});

// Forms that carry data-drops-empty leave empty fields out of the address.
document.addEventListener("htmx:config:request", (event) => {
  const { sourceElement, request } = event.detail.ctx;
  if (sourceElement?.dataset?.dropsEmpty === undefined || !(request.body instanceof FormData)) return;
  for (const [name, value] of [...request.body.entries()]) if (value === "") request.body.delete(name);
});
