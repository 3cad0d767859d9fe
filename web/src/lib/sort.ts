/** Orders of tables, as they stand in the address: `name`, `-errors`. */

export interface Sort {
  by: string;
  descending: boolean;
}

export function parseSort(text: string | null, otherwise: string): Sort {
  const given = text || otherwise;
  const descending = given.startsWith("-");
  return { by: descending ? given.slice(1) : given, descending };
}

/** The order after a click on a column: by it, or the other way round where it is by it already. */
export function toggled(sort: Sort, by: string, descendingFirst: boolean): string {
  const descending = sort.by === by ? !sort.descending : descendingFirst;
  return descending ? `-${by}` : by;
}

export type Cell = string | number | null | undefined;

/** Rows in order; what has no value comes last either way, equals stay as they were. */
export function sorted<T>(rows: T[], value: (row: T) => Cell, descending: boolean): T[] {
  return [...rows].sort((left, right) => {
    const [a, b] = [value(left), value(right)];
    if (a == null || b == null) return a == null ? (b == null ? 0 : 1) : -1;
    const order =
      typeof a === "number" && typeof b === "number"
        ? a - b
        : String(a).localeCompare(String(b), undefined, { numeric: true });
    return descending ? -order : order;
  });
}
