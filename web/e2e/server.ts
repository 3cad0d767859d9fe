/** The real server for the browser tests: own folder, free port, gone afterwards. */

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const START_MS_MAX = 60_000;
const STOP_MS_MAX = 15_000;

export interface Server {
  origin: string;
  /** Runs the command line on the server's folder; answers its standard output. */
  run(...args: string[]): string;
  stop(): Promise<void>;
}

export async function startServer(): Promise<Server> {
  const binary = process.env.TENANTRY_BIN;
  if (!binary) throw new Error("TENANTRY_BIN must name the tenantry binary to test");
  const folder = mkdtempSync(join(tmpdir(), "tenantry-e2e-"));
  const data = join(folder, "data");
  const args = ["serve", "--demo", "--listen", "127.0.0.1:0", "--data", data];
  const child = spawn(binary, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  const exited = new Promise<void>((done) => child.once("close", () => done()));

  const stop = async () => {
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
    await exited;
    clearTimeout(late);
    rmSync(folder, { recursive: true, force: true });
  };

  try {
    const origin = await addressOf(child);
    return { origin, stop, run: (...command) => runCommand(binary, [...command, "--data", data]) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Waits for the line with the address; both outputs are read to the end. */
function addressOf(child: ReturnType<typeof spawn>): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const fail = (why: string) => reject(new Error(`${why}\n${said}`));
    const late = setTimeout(() => fail("the server printed no address"), START_MS_MAX);
    const read = (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-65_536);
      const address = /http:\/\/127\.0\.0\.1:\d+\b/.exec(said);
      if (address === null) return;
      clearTimeout(late);
      resolve(address[0]);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("error", (error) => {
      clearTimeout(late);
      fail(String(error));
    });
    child.once("close", (code) => {
      clearTimeout(late);
      fail(`the server ended with ${code}`);
    });
  });
}

function runCommand(binary: string, args: string[]): string {
  const result = spawnSync(binary, args, { encoding: "utf8", timeout: START_MS_MAX });
  if (result.status === 0) return result.stdout;
  throw new Error(`tenantry ${args.join(" ")} ended with ${result.status}: ${result.stderr}`);
}
