// Folds of one prediction open and close together; on paper all of them are open.
const folds = [...document.querySelectorAll("details.lab-fold")];

for (const fold of folds) {
  fold.addEventListener("toggle", () => {
    if (!fold.dataset.group) return;
    for (const other of folds) {
      if (other.dataset.group === fold.dataset.group) other.open = fold.open;
    }
  });
}

let closed = [];
addEventListener("beforeprint", () => {
  closed = folds.filter((fold) => !fold.open);
  for (const fold of closed) fold.open = true;
});
addEventListener("afterprint", () => {
  for (const fold of closed) fold.open = false;
});

// A link to a claim opens it.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) target.open = true;
}
addEventListener("hashchange", openTarget);
openTarget();
