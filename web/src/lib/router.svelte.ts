/** The address bar: paths are pages, the query holds what a page shows. */

import { withQuery } from "./path";

class Router {
  path = $state(location.pathname);
  query = $state.raw(new URLSearchParams(location.search));
  /** Counts page changes, not changes of the query. */
  visits = $state(0);

  constructor() {
    addEventListener("popstate", () => this.read());
    document.addEventListener("click", (event) => this.follow(event));
  }

  go(href: string, options: { replace?: boolean } = {}): void {
    if (options.replace) history.replaceState(null, "", href);
    else history.pushState(null, "", href);
    this.read();
  }

  /** Sets or (with null, undefined or "") removes parameters of the query. */
  set(
    change: Record<string, string | null | undefined>,
    options: { replace?: boolean } = {},
  ): void {
    const query = new URLSearchParams(this.query);
    for (const [name, value] of Object.entries(change)) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    this.go(withQuery(this.path, query), options);
  }

  private read(): void {
    const changed = location.pathname !== this.path;
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
    if (changed) {
      this.visits += 1;
      scrollTo(0, 0);
    }
  }

  /** Clicks on links to pages of the console stay in it. */
  private follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (link === null || link.target !== "" || link.hasAttribute("download")) return;
    const url = new URL(link.href, location.href);
    if (url.origin !== location.origin || !isPage(url.pathname) || link.hash !== "") return;
    event.preventDefault();
    this.go(url.pathname + url.search);
  }
}

/** Whether a path is one of the console's, not of the server's documents. */
function isPage(path: string): boolean {
  return !/^\/(v1|openapi\.json|metrics|healthz|readyz)(\/|$)/.test(path);
}

export const router = new Router();
