"use strict";
// Without a script, tables cannot be sorted or filtered: what does so is made here, and pages are small.
const DARKEST = 55; // per cent of the colour in the darkest shade, on which text is still easy to read
const element = (name, attributes = {}, ...content) => {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...content);
  return made;
};
// Numbers to the right, each with its interval on a line below it; headers say what they are headers of.
const CELL = /^(\S+) (\[.+\])(.*)$/s;
for (const table of document.querySelectorAll("table:not(.predictions)")) {
  const headers = [...table.tHead.rows[0].cells];
  const numeric = headers.map((header) => header.classList.contains("number"));
  for (const header of headers) header.scope = "col";
  for (const row of table.tBodies[0].rows) {
    for (const [column, cell] of [...row.cells].entries()) {
      if (cell.tagName === "TH") cell.scope = "row";
      else if (numeric[column]) dress(cell);
    }
  }
}
function dress(cell) {
  const [, value, interval, rest] = cell.textContent.trim().match(CELL) ?? [];
  cell.classList.add("number");
  if (interval) cell.replaceChildren(value, " ", element("i", {}, interval), rest);
}
const choice = (name, options, attributes) => {
  const list = [element("option", { value: "" }, "all"), ...options.map((text) => element("option", {}, text))];
  return element("label", {}, `${name} `, element("select", attributes, ...list));
};
const toolsOf = (table) => {
  const [headers, rows] = [[...table.tHead.rows[0].cells], [...table.tBodies[0].rows]];
  for (const header of headers) header.replaceChildren(element("button", { type: "button" }, header.textContent.trim()));
  if (rows.length < 2) return;
  const search = element("input", { type: "search", "data-filters": table.id, placeholder: "all words must match" });
  const parts = [element("label", {}, "Filter rows ", search)];
  const block = document.querySelector(`script[data-scopes="${table.id}"]`);
  const scopes = block ? Object.keys(JSON.parse(block.textContent)).map((key) => JSON.parse(key)) : [];
  ["source", "target"].forEach((name, at) => {
    const labels = [...new Set(scopes.map((scope) => scope[at]).filter(Boolean))];
    if (labels.length) parts.push(choice(name, labels, { "data-table": table.id, "data-scope": name }));
  });
  for (const column of table.dataset.filtered?.split(" ") ?? []) {
    const texts = [...new Set(rows.map((row) => row.cells[column].textContent.trim()).filter(Boolean))].sort();
    const attributes = { "data-table": table.id, "data-column": column };
    if (texts.length > 1) parts.push(choice(headers[column].textContent, texts, attributes));
  }
  parts.push(element("output", { "aria-live": "polite", "data-counts": table.id }));
  table.parentElement.before(element("p", { class: "tools" }, ...parts));
};
document.querySelectorAll("table.data").forEach(toolsOf);
for (const box of document.querySelectorAll(".scroll:not([role])")) {
  const name = box.querySelector("caption")?.textContent ?? box.closest("figure").querySelector("figcaption").textContent;
  const attributes = { tabindex: "0", role: "region", "aria-label": `${name.trim()}, scrollable` };
  for (const [attribute, value] of Object.entries(attributes)) box.setAttribute(attribute, value);
}
// A heatmap is the cells of a table, shaded by their values: from the lowest, or around zero for differences.
for (const table of document.querySelectorAll("table[data-shades]")) {
  const [first, end, signed] = table.dataset.shades.split(" ");
  const cells = [...table.tBodies[0].rows].flatMap((row) => [...row.cells].slice(first, end));
  const known = cells.map((cell) => [cell, parseFloat(cell.textContent)]).filter(([, value]) => isFinite(value));
  const values = known.map(([, value]) => (signed ? Math.abs(value) : value));
  const low = signed ? 0 : Math.min(...values);
  const span = Math.max(...values) - low || 1;
  for (const [cell, value] of known) {
    const share = ((signed ? Math.abs(value) : value) - low) / span;
    cell.style.setProperty("--shade", (DARKEST * share).toFixed(1));
    cell.classList.add("shaded");
    cell.classList.toggle("below", Boolean(signed) && value < 0);
  }
}

{% include "report.js" %}

// Choose the source and the target that a leaderboard ranks over, and rows by the entry of a column.
for (const table of document.querySelectorAll("table.data")) {
  const selects = [...document.querySelectorAll(`select[data-table="${table.id}"]`)];
  const block = document.querySelector(`script[data-scopes="${table.id}"]`);
  const scopes = block ? JSON.parse(block.textContent) : null;
  const body = table.tBodies[0];
  const everything = [...body.rows];
  const counter = document.querySelector(`output[data-counts="${table.id}"]`);
  const places = new Map([...table.tHead.rows[0].cells].map((header, column) => [header.textContent.trim(), column]));
  const SCORE = places.has("rank") ? 2 : 1;
  // a line of a scope: the number of its row over all pairs, and the entries in which it may differ
  const made = ([index, rank, numbers, front = 0, others = {}]) => {
    const row = everything[index].cloneNode(true);
    const put = (name, entry) => places.has(name) && row.cells[places.get(name)].replaceChildren(entry);
    const [text, low, high] = numbers.split(" ");
    const cell = row.cells[SCORE];
    put("rank", rank);
    put("front", front ? "yes" : "");
    for (const [name, entry] of Object.entries(others)) put(name, entry);
    cell.textContent = high ? `${text} [${low}, ${high}]` : text;
    cell.className = text === "void" ? "void" : rank.replace("=", "") === "1" ? "best" : "";
    dress(cell);
    return row;
  };
  let shared = "";
  const value = (name) => selects.find((select) => select.dataset.scope === name)?.value ?? "";
  const apply = (event) => {
    if (event.target.dataset.scope) {
      const key = JSON.stringify([value("source"), value("target")]);
      const scope = key === '["",""]' ? { rows: [] } : (scopes[key] ?? { rows: [] });
      body.replaceChildren(...(key === '["",""]' ? everything : scope.rows.map(made)));
      const facts = [scope.N && `N = ${scope.N} images`, scope.pairs && `${scope.pairs} ${scope.pairs === 1 ? "pair" : "pairs"}`];
      shared = facts.filter(Boolean).map((fact) => `, ${fact}`).join("");
      const sorted = table.tHead.querySelector("[aria-sort]");
      if (sorted) sortBy(sorted, sorted.getAttribute("aria-sort"));
    }
    const wanted = selects.filter((select) => select.dataset.column && select.value);
    const matches = (row) => wanted.every((select) => row.cells[select.dataset.column].textContent.trim() === select.value);
    for (const row of body.rows) row.classList.toggle("left-out", !matches(row));
    const count = [...body.rows].filter((row) => !row.hidden && !row.classList.contains("left-out")).length;
    counter.textContent = count ? `${count} ${count === 1 ? "row" : "rows"}${shared}` : "nothing was measured for this choice";
  };
  selects.forEach((select) => select.addEventListener("change", apply));
}
