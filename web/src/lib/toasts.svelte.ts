/** Short confirmations at the edge of the page. */

export interface Toast {
  id: number;
  kind: "good" | "bad";
  text: string;
  /** Takes back what was done. */
  undo?: () => void;
}

const SHOWN_MS = 6_000;

class Toasts {
  shown = $state<Toast[]>([]);
  private next = 1;

  say(text: string, options: { kind?: Toast["kind"]; undo?: () => void } = {}): void {
    const toast: Toast = { id: this.next++, kind: options.kind ?? "good", text };
    if (options.undo) toast.undo = options.undo;
    this.shown.push(toast);
    setTimeout(() => this.drop(toast.id), SHOWN_MS);
  }

  drop(id: number): void {
    this.shown = this.shown.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
