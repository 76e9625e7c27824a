/**
 * The switch from the system's theme to a light or a dark one.
 *
 * @module
 */

const ORDER = ["system", "light", "dark"];
const NAMES = { system: "System", light: "Light", dark: "Dark" };

/** Makes the button in the header work. */
export function startThemeSwitch() {
  const button = document.getElementById("theme");
  if (button === null) return;
  let theme = document.documentElement.dataset.theme ?? "system";
  const tell = () => {
    const name = NAMES[/** @type {keyof typeof NAMES} */ (theme)];
    button.textContent = name;
    button.setAttribute("aria-label", `Theme: ${name}`);
    button.title = "Theme: as the system, light or dark";
  };
  button.addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length] ?? "system";
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      if (theme === "system") localStorage.removeItem("tq-theme");
      else localStorage.setItem("tq-theme", theme);
    } catch {
      // Storage is off: it lasts as long as this page.
    }
    tell();
  });
  tell();
}
