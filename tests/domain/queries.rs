//! A planned list gives what filtering and sorting everything would, and a
//! refused one is served once the suggested lines are added.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;
use tenantry::base::Instant;
use tenantry::domain::query::{
    Access, CountPlan, Direction, Filter, ListRequest, Op, Plan, PlanError, plan,
};
use tenantry::domain::value::decode_values;
use tenantry::domain::{AppFile, EXAMPLE_APP, Entity, Field, Index, IndexValue, SystemField};

use crate::lists::{APP, Record, entity, records, request};

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

/// Nobody is told to add what would be refused.
#[test]
fn no_lines_are_offered_for_a_built_in_entity() {
    let app = AppFile::parse(EXAMPLE_APP).unwrap();
    let report = app.entity("report").unwrap();
    let pairs = [("total".to_owned(), "3".to_owned())];
    let request = ListRequest::from_pairs(pairs, 50, 500).unwrap();
    let refused = plan(report, &|_| true, &request).unwrap_err();
    let PlanError::NeedsIndex { detail, suggestion } = refused else {
        panic!("{refused}");
    };
    assert!(detail.contains("none can be added"), "{detail}");
    assert!(suggestion.contains("by_job"), "{suggestion}");
}
