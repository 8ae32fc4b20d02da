"use strict";
// Without a script, tables cannot be sorted or filtered: what does so is made here, and pages are small.
const element = (name, attributes = {}, ...content) => {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...content);
  return made;
};
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
      row.cells[2].append(" ", element("i", {}, detail));
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
