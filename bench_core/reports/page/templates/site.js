{% include "report.js" %}

// Choose the source and the target that a leaderboard ranks over, and rows by the entry of a column.
for (const table of document.querySelectorAll("table.data")) {
  const selects = [...document.querySelectorAll(`select[data-table="${table.id}"]`)];
  const block = document.querySelector(`script[data-scopes="${table.id}"]`);
  const scopes = block ? JSON.parse(block.textContent) : null;
  const body = table.tBodies[0];
  const everything = [...body.rows];
  const counter = document.querySelector(`output[data-counts="${table.id}"]`);
  // a line of a scope: the number of its row over all pairs, and the entries in which it may differ
  const made = ([index, rank, text, detail, pairs, front, n, forwards, backwards]) => {
    const row = everything[index].cloneNode(true);
    const put = (column, entry) => entry !== undefined && row.cells[column].replaceChildren(entry);
    [rank, undefined, undefined, n, pairs, forwards, backwards].forEach((entry, at) => put(at + 1, entry));
    put(2, text);
    put(8, front ? "yes" : "");
    row.cells[2].className = rank.replace("=", "") === "1" ? "best" : "";
    if (detail) {
      const small = document.createElement("small");
      small.textContent = detail;
      row.cells[2].append(" ", small);
    }
    return row;
  };
  const value = (name) => selects.find((select) => select.dataset.scope === name)?.value ?? "";
  const apply = (event) => {
    if (event.target.dataset.scope) {
      const key = JSON.stringify([value("source"), value("target")]);
      const rows = key === '["",""]' ? everything : (scopes[key] ?? []).map(made);
      body.replaceChildren(...rows);
      for (const header of table.tHead.rows[0].cells) header.removeAttribute("aria-sort");
    }
    const wanted = selects.filter((select) => select.dataset.column && select.value);
    const matches = (row) => wanted.every((select) => row.cells[select.dataset.column].textContent.trim() === select.value);
    for (const row of body.rows) row.classList.toggle("left-out", !matches(row));
    const count = [...body.rows].filter((row) => !row.classList.contains("left-out")).length;
    counter.textContent = count ? `${count} ${count === 1 ? "row" : "rows"}` : "nothing was measured for this choice";
  };
  selects.forEach((select) => select.addEventListener("change", apply));
}
