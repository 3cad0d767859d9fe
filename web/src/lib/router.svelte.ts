/** The address bar: paths are pages, the query holds what a page shows. */

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

export function withQuery(path: string, query: URLSearchParams): string {
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** Fills `:name` parts of a pattern from a path; null where it does not fit. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split("/").filter(Boolean);
  const given = path.split("/").filter(Boolean);
  if (wanted.length !== given.length) return null;
  const found: Record<string, string> = {};
  for (const [at, part] of wanted.entries()) {
    const value = given[at] ?? "";
    if (part.startsWith(":")) found[part.slice(1)] = decoded(value);
    else if (part !== value) return null;
  }
  return found;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A path of parts that may hold anything. */
export function href(...parts: string[]): string {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

export const router = new Router();
