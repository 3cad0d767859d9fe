//! A planned list gives what filtering and sorting everything would, and a
//! refused one is served once the suggested lines are added.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use tenantry::base::Instant;
use tenantry::domain::query::{
    Access, CountPlan, Direction, Filter, ListRequest, Op, Plan, PlanError, plan,
};
use tenantry::domain::value::decode_values;
use tenantry::domain::{AppFile, Entity, Field, Index, IndexValue, RecordMeta, SystemField};

const APP: &str = r#"
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
"#;

fn entity() -> std::sync::Arc<Entity> {
    AppFile::parse(APP)
        .unwrap()
        .entity("thing")
        .unwrap()
        .clone()
}

#[derive(Debug, Clone)]
struct Record {
    id: String,
    meta: RecordMeta,
    data: Value,
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
fn records() -> impl Strategy<Value = Vec<Record>> {
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

fn request() -> impl Strategy<Value = ListRequest> {
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

/// The values of a field in a record, by hand.
fn values_of(field: &Field, record: &Record) -> Vec<IndexValue> {
    let millis = |at: Instant| vec![IndexValue::from_query(field.kind, &at.to_rfc3339()).unwrap()];
    match field.system {
        Some(SystemField::CreatedAt) => return millis(record.meta.created_at),
        Some(SystemField::UpdatedAt) => return millis(record.meta.updated_at),
        None => {}
    }
    let pointer = format!("/{}", field.path.replace('.', "/"));
    match record.data.pointer(&pointer) {
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| IndexValue::from_json(field.kind, item))
            .collect(),
        Some(value) => IndexValue::from_json(field.kind, value)
            .into_iter()
            .collect(),
        None => Vec::new(),
    }
}

fn matches(entity: &Entity, filter: &Filter, record: &Record) -> bool {
    if filter.field == "id" {
        let (id, want) = (record.id.as_str(), filter.value.as_str());
        return compare(filter.op, &id, &want, id.starts_with(want));
    }
    let field = entity.field(&filter.field).unwrap();
    values_of(&field, record).iter().any(|value| {
        if filter.op == Op::Prefix {
            return matches!(value, IndexValue::Text(text) if text.starts_with(&filter.value));
        }
        let want = IndexValue::from_query(field.kind, &filter.value).unwrap();
        compare(filter.op, value, &want, false)
    })
}

fn compare<T: Ord>(op: Op, value: &T, want: &T, prefixed: bool) -> bool {
    match op {
        Op::Eq => value == want,
        Op::Gt => value > want,
        Op::Gte => value >= want,
        Op::Lt => value < want,
        Op::Lte => value <= want,
        Op::Prefix => prefixed,
    }
}

/// The rows that a store would hold, and the records whose unique values were free.
struct Rows<'r> {
    records: Vec<&'r Record>,
    ids: BTreeSet<Vec<u8>>,
    indexes: BTreeMap<String, BTreeMap<Vec<u8>, String>>,
    counters: BTreeMap<(String, Vec<u8>), usize>,
}

fn store<'r>(entity: &Entity, records: &'r [Record]) -> Rows<'r> {
    let mut rows = Rows {
        records: Vec::new(),
        ids: BTreeSet::new(),
        indexes: entity
            .indexes
            .iter()
            .map(|i| (i.name.to_string(), BTreeMap::new()))
            .collect(),
        counters: BTreeMap::new(),
    };
    for record in records {
        let keys = |index: &Index| {
            entity
                .index_keys(index, &record.meta, &record.data)
                .unwrap()
        };
        let taken = entity
            .indexes
            .iter()
            .filter(|index| index.unique)
            .any(|index| {
                keys(index)
                    .iter()
                    .any(|key| rows.indexes[index.name.as_str()].contains_key(key))
            });
        if taken {
            continue;
        }
        rows.records.push(record);
        rows.ids.insert(record.id.clone().into_bytes());
        for index in &entity.indexes {
            for mut key in keys(index) {
                if !index.unique {
                    key.extend(record.id.as_bytes());
                }
                let before = rows
                    .indexes
                    .get_mut(index.name.as_str())
                    .unwrap()
                    .insert(key, record.id.clone());
                assert_eq!(before, None, "two records in one row");
            }
            for row in entity
                .index_rows(index, &record.meta, &record.data)
                .unwrap()
            {
                if let Some(counted) = index.count_prefix(&row) {
                    *rows
                        .counters
                        .entry((index.name.to_string(), counted))
                        .or_default() += 1;
                }
            }
        }
    }
    rows
}

/// The ids that the plan's range holds, in its direction.
fn planned(rows: &Rows<'_>, plan: &Plan) -> Vec<String> {
    let range = plan.access.range();
    let mut ids: Vec<String> = match &plan.access {
        Access::Id { .. } | Access::CreatedAt { .. } => rows
            .ids
            .iter()
            .filter(|id| range.contains(id))
            .map(|id| String::from_utf8(id.clone()).unwrap())
            .collect(),
        Access::Index { index, equals, .. } => rows.indexes[index.name.as_str()]
            .iter()
            .filter(|(key, _)| range.contains(key))
            .map(|(key, id)| {
                let (values, rest) = decode_values(key, index.fields.len()).unwrap();
                assert!(values.starts_with(equals));
                assert_eq!(rest, if index.unique { b"" } else { id.as_bytes() });
                id.clone()
            })
            .collect(),
    };
    if plan.direction == Direction::Descending {
        ids.reverse();
    }
    ids
}

/// The ids by filtering and sorting everything.
fn naive(entity: &Entity, rows: &Rows<'_>, plan: &Plan, request: &ListRequest) -> Vec<String> {
    let mut found: Vec<(Vec<Vec<IndexValue>>, &str)> = rows
        .records
        .iter()
        .filter(|record| {
            request
                .filters
                .iter()
                .all(|filter| matches(entity, filter, record))
        })
        .filter_map(|record| {
            let mut values = Vec::new();
            if let Access::Index { index, equals, .. } = &plan.access {
                // An index leaves out a record that lacks one of its fields.
                values.extend(index.fields.iter().map(|field| values_of(field, record)));
                if values.iter().any(Vec::is_empty) {
                    return None;
                }
                values.drain(..equals.len());
            }
            if matches!(plan.access, Access::CreatedAt { .. }) {
                let created = entity.field("created_at").unwrap();
                values.push(values_of(&created, record));
            }
            // What was asked for decides first; it is what the index orders by, too.
            if let Some((order, _)) = &request.order
                && order != "id"
            {
                let field = entity.field(order).unwrap();
                let fixed = request
                    .filters
                    .iter()
                    .any(|f| f.field == *order && f.op == Op::Eq);
                if !fixed {
                    values.insert(0, values_of(&field, record));
                }
            }
            Some((values, record.id.as_str()))
        })
        .collect();
    found.sort();
    let mut ids: Vec<String> = found.into_iter().map(|(_, id)| id.to_owned()).collect();
    if plan.direction == Direction::Descending {
        ids.reverse();
    }
    ids
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_list_is_what_filtering_and_sorting_gives(records in records(), request in request()) {
        let entity = entity();
        let rows = store(&entity, &records);
        match plan(&entity, &|_| true, &request) {
            Ok(plan) => {
                let want = naive(&entity, &rows, &plan, &request);
                prop_assert_eq!(planned(&rows, &plan), &want[..], "{:?}", plan);
                match &plan.count {
                    CountPlan::None => prop_assert!(!request.count),
                    CountPlan::Entity => prop_assert!(request.filters.is_empty()),
                    CountPlan::IndexPrefix { index, values } => {
                        let counted = tenantry::domain::value::encode_values(values);
                        let counter = rows.counters.get(&(index.to_string(), counted)).copied();
                        prop_assert_eq!(counter.unwrap_or(0), want.len());
                    }
                }
            }
            Err(PlanError::NeedsIndex { detail, suggestion }) => {
                let widened = AppFile::parse(&format!("{APP}\n{suggestion}\n"));
                if detail.contains("Add the suggested lines") {
                    let app = widened.expect("the suggestion is an index that can be declared");
                    let mut request = request;
                    request.count = false;
                    let plan = plan(app.entity("thing").unwrap(), &|_| true, &request);
                    prop_assert!(plan.is_ok(), "{suggestion}: {plan:?}");
                } else {
                    let alone = APP.split("[[").next().unwrap();
                    let app = AppFile::parse(&format!("{alone}\n{suggestion}\n"));
                    prop_assert!(app.is_ok(), "{suggestion}: {app:?}");
                }
            }
            Err(PlanError::CountNeedsCounter { .. }) => prop_assert!(request.count),
            Err(PlanError::NotReady { .. }) => prop_assert!(false, "every index is ready"),
            Err(PlanError::BadValue { .. } | PlanError::MultiRange { .. }) => {}
        }
    }
}

/// The property above would hold of a planner that refuses everything.
#[test]
fn every_index_is_used_by_the_lists_that_fit_it() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (entity, mut used, mut served) = (entity(), BTreeSet::new(), 0);
    for _ in 0..1_000 {
        let mut request = request().new_tree(&mut runner).unwrap().current();
        request.count = false;
        if let Ok(plan) = plan(&entity, &|_| true, &request) {
            used.insert(plan.access.name().to_owned());
            served += 1;
        }
    }
    let want: BTreeSet<String> = entity
        .indexes
        .iter()
        .map(|i| i.name.to_string())
        .chain(["id".into(), "created_at".into()])
        .collect();
    assert_eq!(used, want);
    assert!(served > 500, "{served} of 1,000 lists were served");
}
