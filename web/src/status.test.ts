import { expect, test } from "vitest";
import { interpret, readServer } from "./status";

const OK = { status: 200, body: { status: "ok", version: "1.2.3" } };

test("both probes answering 200 is ready, with the server's version", () => {
  expect(interpret(OK, { status: 200, body: {} })).toEqual({ kind: "ready", version: "1.2.3" });
});

test("a refused readiness shows the server's reasons in their order", () => {
  const ready = { status: 503, body: { reasons: ["index being swept", "store is read-only"] } };
  expect(interpret(OK, ready)).toEqual({
    kind: "not-ready",
    version: "1.2.3",
    reasons: ["index being swept", "store is read-only"],
  });
});

test("reasons may be objects with a detail, and anything else among them is left out", () => {
  const reasons = [{ code: "store", detail: "disk is full" }, 7, null, "", { code: "x" }];
  const state = interpret(OK, { status: 503, body: { reasons } });
  expect(state).toMatchObject({ kind: "not-ready", reasons: ["disk is full"] });
});

test("a problem document gives its detail", () => {
  const state = interpret(OK, { status: 503, body: { title: "Busy", detail: "shutting down" } });
  expect(state).toMatchObject({ kind: "not-ready", reasons: ["shutting down"] });
});

test("a proxy that answers for a dead server is not ready, and says what was answered", () => {
  const proxy = { status: 502, body: undefined };
  expect(interpret(proxy, proxy)).toEqual({
    kind: "not-ready",
    version: undefined,
    reasons: ["/healthz answered 502", "/readyz answered 502"],
  });
});

test("one probe without an answer is named", () => {
  expect(interpret(OK, null)).toMatchObject({ reasons: ["/readyz did not answer"] });
  expect(interpret(null, OK)).toMatchObject({ reasons: ["/healthz did not answer"] });
});

test("no answer at all is unreachable", () => {
  expect(interpret(null, null)).toEqual({ kind: "unreachable" });
});

test("reading asks both probes and keeps what they said", async () => {
  const asked: string[] = [];
  const reading = await readServer(async (input) => {
    asked.push(String(input));
    if (input === "/healthz") return new Response(JSON.stringify(OK.body));
    return new Response("<h1>Bad gateway</h1>", { status: 502 });
  });
  expect(asked).toEqual(["/healthz", "/readyz"]);
  expect(reading.health).toEqual(OK);
  expect(reading.ready).toEqual({ status: 502, body: undefined });
  expect(reading.state).toMatchObject({ kind: "not-ready", reasons: ["/readyz answered 502"] });
});

test("reading a server that is gone does not reject", async () => {
  const reading = await readServer(() => Promise.reject(new TypeError("connection refused")));
  expect(reading).toEqual({ state: { kind: "unreachable" }, health: null, ready: null });
});
