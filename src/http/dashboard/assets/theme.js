/**
 * The theme, before anything is painted: as the system has it, or as this person chose.
 */
{
  /** @type {string | null} */
  let chosen = null;
  try {
    chosen = localStorage.getItem("tq-theme");
  } catch {
    // Storage is off: the system's theme it is.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
