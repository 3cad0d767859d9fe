import { expect, test } from "vitest";
import { fieldAt, fieldOfPointer, fieldsOf, textOf, valueOf } from "./schema";

const SCHEMA = {
  required: ["subject", "number"],
  properties: {
    subject: { type: "string", maxLength: 100, title: "Subject", description: "In a few words" },
    text: { type: "string", maxLength: 20_000 },
    status: { enum: ["open", "closed"] },
    number: { type: ["integer", "null"] },
    open: { type: "boolean" },
    at: { type: "string", format: "date-time" },
    tags: { type: "array", items: { type: "string" } },
    address: { type: "object", properties: { city: { enum: ["Rome"] } } },
  },
};

test("each kind of value has its control, and what no schema names is JSON", () => {
  const fields = fieldsOf(SCHEMA, { more: 1, status: "open" });
  expect(Object.fromEntries(fields.map(({ name, control }) => [name, control]))).toEqual({
    subject: "text",
    text: "long",
    status: "choice",
    number: "integer",
    open: "boolean",
    at: "moment",
    tags: "json",
    address: "json",
    more: "json",
  });
  expect(fields[0]).toMatchObject({ required: true, title: "Subject", hint: "In a few words" });
  expect(fieldsOf(null)).toEqual([]);
  expect(fieldsOf(SCHEMA, { subject: { odd: true } })[0]?.control).toBe("json");
});

test("fields within fields and the server's own are found by their path", () => {
  expect(fieldAt(SCHEMA, "address.city").choices).toEqual(["Rome"]);
  expect(fieldAt(SCHEMA, "tags").control).toBe("text");
  expect(fieldAt(SCHEMA, "created_at").control).toBe("moment");
  expect(fieldAt(SCHEMA, "nobody.knows").control).toBe("json");
});

test("values go into controls and come back the same", () => {
  const samples = { subject: "a", status: "open", number: 7, open: false, tags: ["x"], at: "2026" };
  for (const field of fieldsOf(SCHEMA)) {
    const value = samples[field.name as keyof typeof samples];
    expect(valueOf(field, textOf(field, value))).toEqual({ value });
  }
});

test("what a control cannot hold is a fault", () => {
  const named = (name: string) => fieldsOf(SCHEMA).find((field) => field.name === name);
  const [number, open] = [named("number"), named("open")];
  if (!number || !open) throw new Error("the schema has both");
  expect(valueOf(number, "1.5")).toHaveProperty("fault");
  expect(valueOf(number, "seven")).toHaveProperty("fault");
  expect(valueOf(open, "maybe")).toHaveProperty("fault");
});

test("a refusal's pointer leads to its field", () => {
  expect(fieldOfPointer("/address/city")).toBe("address");
  expect(fieldOfPointer("/a~1b~0c")).toBe("a/b~c");
  expect(fieldOfPointer("")).toBeUndefined();
});
