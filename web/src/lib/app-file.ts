/** Changes of the app file. */

import { request, type Schemas } from "./api";

/** Says what applying the file would change, or applies it. */
export async function apply(
  source: string,
  options: { dryRun?: boolean; dropData?: boolean } = {},
): Promise<Schemas["Applied"]> {
  const query = new URLSearchParams();
  if (options.dryRun) query.set("dry_run", "true");
  if (options.dropData) query.set("drop_data", "true");
  const headers = { "content-type": "text/toml" };
  const response = await request(`/v1/app?${query}`, { method: "PUT", headers, body: source });
  return (await response.json()) as Schemas["Applied"];
}

export interface Change {
  kind: "added" | "changed" | "dropped";
  text: string;
}

/** A change in words, line by line. */
export function changesOf(diff: Schemas["AppDiff"], dropped: Schemas["DroppedEntity"][]): Change[] {
  const changes: Change[] = [];
  const say = (kind: Change["kind"], text: string) => changes.push({ kind, text });
  for (const entity of diff.added) say("added", `Entity ${entity}`);
  for (const entity of diff.changed) {
    const name = entity.entity;
    if (entity.schema_changed)
      say("changed", `Schema of ${name}: checked when a record is written next`);
    if (entity.title_changed) say("changed", `Title of ${name}`);
    if (entity.limits_changed) say("changed", `Limits of ${name}`);
    if (entity.archive_changed) say("changed", `Archive rule of ${name}`);
    for (const index of entity.indexes_added)
      say("added", `Index ${name}.${index}, built in the background`);
    for (const index of entity.indexes_changed)
      say("changed", `Index ${name}.${index}, built anew`);
    for (const index of entity.indexes_dropped) say("dropped", `Index ${name}.${index}`);
  }
  for (const entity of diff.dropped) {
    const records = dropped.find((one) => one.entity === entity)?.records ?? 0;
    say(
      "dropped",
      `Entity ${entity}${records > 0 ? ` with its ${records.toLocaleString()} records` : ""}`,
    );
  }
  for (const job of diff.jobs_added) say("added", `Job ${job}`);
  for (const job of diff.jobs_changed) say("changed", `Job ${job}`);
  for (const job of diff.jobs_dropped) say("dropped", `Job ${job}`);
  return changes;
}
