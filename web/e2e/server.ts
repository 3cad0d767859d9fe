/** The real server for the browser tests: own folder, free port, gone afterwards. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const START_MS_MAX = 60_000;
const STOP_MS_MAX = 15_000;
/** An import of a million records takes minutes. */
const COMMAND_MS_MAX = 600_000;

export interface Server {
  origin: string;
  /** Who may sign in. */
  operator: { email: string; password: string };
  /** Runs the command line on the server's folder; answers its standard output. */
  run(...args: string[]): Promise<string>;
  /** Kills the server at once, as a crash would, and starts it again at the same address. */
  crash(): Promise<void>;
  /** What `crash` does first: nobody answers until `start`. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const OPERATOR = { email: "ops@example.com", password: "correct horse battery staple" };

/** Starts a server: with the demo's data, or with nothing but an operator. */
export async function startServer(options: { demo?: boolean } = {}): Promise<Server> {
  const binary = process.env.TENANTRY_BIN;
  if (!binary) throw new Error("TENANTRY_BIN must name the tenantry binary to test");
  const folder = mkdtempSync(join(tmpdir(), "tenantry-e2e-"));
  const data = join(folder, "data");
  const run = (...command: string[]) => runCommand(binary, [...command, "--data", data], folder);
  let child: ReturnType<typeof spawn> | undefined;
  let exited = Promise.resolve();
  let origin = "";

  const launch = async (...args: string[]) => {
    const listen = origin === "" ? "127.0.0.1:0" : new URL(origin).host;
    const all = ["serve", ...args, "--listen", listen, "--data", data];
    const started = spawn(binary, all, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    child = started;
    exited = new Promise<void>((done) => started.once("close", () => done()));
    origin = await addressOf(started);
  };
  const kill = async () => {
    child?.kill("SIGKILL");
    await exited;
  };
  const stop = async () => {
    child?.kill("SIGTERM");
    const late = setTimeout(() => child?.kill("SIGKILL"), STOP_MS_MAX);
    await exited;
    clearTimeout(late);
    rmSync(folder, { recursive: true, force: true });
  };

  try {
    if (options.demo) {
      await launch("--demo");
    } else {
      mkdirSync(data);
      await launch();
    }
    const add = ["operator", "add", OPERATOR.email, "--password-stdin", "--data", data];
    await runCommand(binary, add, folder, `${OPERATOR.password}\n`);
  } catch (error) {
    await stop();
    throw error;
  }
  const start = () => launch();
  const crash = async () => {
    await kill();
    await start();
  };
  return { origin, operator: OPERATOR, run, crash, kill, start, stop };
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

/** Meanwhile the server's output is read on: one whose log is full waits. */
async function runCommand(
  binary: string,
  args: string[],
  cwd: string,
  input = "",
): Promise<string> {
  const child = spawn(binary, args, { cwd, timeout: COMMAND_MS_MAX });
  let [said, complained] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (complained += chunk.toString()));
  child.stdin.end(input);
  const [status] = (await once(child, "close")) as [number | null];
  if (status === 0) return said;
  throw new Error(`tenantry ${args.join(" ")} ended with ${status}: ${complained}`);
}
