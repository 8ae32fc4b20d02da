"use strict";
// Sorts a table by a column, empty entries last, ties in the order they had; filters rows by words.
for (const table of document.querySelectorAll("table.data")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const first = [...body.rows];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    button.addEventListener("click", () => {
      const turn = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
      const down = head.classList.contains("number") ? turn : (turn === "descending" ? "ascending" : "descending");
      const sign = down === "descending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", turn);
      head.dataset.down = down;
      const value = (row) => row.cells[column].dataset.sort;
      const order = (a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const numeric = head.classList.contains("number") && !isNaN(x) && !isNaN(y);
        return sign * (numeric ? x - y : x.localeCompare(y, "en", { numeric: true }));
      };
      body.append(...first.slice().sort(order));
    });
  });
}
for (const input of document.querySelectorAll("input[data-filters]")) {
  const rows = [...document.getElementById(input.dataset.filters).tBodies[0].rows];
  const counter = document.querySelector(`output[data-counts="${input.dataset.filters}"]`);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    counter.textContent = words.length ? `${count} of ${rows.length} rows` : `${rows.length} rows`;
  });
}
