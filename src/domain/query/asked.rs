//! A list's filters and order, held against the entity: which fields are fixed,
//! which one has a range, which one orders.

use super::plan::PlanError;
use super::range::Edge;
use super::request::{Direction, Filter, ListRequest, Op};
use crate::domain::entity::{Entity, Field};
use crate::domain::value::{IndexValue, Kind, TEXT_BYTES_MAX};

/// What a list asks for.
#[derive(Debug)]
pub(super) struct Asked {
    /// Fields fixed by equality, in the order given.
    pub equals: Vec<(Field, IndexValue)>,
    /// Ranges over fields, in the order given. More than one is never served.
    pub ranges: Vec<(Field, Vec<Edge<IndexValue>>)>,
    /// The range over the record's id.
    pub ids: Vec<Edge<String>>,
    /// What the list is ordered by, where that is said and not fixed by equality.
    pub order: Option<Order>,
    pub direction: Direction,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    Id,
    Field(Field),
}

impl Asked {
    pub(super) fn read(entity: &Entity, request: &ListRequest) -> Result<Self, PlanError> {
        let mut asked = Asked {
            equals: Vec::new(),
            ranges: Vec::new(),
            ids: Vec::new(),
            order: None,
            direction: request
                .order
                .as_ref()
                .map_or_else(Direction::default, |(_, d)| *d),
        };
        for filter in &request.filters {
            if filter.field == "id" {
                asked.ids.extend(id_edges(filter));
            } else {
                asked.take(field(entity, &filter.field)?, filter)?;
            }
        }
        if let Some((name, _)) = &request.order {
            let fixed = asked.equals.iter().any(|(field, _)| field.path == *name);
            asked.order = match name.as_str() {
                _ if fixed => None,
                "id" => Some(Order::Id),
                _ => Some(Order::Field(field(entity, name)?)),
            };
        }
        Ok(asked)
    }

    fn take(&mut self, field: Field, filter: &Filter) -> Result<(), PlanError> {
        let fixed = self
            .equals
            .iter()
            .any(|(other, _)| other.path == field.path);
        let range = self
            .ranges
            .iter()
            .position(|(other, _)| other.path == field.path);
        if fixed || (filter.op == Op::Eq && range.is_some()) {
            return Err(bad_value(
                &field.path,
                "is fixed by = and has another condition; keep one",
            ));
        }
        if filter.op == Op::Eq {
            let value = value(&field, &filter.value)?;
            self.equals.push((field, value));
            return Ok(());
        }
        let edge = edge(&field, filter)?;
        match range {
            Some(at) => self.ranges[at].1.push(edge),
            None => self.ranges.push((field, vec![edge])),
        }
        Ok(())
    }
}

fn field(entity: &Entity, path: &str) -> Result<Field, PlanError> {
    entity.field(path).map_err(|detail| {
        let subject = format!("{path} ");
        bad_value(path, detail.strip_prefix(&subject).unwrap_or(&detail))
    })
}

fn value(field: &Field, text: &str) -> Result<IndexValue, PlanError> {
    IndexValue::from_query(field.kind, text).map_err(|detail| bad_value(&field.path, &detail))
}

fn edge(field: &Field, filter: &Filter) -> Result<Edge<IndexValue>, PlanError> {
    if filter.op == Op::Prefix {
        if field.kind != Kind::Text {
            let detail = format!("is a {}; [prefix] is for strings", field.kind.name());
            return Err(bad_value(&field.path, &detail));
        }
        if filter.value.len() > TEXT_BYTES_MAX {
            let detail = format!("the prefix is longer than {TEXT_BYTES_MAX} bytes");
            return Err(bad_value(&field.path, &detail));
        }
        return Ok(Edge::Prefix(filter.value.clone()));
    }
    let value = value(field, &filter.value)?;
    Ok(match filter.op {
        Op::Gt => Edge::Above(value),
        Op::Gte => Edge::From(value),
        Op::Lt => Edge::Below(value),
        _ => Edge::UpTo(value),
    })
}

fn id_edges(filter: &Filter) -> Vec<Edge<String>> {
    let id = filter.value.clone();
    match filter.op {
        Op::Eq => vec![Edge::From(id.clone()), Edge::UpTo(id)],
        Op::Gt => vec![Edge::Above(id)],
        Op::Gte => vec![Edge::From(id)],
        Op::Lt => vec![Edge::Below(id)],
        Op::Lte => vec![Edge::UpTo(id)],
        Op::Prefix => vec![Edge::Prefix(id)],
    }
}

fn bad_value(field: &str, detail: &str) -> PlanError {
    PlanError::BadValue {
        field: field.to_owned(),
        detail: detail.to_owned(),
    }
}
