//! App files: what is right is read, what is wrong is told all at once.

use serde_json::{Value, json};
use tenantry::base::Instant;
use tenantry::domain::app_file::diff;
use tenantry::domain::{AppFile, EXAMPLE_APP, IndexValue, Kind, RecordMeta};

fn told(source: &str) -> String {
    let problems = AppFile::parse(source).expect_err("the file has mistakes");
    problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect()
}

const META: RecordMeta = RecordMeta {
    version: 1,
    created_at: Instant(1_000),
    updated_at: Instant(2_000),
    incarnation: 7,
    restored_until: None,
};

#[test]
fn the_example_is_read() {
    let app = AppFile::parse(EXAMPLE_APP).unwrap();
    assert_eq!(app.source, EXAMPLE_APP);
    let ticket = app.entity("ticket").unwrap();
    assert_eq!(
        (ticket.max_record_bytes, ticket.max_array_items),
        (65_536, 1_000)
    );
    assert_eq!(ticket.title.as_deref(), Some("subject"));
    let index = ticket.index("by_status").unwrap();
    assert!(index.count && !index.unique);
    assert_eq!(index.fields[1].kind, Kind::Instant);
    assert_eq!(
        app.entity("comment").unwrap().indexes[0].fields[1].path,
        "created_at"
    );
    // What jobs write into is always there.
    let entities = AppFile::parse("").unwrap().entities;
    assert_eq!(
        entities.keys().map(|e| e.as_str()).collect::<Vec<_>>(),
        ["report"]
    );
}

#[test]
fn every_mistake_at_once() {
    insta::assert_snapshot!(told(
        r##"
entities = 1
[job.nightly]
[job.daily-report]
kind = "repport"
[job.Daily]
kind = "report"
schedule = "0 25 * * *"
timezone = "Mars/Base"
for = "everybody"
spread = "5"
timeout = "2d"
retries = { max = 1_000, backof = "fixed", first = "1h", most = "1m" }
overlap = "skipp"
with = { entity = "tiket", by = "at" }
[entity.Ticket]
[entity.report]
[entity.ticket]
titel = "subject"
max_record_bytes = 500_000
max_array_items = "many"
[entity.ticket.archive]
[entity.ticket.schema]
requierd = ["subject"]
properties.subject = { type = "strng" }
properties.status = { enum = "open" }
properties.at = { type = "string", format = "datetime" }
properties.url = { "$ref" = "https://example.com/schema.json" }
properties.size = { "$ref" = "#/$defs/sise" }
properties.code = { pattern = "(?=x)y" }
properties.list = ["a"]
"$defs".size = { type = "integer" }
[[entity.ticket.index]]
name = "By Status"
fields = ["status"]
[[entity.ticket.index]]
fields = []
uniqe = true
[[entity.ticket.index]]
name = "by_order"
fields = ["order", 7, "a..b"]
count = "yes"
[entity.comment]
index = 3
schema = "x"
"##
    ));
}

#[test]
fn mistakes_in_indexes() {
    insta::assert_snapshot!(told(
        r#"
[entity.ticket]
title = "nmae"
[entity.ticket.schema]
additionalProperties = false
properties.name = { type = "string" }
properties.tags = { type = "array", items = { type = "string" } }
properties.marks = { type = "array", items = { type = "string" } }
properties.rows = { type = "array", items = { type = "object" } }
properties.meta = { properties = { tier = { type = "integer" } } }
properties.created_at = { type = "string" }
[[entity.ticket.index]]
name = "a"
fields = ["nmae"]
[[entity.ticket.index]]
name = "a"
fields = ["name", "name"]
[[entity.ticket.index]]
name = "c"
fields = ["tags", "marks"]
[[entity.ticket.index]]
name = "d"
fields = ["rows"]
[[entity.ticket.index]]
name = "e"
fields = ["meta"]
[[entity.ticket.index]]
name = "f"
fields = ["meta.tire", "created_at", "id"]
[[entity.ticket.index]]
name = "g"
fields = ["name", "tags"]
count = true
[[entity.ticket.index]]
name = "h"
fields = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
"#
    ));
}

#[test]
fn text_that_is_no_toml() {
    insta::assert_snapshot!(told(
        "[entity.ticket\ntitle = \n\n[[entity.ticket.index]]\nname = \"a\nfields = [\"x\"]\n[entity.a]\ntitle = 1\ntitle = 2"
    ));
}

#[test]
fn limits() {
    let many =
        |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    assert!(AppFile::parse(&many(200, &|i| format!("[entity.e{i}]\n"))).is_ok());
    assert!(
        told(&many(201, &|i| format!("[entity.e{i}]\n"))).contains("201 entities; at most 200")
    );
    let index = |i| format!("[[entity.e.index]]\nname = \"i{i}\"\nfields = [\"f{i}\"]\n");
    assert!(AppFile::parse(&many(20, &index)).is_ok());
    assert!(told(&many(21, &index)).contains("21 indexes; an entity has at most 20"));
    assert!(
        AppFile::parse("[entity.e]\nmax_record_bytes = 409_600\nmax_array_items = 100_000").is_ok()
    );
    assert!(
        told("[entity.e]\nmax_record_bytes = 409_601")
            .contains("expected an integer from 1 to 409600")
    );
    assert!(
        told("[entity.e]\nmax_record_bytes = 0").contains("expected an integer from 1 to 409600")
    );
    assert!(told(&" ".repeat(3 << 20)).contains("at most"));
}

#[test]
fn count_defaults_to_true_from_two_fields_on() {
    let app = AppFile::parse(
        r#"
[entity.e.schema]
properties.tags = { type = "array", items = { type = "string" } }
[[entity.e.index]]
name = "one"
fields = ["a"]
[[entity.e.index]]
name = "two"
fields = ["a", "b"]
[[entity.e.index]]
name = "list_last"
fields = ["a", "tags"]
[[entity.e.index]]
name = "list_first"
fields = ["tags", "a"]
"#,
    )
    .unwrap();
    let counts: Vec<bool> = app
        .entity("e")
        .unwrap()
        .indexes
        .iter()
        .map(|index| index.count)
        .collect();
    assert_eq!(counts, [false, true, false, true]);
}

#[test]
fn the_json_form_is_the_same() {
    let json = json!({"entity": {"ticket": {
        "title": "subject",
        "max_record_bytes": 65536,
        "schema": {"required": ["subject"], "properties": {"subject": {"type": "string", "minimum": 0.5}}},
        "index": [{"name": "by_subject", "fields": ["subject", "created_at"]}]
    }}});
    let app = AppFile::from_json(&json.to_string()).unwrap();
    let again = AppFile::parse(&app.source).unwrap();
    assert!(diff(&app, &again).is_empty());
    assert_eq!(app.entity("ticket").unwrap().indexes.len(), 1);
    insta::assert_snapshot!(app.source);
}

#[test]
fn mistakes_in_json_are_told_where_they_stand() {
    let told = |json: &str| {
        let problems = AppFile::from_json(json).expect_err("the file has mistakes");
        problems
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect::<String>()
    };
    let mut all = told(
        "{\n \"entity\": {\"ticket\": {\n  \"titel\": \"x\",\n  \"index\": [\n   {\"name\": \"a\", \"fields\": [\"b\"]},\n   {\"name\": \"a b\",\n    \"fields\": 7}]}}}",
    );
    all += &told(
        "{\"entity\": {\"ticket\": {\"schema\": {\n\"properties\": {\"a\": {\"enum\": [\"x\", null]}}}}}}",
    );
    all += &told("{\"entity\": {\n}");
    all += &told("[]");
    insta::assert_snapshot!(all);
}

#[test]
fn differences() {
    let old = AppFile::parse(EXAMPLE_APP).unwrap();
    assert!(
        diff(
            &old,
            &AppFile::parse(&format!("# a comment\n{EXAMPLE_APP}")).unwrap()
        )
        .is_empty()
    );
    let new = EXAMPLE_APP
        .replace("[entity.comment", "[entity.remark")
        .replace("[[entity.comment", "[[entity.remark")
        .replace("with = [\"comment\"]", "with = [\"remark\"]")
        .replace(
            "maxLength = 200 }\nproperties.status",
            "maxLength = 100 }\nproperties.status",
        )
        .replace("max_array_items = 1_000", "max_array_items = 10")
        .replace("unique = false", "unique = true")
        + "[[entity.ticket.index]]\nname = \"by_subject\"\nfields = [\"subject\"]\n";
    let diff = diff(&old, &AppFile::parse(&new).unwrap());
    insta::assert_json_snapshot!(diff);
}

#[test]
fn an_index_s_fingerprint_follows_its_rows() {
    let print = |fields: &str, schema: &str| {
        let source =
            format!("[entity.e.schema]\n{schema}\n[[entity.e.index]]\nname = \"i\"\n{fields}");
        AppFile::parse(&source)
            .unwrap()
            .entity("e")
            .unwrap()
            .indexes[0]
            .fingerprint()
    };
    let base = print("fields = [\"a\", \"b\"]", "");
    assert_eq!(
        base,
        print(
            "fields = [\"a\", \"b\"]\ncount = true\nunique = false",
            "properties.a = { type = \"string\" }"
        )
    );
    for (fields, schema) in [
        ("fields = [\"b\", \"a\"]", ""),
        ("fields = [\"a\"]", ""),
        ("fields = [\"a\", \"b\"]\ncount = false", ""),
        ("fields = [\"a\", \"b\"]\nunique = true", ""),
        (
            "fields = [\"a\", \"b\"]",
            "properties.a = { type = \"integer\" }",
        ),
        (
            "fields = [\"a\", \"b\"]",
            "properties.a = { type = \"array\" }",
        ),
    ] {
        assert_ne!(base, print(fields, schema), "{fields} {schema}");
    }
}

#[test]
fn records_are_checked() {
    let app = AppFile::parse(
        r##"
[entity.e]
max_record_bytes = 100
max_array_items = 3
[entity.e.schema]
required = ["s"]
additionalProperties = false
properties.s = { enum = ["a", "b"] }
properties.t = { type = "string", format = "date-time" }
properties.p = { type = "string", pattern = "^(a+)+$" }
properties.l = {}
properties.tree = { "$ref" = "#/$defs/node" }
"$defs".node.properties.child = { "$ref" = "#/$defs/node" }
"$defs".node.properties.n = { type = "integer" }
"##,
    )
    .unwrap();
    let entity = app.entity("e").unwrap();
    let check = |data: Value| entity.validate(&data, data.to_string().len());
    assert_eq!(
        check(json!({"s": "a", "t": "2026-01-01T00:00:00Z", "l": [1, 2, 3]})),
        Ok(())
    );
    assert!(check(json!(["s"])).is_err());
    let long = "a".repeat(40) + "!";
    let problems = check(json!({
        "s": "c", "t": "yesterday", "p": long, "x": 1, "l": [[1, 2, 3, 4]],
        "tree": {"child": {"child": {"n": "x"}}}
    }));
    insta::assert_json_snapshot!(problems.unwrap_err());
    let many = json!({"s": "a", "l": vec![vec![0; 4]; 30]});
    assert_eq!(entity.validate(&many, 10).unwrap_err().len(), 20);
}

#[test]
fn rows_of_records() {
    let app = AppFile::parse(
        r#"
[entity.e.schema]
properties.tags = { type = "array", items = { type = "string" } }
properties.n = { type = "number" }
[[entity.e.index]]
name = "i"
fields = ["tags", "n", "meta.tier", "updated_at"]
"#,
    )
    .unwrap();
    let entity = app.entity("e").unwrap();
    let rows = |data: Value| entity.index_rows(&entity.indexes[0], &META, &data);
    let row = |tag: &str| {
        vec![
            IndexValue::Text(tag.to_owned()),
            IndexValue::Number(1_i64.into()),
            IndexValue::Text("7".to_owned()),
            IndexValue::Instant {
                seconds: 2,
                nanos: 0,
            },
        ]
    };
    let data = json!({"tags": ["b", "a", "b", null], "n": 1.0, "meta": {"tier": 7}});
    assert_eq!(rows(data), Ok(vec![row("a"), row("b")]));
    for missing in [
        json!({"tags": [], "n": 1, "meta": {"tier": 7}}),
        json!({"tags": ["a"], "n": null, "meta": {"tier": 7}}),
        json!({"tags": ["a"], "n": 1, "meta": {"tier": {}}}),
        json!({"tags": ["a"], "n": 1, "meta": 7}),
    ] {
        assert_eq!(rows(missing), Ok(vec![]));
    }
    assert!(rows(json!({"tags": ["x".repeat(512)], "n": 1, "meta": {"tier": 7}})).is_ok());
    let problem =
        rows(json!({"tags": ["x".repeat(513)], "n": 1, "meta": {"tier": 7}})).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "tags: is 513 bytes long; the index i takes strings of up to 512 bytes"
    );
}

const RULED: &str = r#"
[entity.ticket.schema]
properties.status = { enum = ["open", "closed"] }
properties.closed_at = { type = "string", format = "date-time" }
properties.tags = { type = "array", items = { type = "string" } }

[entity.comment.schema]
properties.ticket_id = { type = "string" }

[[entity.comment.index]]
name = "by_ticket"
fields = ["ticket_id", "created_at"]

[entity.ticket.archive]
"#;

#[test]
fn an_archive_rule_brings_an_index_and_jobs_along() {
    let rule = "when = { status = \"closed\" }\nby = \"closed_at\"\nafter = \"90d\"\npurge_after = \"7y\"\nwith = [\"comment\"]\n";
    let file = AppFile::parse(&format!("{RULED}{rule}")).unwrap();
    let names: Vec<&str> = file.jobs.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["archive", "purge", "restore"]);
    let ticket = &file.entities["ticket"];
    let archive = ticket.archive.as_ref().unwrap();
    assert_eq!(archive.due.name.as_str(), "archive_due");
    assert_eq!(archive.with[0].field, "ticket_id");
    let rows = |restored_until, status: &str| {
        let meta = RecordMeta {
            restored_until,
            ..META
        };
        let data = json!({"status": status, "closed_at": "2026-03-01T00:00:00Z"});
        ticket.index_rows(&archive.due, &meta, &data).unwrap()
    };
    let instant = |ms| IndexValue::from_instant(Instant(ms));
    let closed = vec![IndexValue::Bool(false), instant(1_772_323_200_000)];
    assert_eq!(rows(None, "closed"), [closed]);
    assert!(rows(None, "open").is_empty());
    let stays = vec![IndexValue::Bool(true), instant(77)];
    assert_eq!(rows(Some(Instant(77)), "closed"), [stays]);
    // A job of one's own takes the place of the one that comes along.
    let own = "[job.tidy]\nkind = \"archive\"\nschedule = \"@weekly\"\nwith = { entities = [\"ticket\"], records_per_second = 100 }\n";
    let file = AppFile::parse(&format!("{RULED}{rule}{own}")).unwrap();
    let names: Vec<&str> = file.jobs.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["purge", "restore", "tidy"]);
}

#[test]
fn mistakes_of_an_archive_rule() {
    let told = |rule: &str| told(&format!("{RULED}{rule}"));
    let mut all = String::new();
    for rule in [
        "",
        "when = { state = \"x\", tags = \"a\", status = 7 }\nby = \"status\"\nafter = \"soon\"\npurge = \"1y\"\n",
        "by = \"closed_at\"\nafter = \"90d\"\npurge_after = \"30d\"\non_write = \"maybe\"\n",
        "by = \"updated_at\"\nafter = \"90d\"\nwith = [\"comments\", \"ticket\", { entity = \"comment\", field = \"about\" }]\n",
        "by = \"closed_at\"\nafter = \"90d\"\n[[entity.ticket.index]]\nname = \"archive_due\"\nfields = [\"status\"]\n[job.purge]\nkind = \"archive\"\nwith = { entities = [\"comment\", \"nothing\"], records_per_second = 0 }\n",
    ] {
        all += &told(rule);
        all += "\n";
    }
    insta::assert_snapshot!(all);
}
