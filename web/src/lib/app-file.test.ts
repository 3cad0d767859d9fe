import { expect, test } from "vitest";
import { changesOf } from "./app-file";

const NOTHING = {
  added: [],
  changed: [],
  dropped: [],
  jobs_added: [],
  jobs_changed: [],
  jobs_dropped: [],
};

test("a change is told line by line, losses with their size", () => {
  const ticket = {
    entity: "ticket",
    archive_changed: true,
    limits_changed: false,
    schema_changed: true,
    title_changed: false,
    indexes_added: ["by_tag"],
    indexes_changed: [],
    indexes_dropped: ["by_age"],
  };
  const diff = { ...NOTHING, changed: [ticket], dropped: ["note"], jobs_added: ["daily"] };
  const changes = changesOf(diff, [{ entity: "note", records: 3 }]);
  expect(changes.map(({ kind, text }) => `${kind} ${text}`)).toEqual([
    "changed Schema of ticket: checked when a record is written next",
    "changed Archive rule of ticket",
    "added Index ticket.by_tag, built in the background",
    "dropped Index ticket.by_age",
    "dropped Entity note with its 3 records",
    "added Job daily",
  ]);
  expect(changesOf(NOTHING, [])).toEqual([]);
});
