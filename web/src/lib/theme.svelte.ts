/** Light or dark: as the system has it, or as chosen here. */

export type Theme = "system" | "light" | "dark";
const KEY = "tenantry-theme";

function stored(): Theme {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : "system";
}

class Themes {
  choice = $state<Theme>(stored());
  /** What is shown, whoever chose it. */
  shown = $state<"light" | "dark">("light");
  private readonly system = matchMedia("(prefers-color-scheme: dark)");

  constructor() {
    this.system.addEventListener("change", () => this.show());
    this.show();
  }

  choose(theme: Theme): void {
    this.choice = theme;
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
    this.show();
  }

  private show(): void {
    if (this.choice === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.choice;
    const ofSystem = this.system.matches ? "dark" : "light";
    this.shown = this.choice === "system" ? ofSystem : this.choice;
  }
}

export const themes = new Themes();
