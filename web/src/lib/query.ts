/** Lists of records by a declared index: equality on its first fields, then one range. */

import type { Entity, Index } from "./api";

export type Operator = "" | "gte" | "gt" | "lte" | "lt" | "prefix";

export interface Condition {
  field: string;
  operator: Operator;
  value: string;
}

export interface Query {
  /** The index, by name; "" lists by id. */
  index: string;
  conditions: Condition[];
  descending: boolean;
  tier: "hot" | "archive" | "all";
  limit: number;
}

export const LIMITS = [50, 100, 500];
const OWN = ["_index", "_order", "tier", "limit"];
const OPERATORS = ["gte", "gt", "lte", "lt", "prefix"];

/** Indexes that lists may use: declared, whole, and not the server's own. */
export function usable(entity: Entity | undefined): Index[] {
  return (entity?.indexes ?? []).filter((index) => index.state === "ready" && !index.internal);
}

/** A query as the address of the page holds it. */
export function parseQuery(params: URLSearchParams): Query {
  const conditions: Condition[] = [];
  for (const [name, value] of params) {
    if (OWN.includes(name)) continue;
    const [, field = name, operator = ""] = /^(.+)\[(\w+)\]$/.exec(name) ?? [];
    if (operator !== "" && !OPERATORS.includes(operator)) continue;
    conditions.push({ field, operator: operator as Operator, value });
  }
  const tier = params.get("tier");
  const limit = Number(params.get("limit"));
  return {
    index: params.get("_index") ?? "",
    conditions,
    descending: params.get("_order") !== "ascending",
    tier: tier === "archive" || tier === "all" ? tier : "hot",
    limit: LIMITS.includes(limit) ? limit : 50,
  };
}

/** The page's parameters for a query; what is the default is left out. */
export function pageParams(query: Query): URLSearchParams {
  const params = new URLSearchParams();
  if (query.index !== "") params.set("_index", query.index);
  for (const { field, operator, value } of query.conditions)
    params.set(key(field, operator), value);
  if (!query.descending) params.set("_order", "ascending");
  if (query.tier !== "hot") params.set("tier", query.tier);
  if (query.limit !== 50) params.set("limit", String(query.limit));
  return params;
}

/** The parameters of the request that answers a query. */
export function requestParams(query: Query, index: Index | undefined): URLSearchParams {
  const params = filterParams(query);
  const order = orderField(query, index);
  if (order !== undefined) params.set("order", `${query.descending ? "-" : ""}${order}`);
  params.set("tier", query.tier);
  params.set("limit", String(query.limit));
  return params;
}

/** The filters alone, as acts by query take them. */
export function filterParams(query: Query): URLSearchParams {
  const params = new URLSearchParams();
  for (const { field, operator, value } of query.conditions)
    params.set(key(field, operator), value);
  return params;
}

const key = (field: string, operator: Operator) =>
  operator === "" ? field : `${field}[${operator}]`;

/** How many of an index's fields are fixed by equality, from the first on. */
export function fixed(query: Query, index: Index): number {
  const isFixed = (field: string) =>
    query.conditions.some((one) => one.field === field && one.operator === "");
  const first = index.fields.findIndex((field) => !isFixed(field));
  return first === -1 ? index.fields.length : first;
}

/** The field that a list is ordered by; none where equality fixes them all. */
export function orderField(query: Query, index: Index | undefined): string | undefined {
  return index === undefined ? "id" : index.fields[fixed(query, index)];
}

/** The query with the conditions on a field replaced; those that no index serves any more go. */
export function withConditions(query: Query, index: Index, field: string, all: Condition[]): Query {
  const kept = query.conditions.filter((one) => one.field !== field);
  const next = { ...query, conditions: [...kept, ...all.filter(({ value }) => value !== "")] };
  const reach = index.fields.slice(0, fixed(next, index) + 1);
  return { ...next, conditions: next.conditions.filter((one) => reach.includes(one.field)) };
}
