/** Who is signed in; the session itself is a cookie that scripts cannot read. */

import { api, answered, ok, Problem } from "./api";

type State = "unknown" | "in" | "out";

class Session {
  state = $state<State>("unknown");
  email = $state<string | null>(null);

  /** Asks the server who we are. */
  async ask(): Promise<void> {
    const { data, response } = await api.GET("/v1/auth/me").catch(() => {
      throw Problem.unreachable();
    });
    this.state = response.ok && data?.kind === "operator" ? "in" : "out";
    this.email = data?.email ?? null;
  }

  async signIn(email: string, password: string): Promise<void> {
    await ok(api.POST("/v1/auth/login", { body: { email, password } }));
    await this.ask();
  }

  async signOut(): Promise<void> {
    await answered(api.POST("/v1/auth/logout"));
    this.isOver();
  }

  /** The server knows us no more. */
  isOver(): void {
    this.state = "out";
    this.email = null;
  }
}

export const session = new Session();
