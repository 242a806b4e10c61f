// Tables sort at a click on a column's name, filter by words, and show further columns on demand.
"use strict";
for (const box of document.querySelectorAll("div.table")) {
  const table = box.querySelector("table.sortable");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const count = box.querySelector(".count");
  const value = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
  };
  // Empty cells come last in either direction.
  const compare = (column, sign) => (one, other) => {
    const a = value(one, column), b = value(other, column);
    if (a === "" || b === "") return (a === "") - (b === "");
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b), "en", { numeric: true });
  };
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      // Numbers start with the largest, text with A.
      const first = head.classList.contains("number") ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      body.append(...rows.sort(compare(column, order === "ascending" ? 1 : -1)));
    });
  });
  if (!box.querySelector(".tools")) continue;
  const filter = box.querySelector("input[type=search]");
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} rows`;
  };
  filter.addEventListener("input", show);
  show();
  const more = box.querySelector("input.more");
  if (more) more.addEventListener("change", () => table.classList.toggle("all", more.checked));
}
