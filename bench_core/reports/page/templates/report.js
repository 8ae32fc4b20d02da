"use strict";
// Sort a table by a column: empty entries last, ties in their original order. Filter rows by words.
const originalPlaces = new WeakMap(); // of rows, also of those that another script puts into a table
function sortBy(header, direction) {
  const table = header.closest("table");
  const body = table.tBodies[0];
  const column = header.cellIndex;
  const numbers = header.classList.contains("number");
  const sign = direction === "descending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  const value = (row) => row.cells[column].dataset.sort ?? row.cells[column].firstChild?.textContent.trim() ?? "";
  const order = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const [first, second] = [x, y].map((text) => (numbers ? parseFloat(text.replaceAll(",", "")) : NaN));
    return sign * (!isNaN(first) && !isNaN(second) ? first - second : x.localeCompare(y, "en", { numeric: true }));
  };
  const rows = [...body.rows];
  const next = Math.max(-1, ...rows.map((row) => originalPlaces.get(row) ?? -1)) + 1;
  rows.forEach((row, index) => originalPlaces.has(row) || originalPlaces.set(row, next + index));
  rows.sort((a, b) => originalPlaces.get(a) - originalPlaces.get(b));
  body.append(...rows.sort(order));
}
for (const header of document.querySelectorAll("table.data thead th")) {
  header.querySelector("button").addEventListener("click", () => {
    // the first click sorts numbers from the highest and texts from A, the next one reverses the order
    const first = header.classList.contains("number") ? "ascending" : "descending";
    sortBy(header, (header.getAttribute("aria-sort") ?? first) === "ascending" ? "descending" : "ascending");
  });
}
for (const input of document.querySelectorAll("input[data-filters]")) {
  const body = document.getElementById(input.dataset.filters).tBodies[0];
  const counter = document.querySelector(`output[data-counts="${input.dataset.filters}"]`);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    const rows = [...body.rows];
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      count += row.hidden || row.classList.contains("left-out") ? 0 : 1; // left out: by another script
    }
    counter.textContent = words.length ? `${count} of ${rows.length} rows` : "";
  });
}
// The table of contents marks the part of the page that is in sight.
const contents = document.querySelector("nav");
const links = [...(contents?.querySelectorAll("a") ?? [])];
const part = (link) => {
  const target = document.getElementById(link.hash.slice(1));
  return target.closest("details") ?? target; // what is folded has no place of its own
};
const mark = () => {
  const shown = links.filter((link) => link.getClientRects().length); // narrow screens hide some
  const top = (link) => part(link).getBoundingClientRect().top;
  let current = shown.findLast((link) => top(link) < innerHeight / 3) ?? shown[0];
  if (innerHeight + scrollY > document.documentElement.scrollHeight - 2) {
    // the last parts cannot come to the top: the one that was asked for, if it is in sight, or the very last
    current = shown.find((link) => link.hash === location.hash && top(link) >= 0) ?? shown.at(-1);
  }
  if (!current || current.hasAttribute("aria-current")) return;
  links.forEach((link) => link.removeAttribute("aria-current"));
  current.setAttribute("aria-current", "location");
  contents.scrollTo(current.offsetLeft - contents.clientWidth / 2, current.offsetTop - contents.clientHeight / 2);
};
for (const event of ["scroll", "resize"]) addEventListener(event, mark, { passive: true });
mark();
// Browsers open a folded table that a link leads to or a search finds; older ones need help, as they do to print it.
const unfold = () => {
  const folded = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("details:not([open])");
  if (folded) folded.open = true;
};
addEventListener("hashchange", unfold);
unfold();
let printed = [];
addEventListener("beforeprint", () => {
  printed = [...document.querySelectorAll("details:not([open])")];
  for (const folded of printed) folded.open = true;
});
addEventListener("afterprint", () => {
  for (const folded of printed) folded.open = false;
});
// A search scrolls a long table to a row that is not shown: show all rows, with this one where it is.
for (const region of document.querySelectorAll(".long")) {
  region.addEventListener("scroll", () => {
    const [box, below] = [region.nextElementSibling.querySelector("input"), region.scrollTop];
    if (box.checked || below === 0) return;
    box.checked = true;
    scrollBy({ top: below, behavior: "instant" });
  });
}
// One dialog shows the pictures that were clicked, so that no picture is on the page twice. The browser closes it on
// Escape, and returns the focus to the button.
const dialog = document.getElementById("enlarged");
for (const button of document.querySelectorAll("button.images")) {
  button.addEventListener("click", () => {
    const figures = [...button.querySelectorAll("img")].map((shown) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      const picture = new Image();
      picture.src = shown.src;
      picture.alt = "";
      picture.width = shown.naturalWidth * Math.max(1, Math.floor(224 / shown.naturalWidth));
      caption.textContent = shown.alt;
      figure.append(picture, caption);
      return figure;
    });
    dialog.querySelector(".pictures").replaceChildren(...figures);
    dialog.showModal();
  });
}
dialog?.querySelector("button").addEventListener("click", () => dialog.close());
dialog?.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // a click beside its content
});
