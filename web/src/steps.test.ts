import { expect, test } from "vitest";
import { firstSteps } from "./steps";

const ORIGIN = "https://tenantry.example:8443";
const requests = firstSteps(ORIGIN).filter((step) => step.command.startsWith("curl"));

test("every request goes to the page's own origin with the key", () => {
  expect(requests).toHaveLength(3);
  for (const { command } of requests) {
    expect(command).toContain(`"${ORIGIN}/v1/tenants/$TENANT/records/ticket`);
    expect(command).toContain('"Authorization: Bearer $KEY"');
  }
});

test("the variables that the requests use are set first", () => {
  expect(firstSteps(ORIGIN)[0]?.command).toBe("export TENANT=demo\nexport KEY=tk_...");
});

test("brackets stay out of the address, where curl would expand them", () => {
  for (const { command } of requests) {
    expect(/"(http[^"]+)"/.exec(command)?.[1]).not.toContain("[");
  }
});

test("the record that is created is JSON", () => {
  const body = /-d '([^']+)'/.exec(requests[0]?.command ?? "")?.[1];
  expect(Object.keys(JSON.parse(body ?? ""))).toEqual(["subject", "status", "opened_at"]);
});
