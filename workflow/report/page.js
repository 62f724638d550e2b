// Tables sort by the column that is clicked, numbers by their value.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, table = head.closest("table");
    const column = head.cellIndex, down = head.ariaSort === "ascending";
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const order = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b) * (down ? -1 : 1);
    const rows = [...table.tBodies[0].rows].sort((a, b) => order(key(a), key(b)));
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    table.tBodies[0].append(...rows);
  });
}
// A link into a folded part opens it; paper shows all parts.
const open = (part) => part?.querySelectorAll("details").forEach((each) => (each.open = true));
const follow = () => open(document.getElementById(location.hash.slice(1)));
addEventListener("hashchange", follow);
follow();
addEventListener("beforeprint", () => open(document));
if (matchMedia("(max-width: 40rem)").matches) document.querySelector("nav details").open = false;
