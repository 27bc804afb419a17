"use strict";
// Tables sort on a click on a heading; without this they are in a useful order already.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
  };
  const compare = (a, b) => {
    if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1; // what is not known stays below
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  };
  heads.forEach((head, column) => {
    if (head.textContent.trim() === "") return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const next = before === "ascending" ? "descending" : before === "descending" ? null : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      const sign = next === "descending" ? -1 : 1;
      const rows = [...original];
      if (next) {
        head.setAttribute("aria-sort", next);
        rows.sort((one, two) => {
          const a = valueOf(one, column), b = valueOf(two, column);
          return a === "" || b === "" ? compare(a, b) : sign * compare(a, b);
        });
      }
      body.append(...rows);
    });
  });
}
// Paper has no folds.
const folds = [...document.querySelectorAll("details")];
let shut = [];
addEventListener("beforeprint", () => {
  shut = folds.filter((fold) => !fold.open);
  for (const fold of shut) fold.open = true;
});
addEventListener("afterprint", () => {
  for (const fold of shut) fold.open = false;
});
