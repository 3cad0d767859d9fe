/** The first requests that somebody makes, written for the origin of this page. */

export interface Step {
  title: string;
  /** What is between backticks is shown as code. */
  text: string;
  command: string;
}

export function firstSteps(origin: string): Step[] {
  const records = `${origin}/v1/tenants/$TENANT/records/ticket`;
  const key = `-H "Authorization: Bearer $KEY"`;
  return [
    {
      title: "Name the tenant and its key",
      text: "`tenantry init` and `tenantry serve --demo` print a tenant's key; `tenantry key create` makes more.",
      command: `export TENANT=demo\nexport KEY=tk_...`,
    },
    {
      title: "Create a record",
      text: "The answer carries the id and version 1. It is sent once the record is on disk.",
      command: [
        `curl "${records}" \\`,
        `  ${key} \\`,
        `  -H "Content-Type: application/json" \\`,
        `  -d '{"subject": "The printer is on fire", "status": "open", "opened_at": "2026-03-01T09:00:00Z"}'`,
      ].join("\n"),
    },
    {
      title: "List by index",
      text: "The index `by_status` serves this: equality on `status`, range and order on `opened_at`.",
      command: [
        `curl -G "${records}" \\`,
        `  ${key} \\`,
        `  -d "status=open" -d "opened_at[gte]=2026-01-01" -d "order=-opened_at"`,
      ].join("\n"),
    },
    {
      title: "See a scan refused",
      text: "No index serves this one. The answer is 422, with the lines for `app.toml` that would serve it.",
      command: [`curl "${records}?subject=printer" \\`, `  ${key}`].join("\n"),
    },
  ];
}
