//! A report as CSV (RFC 4180): a line for each group, a column for each figure.

use std::collections::BTreeSet;

use serde_json::Value;

/// The table of a report's `data`.
pub fn table(report: &Value) -> String {
    let empty = Vec::new();
    let groups = report["groups"].as_array().unwrap_or(&empty);
    let measures: BTreeSet<&str> = report["totals"]
        .as_object()
        .into_iter()
        .flat_map(|totals| totals.keys().map(String::as_str))
        .collect();
    let bucketed = groups.iter().any(|group| group.get("bucket").is_some());
    let key = report["group_by"].as_str().unwrap_or("key");
    let mut head = vec![key.to_owned()];
    if bucketed {
        head.push(report["bucket"].as_str().unwrap_or("bucket").to_owned());
    }
    head.push("count".into());
    for measure in &measures {
        for figure in FIGURES {
            head.push(format!("{measure}.{figure}"));
        }
    }
    let mut out = line(&head);
    for group in groups {
        let mut row = vec![text(&group["key"])];
        if bucketed {
            row.push(text(&group["bucket"]));
        }
        row.push(text(&group["count"]));
        for measure in &measures {
            row.extend(FIGURES.iter().map(|figure| text(&group[measure][figure])));
        }
        out += &line(&row);
    }
    out
}

const FIGURES: [&str; 5] = ["count", "sum", "avg", "min", "max"];

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn line(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| quoted(cell)).collect();
    cells.join(",") + "\r\n"
}

/// A cell that a spreadsheet would carry out as a formula is marked as text.
fn quoted(cell: &str) -> String {
    let formula =
        cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<f64>().is_err();
    let cell = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_become_lines() {
        let report = json!({
            "group_by": "status", "bucket": null, "totals": {"total": {}},
            "groups": [
                {"key": "open, \"new\"", "count": 2,
                 "total": {"count": 2, "sum": 3.5, "avg": 1.75, "min": -1, "max": 4.5}},
                {"key": "=1+1", "count": 1,
                 "total": {"count": 0, "sum": 0, "avg": null, "min": null, "max": null}},
                {"key": null, "count": 1, "total": {}},
            ],
        });
        assert_eq!(
            table(&report),
            "status,count,total.count,total.sum,total.avg,total.min,total.max\r\n\
             \"open, \"\"new\"\"\",2,2,3.5,1.75,-1,4.5\r\n\
             '=1+1,1,0,0,,,\r\n\
             ,1,,,,,\r\n"
        );
    }
}
