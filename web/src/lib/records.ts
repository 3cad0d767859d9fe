/** Records: read and written as text, so that no number loses digits on its way. */

import { request } from "./api";
import { parse, type Fields } from "./json";
import { href } from "./path";

export interface Row {
  id: string;
  version: number;
  created_at: string;
  updated_at: string;
  tier: "hot" | "archive";
  restored_until?: string;
  data: Fields;
}

export interface RowList {
  items: Row[];
  next_cursor: string | null;
  count?: number;
  explain?: {
    index: string;
    keys_read: number;
    read_units: number;
    records_read: number;
    records_returned: number;
  };
  units: { read: number };
}

/** A record with the mark of the version that was read. */
export interface Read {
  row: Row;
  etag: string;
}

export function recordsPath(tenant: string, entity: string, id?: string): string {
  const parts = ["v1", "tenants", tenant, "records", entity];
  return href(...parts, ...(id === undefined ? [] : [id]));
}

export async function list(path: string, params: URLSearchParams): Promise<RowList> {
  const response = await request(`${path}?${params}`);
  return parse(await response.text()) as RowList;
}

async function asRead(response: Response): Promise<Read> {
  const row = parse(await response.text()) as Row;
  return { row, etag: response.headers.get("etag") ?? "" };
}

export async function read(path: string): Promise<Read> {
  return asRead(await request(path));
}

/** Writes the whole data as it was typed; refused where the record is no longer `etag`'s. */
export async function put(path: string, data: string, etag: string): Promise<Read> {
  const headers = { "content-type": "application/json", "if-match": etag };
  return asRead(await request(path, { method: "PUT", headers, body: data }));
}

/** Changes single fields, which leaves all others exactly as they are. */
export async function patch(path: string, change: Fields, etag: string): Promise<Read> {
  const headers = { "content-type": "application/merge-patch+json", "if-match": etag };
  return asRead(await request(path, { method: "PATCH", headers, body: JSON.stringify(change) }));
}

/** Makes a record; a repeated request with the same `key` makes no second one. */
export async function create(path: string, data: string, key: string): Promise<Read> {
  const headers = { "content-type": "application/json", "idempotency-key": key };
  return asRead(await request(path, { method: "POST", headers, body: data }));
}

/** Makes a record with an id of one's own; refused where there is one. */
export async function createAs(path: string, data: string): Promise<Read> {
  const headers = { "content-type": "application/json", "if-none-match": "*" };
  return asRead(await request(path, { method: "PUT", headers, body: data }));
}

export async function remove(path: string, etag: string): Promise<void> {
  await request(path, { method: "DELETE", headers: { "if-match": etag } });
}

export async function move(path: string, way: "archive" | "restore"): Promise<Read> {
  return asRead(await request(`${path}/${way}`, { method: "POST" }));
}

/** What stands for a record: its title field, or its id. */
export function titleOf(row: Row, title: string | null | undefined): string {
  const value = title ? row.data[title] : undefined;
  return typeof value === "string" && value !== "" ? value : row.id;
}
