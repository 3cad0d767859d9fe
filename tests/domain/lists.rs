//! Records and lists at random, for the properties in `queries`.

use proptest::prelude::*;
use serde_json::{Value, json};
use tenantry::base::Instant;
use tenantry::domain::query::{Direction, Filter, ListRequest, Op};
use tenantry::domain::{AppFile, Entity, RecordMeta};

pub const APP: &str = r#"
[entity.thing.schema]
properties.status = { enum = ["open", "closed", "a#b"] }
properties.n = { type = "number" }
properties.at = { type = "string", format = "date-time" }
properties.flag = { type = "boolean" }
properties.name = { type = ["string", "null"] }
properties.tags = { type = "array", items = { type = "string" } }
properties.marks = { type = "array", items = { type = "string" } }
properties.meta.properties.tier = { type = "integer" }

[[entity.thing.index]]
name = "status"
fields = ["status"]
[[entity.thing.index]]
name = "status_at"
fields = ["status", "at"]
[[entity.thing.index]]
name = "n"
fields = ["n"]
[[entity.thing.index]]
name = "name"
fields = ["name"]
[[entity.thing.index]]
name = "tags_n"
fields = ["tags", "n"]
[[entity.thing.index]]
name = "flag_status_n"
fields = ["flag", "status", "n"]
[[entity.thing.index]]
name = "name_status"
fields = ["name", "status"]
unique = true
[[entity.thing.index]]
name = "tier_created"
fields = ["meta.tier", "created_at"]
[[entity.thing.index]]
name = "updated"
fields = ["updated_at"]
[[entity.thing.index]]
name = "status_tags"
fields = ["status", "tags"]
[[entity.thing.index]]
name = "at_tags"
fields = ["at", "tags"]
"#;

pub fn entity() -> std::sync::Arc<Entity> {
    AppFile::parse(APP)
        .unwrap()
        .entity("thing")
        .unwrap()
        .clone()
}

#[derive(Debug, Clone)]
pub struct Record {
    pub id: String,
    pub meta: RecordMeta,
    pub data: Value,
}

fn one_of(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(values).prop_map(str::to_owned)
}

const STATUSES: &[&str] = &["open", "closed", "a#b"];
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1.5",
    "2",
    "2.0",
    "9007199254740992",
    "9007199254740993",
    "9007199254740994.0",
];
const TIMES: &[&str] = &[
    "2026-03-01T00:00:00Z",
    "2026-03-01T01:00:00+01:00",
    "2026-03-01T00:00:00.000000001Z",
    "2026-02-28T23:59:59-05:00",
    "1969-12-31T23:59:59.999Z",
];
const NAMES: &[&str] = &["", "a", "a\0", "a\0b", "a#", "a b", "ab", "b", "é"];
const TAGS: &[&str] = &["red", "re", "#", "blue"];
const MOMENTS: &[&str] = &[
    "1970-01-01T00:00:01Z",
    "1970-01-01T00:00:01.001Z",
    "1970-01-01T00:00:01.0005Z",
    "1970-01-01T00:00:01.003Z",
    "1970-01-01",
    "1969-12-31T23:00:00Z",
    "2100-01-01",
    "9999-12-31",
];

fn data() -> impl Strategy<Value = Value> {
    let maybe = |s: BoxedStrategy<Value>| prop::option::weighted(0.8, s);
    let tags = || {
        proptest::collection::vec(one_of(TAGS), 0..4)
            .prop_map(Value::from)
            .boxed()
    };
    (
        maybe(one_of(STATUSES).prop_map(Value::from).boxed()),
        maybe(
            one_of(NUMBERS)
                .prop_map(|n| serde_json::from_str(&n).unwrap())
                .boxed(),
        ),
        maybe(one_of(TIMES).prop_map(Value::from).boxed()),
        maybe(any::<bool>().prop_map(Value::from).boxed()),
        maybe(
            prop_oneof![9 => one_of(NAMES).prop_map(Value::from), 1 => Just(Value::Null)].boxed(),
        ),
        maybe(tags()),
        maybe((0..3).prop_map(|n| json!({"tier": n})).boxed()),
    )
        .prop_map(|(status, n, at, flag, name, tags, meta)| {
            let members = [
                ("status", status),
                ("n", n),
                ("at", at),
                ("flag", flag),
                ("name", name),
                ("tags", tags),
                ("meta", meta),
            ];
            members
                .into_iter()
                .filter_map(|(k, v)| Some((k.to_owned(), v?)))
                .collect()
        })
}

/// Records with ids made here: their time is the one they were made at.
pub fn records() -> impl Strategy<Value = Vec<Record>> {
    let record = (data(), 1000..1004_i64, 0..3_i64)
        .prop_map(|(data, created, later)| (data, created, later));
    proptest::collection::vec(record, 0..40).prop_map(|made| {
        made.into_iter()
            .enumerate()
            .map(|(i, (data, created, later))| Record {
                id: format!(
                    "{:08x}-{:04x}-7{:03x}-8000-{i:012x}",
                    created >> 16,
                    created & 0xffff,
                    i % 7
                ),
                meta: RecordMeta {
                    version: 1,
                    created_at: Instant(created),
                    updated_at: Instant(created + later),
                    incarnation: 1,
                    restored_until: None,
                },
                data,
            })
            .collect()
    })
}

/// A value for a filter on a field, often one that is there.
fn filter_value(field: &str) -> BoxedStrategy<String> {
    match field {
        "status" => one_of(STATUSES).boxed(),
        "n" => one_of(NUMBERS).boxed(),
        "at" => one_of(TIMES).boxed(),
        "flag" => one_of(&["true", "false"]).boxed(),
        "name" => one_of(NAMES).boxed(),
        "tags" | "marks" => one_of(TAGS).boxed(),
        "meta.tier" => one_of(&["0", "1", "1.0", "2"]).boxed(),
        "id" => one_of(&["00000000-03e9", "00000000-03ea-7", "0", "zz"]).boxed(),
        _ => one_of(MOMENTS).boxed(),
    }
}

const FIELDS: &[&str] = &[
    "status",
    "n",
    "at",
    "flag",
    "name",
    "tags",
    "marks",
    "meta.tier",
    "created_at",
    "updated_at",
    "id",
];

fn range_ops() -> impl Strategy<Value = Vec<Op>> {
    prop_oneof![
        Just(vec![Op::Gt]),
        Just(vec![Op::Gte]),
        Just(vec![Op::Lt]),
        Just(vec![Op::Lte]),
        Just(vec![Op::Prefix]),
        Just(vec![Op::Gt, Op::Lt]),
        Just(vec![Op::Gte, Op::Lte]),
        Just(vec![Op::Gt, Op::Lte]),
        Just(vec![Op::Gte, Op::Lt]),
    ]
}

type Shape = (Vec<String>, Option<(String, Vec<Op>)>, Option<String>);

/// Lists that an index was made for.
fn fitting() -> impl Strategy<Value = Shape> {
    let indexes: Vec<Vec<String>> = entity()
        .indexes
        .iter()
        .map(|index| {
            index
                .fields
                .iter()
                .map(|field| field.path.clone())
                .collect()
        })
        .chain([vec!["created_at".to_owned()], vec!["id".to_owned()]])
        .collect();
    (
        prop::sample::select(indexes),
        0..4_usize,
        prop::option::of(range_ops()),
        any::<bool>(),
    )
        .prop_map(|(fields, fixed, ops, ordered)| {
            let fixed = fixed.min(fields.len());
            let next = fields.get(fixed).cloned().unwrap_or("id".to_owned());
            let range = ops.map(|ops| (next.clone(), ops));
            (fields[..fixed].to_vec(), range, ordered.then_some(next))
        })
}

fn any_shape() -> impl Strategy<Value = Shape> {
    let field = || prop::sample::select(FIELDS).prop_map(str::to_owned);
    (
        proptest::collection::btree_set(field(), 0..3),
        prop::option::of((field(), range_ops())),
        prop::option::of(field()),
    )
        .prop_map(|(fixed, range, order)| (fixed.into_iter().collect(), range, order))
}

pub fn request() -> impl Strategy<Value = ListRequest> {
    (
        prop_oneof![3 => fitting().boxed(), 1 => any_shape().boxed()],
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_flat_map(|((fixed, range, order), down, count, reverse)| {
            let mut conditions: Vec<(String, Op)> =
                fixed.into_iter().map(|field| (field, Op::Eq)).collect();
            if reverse {
                conditions.reverse();
            }
            if let Some((field, ops)) = range {
                conditions.extend(ops.into_iter().map(|op| (field.clone(), op)));
            }
            let filters: Vec<_> = conditions
                .into_iter()
                .map(|(field, op)| {
                    filter_value(&field).prop_map(move |value| Filter {
                        field: field.clone(),
                        op,
                        value,
                    })
                })
                .collect();
            let direction = if down {
                Direction::Descending
            } else {
                Direction::Ascending
            };
            let order = order.map(|field| (field, direction));
            filters.prop_map(move |filters| ListRequest {
                filters,
                order: order.clone(),
                count,
                ..ListRequest::all(50)
            })
        })
}
