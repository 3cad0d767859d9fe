//! Lists that are not answered, in words, with the index that would answer them.

use super::asked::{Asked, Order};
use super::plan::{Next, PlanError};
use super::suggest::index_lines;
use crate::domain::app_file::is_built_in;
use crate::domain::entity::{Entity, Field, INDEX_FIELDS_MAX, SystemField};
use crate::domain::similar;

/// What comes behind the fields fixed by equality: the range's field or the
/// order's. An error where no single index can ever give that.
pub(super) fn next_of(entity: &Entity, asked: &Asked) -> Result<Next, PlanError> {
    let ordered = asked.order.as_ref();
    let ranged = asked.ranges.iter().map(|(field, _)| field);
    let moving = ranged.clone().chain(match ordered {
        Some(Order::Field(field)) => Some(field),
        _ => None,
    });
    if let Some(field) = moving.into_iter().find(|field| field.multi) {
        return Err(PlanError::MultiRange {
            field: field.path.clone(),
            detail: "is a list, each item of which has a row of its own, so that a range or an \
                     order would give a record several times; only equality is served, as in \
                     field=item"
                .to_owned(),
        });
    }
    let several = |detail: String| PlanError::NeedsIndex {
        detail: format!("{detail} The suggested index serves the list without the second one."),
        suggestion: suggestion(entity, &best_fields(asked)),
    };
    let names: Vec<&str> = ranged
        .map(|field| field.path.as_str())
        .chain((!asked.ids.is_empty()).then_some("id"))
        .collect();
    if let [first, second, ..] = names[..] {
        return Err(several(format!(
            "A list has one range, as an index has one order: {first} and {second} both have one."
        )));
    }
    let order = ordered.map(|order| match order {
        Order::Id => "id",
        Order::Field(field) => field.path.as_str(),
    });
    if let (Some(range), Some(order)) = (names.first(), order)
        && *range != order
    {
        return Err(several(format!(
            "A list is ordered by the field that it has a range on: the range is on {range}, the \
             order by {order}. Order by {range}, or fix it with =."
        )));
    }
    Ok(match (asked.ranges.first(), ordered) {
        (Some((field, _)), _) | (None, Some(Order::Field(field))) => Next::Field(field.clone()),
        (None, Some(Order::Id)) => Next::Id,
        (None, None) if !asked.ids.is_empty() => Next::Id,
        (None, None) => Next::Nothing,
    })
}

/// The refusal of a list that a further index would serve.
pub(super) fn needs_index(entity: &Entity, asked: &Asked, next: &Next) -> PlanError {
    let mut fields = fixed_fields(asked);
    let lists = asked.equals.iter().filter(|(field, _)| field.multi).count();
    let wish = match next {
        Next::Nothing => String::new(),
        Next::Id => ", order by id".to_owned(),
        Next::Field(field) => format!(", range or order on {}", field.path),
    };
    let asked_for = match fields.as_slice() {
        [] => wish.trim_start_matches(", ").to_owned(),
        fixed => format!("equality on {}{wish}", fixed.join(", ")),
    };
    if is_built_in(&entity.name) {
        return built_in(entity, &asked_for);
    }
    if let Next::Field(field) = next {
        fields.push(&field.path);
    }
    let detail = if lists > 1 {
        format!(
            "No index can serve this list ({asked_for}): an index has at most one field that is a \
             list. The suggested index serves one of them."
        )
    } else if fields.len() > INDEX_FIELDS_MAX {
        format!(
            "No index can serve this list ({asked_for}): an index has at most {INDEX_FIELDS_MAX} \
             fields. The suggested index serves the first ones."
        )
    } else {
        format!(
            "No index of {} serves this list ({asked_for}). Add the suggested lines to app.toml \
             and apply it.",
            entity.name
        )
    };
    if lists > 1 {
        fields = best_fields(asked);
    }
    fields.truncate(INDEX_FIELDS_MAX);
    PlanError::NeedsIndex {
        detail: detail + &misspelt(entity, &fields),
        suggestion: suggestion(entity, &fields),
    }
}

/// The refusal of a list of an entity that no app file can give an index.
fn built_in(entity: &Entity, asked_for: &str) -> PlanError {
    let own = entity.indexes.iter().map(|index| {
        let fields: Vec<&str> = index.fields.iter().map(|f| f.path.as_str()).collect();
        index_lines(entity, Some(index), &fields)
    });
    PlanError::NeedsIndex {
        detail: format!(
            "No index of {} serves this list ({asked_for}), and none can be added: the entity is \
             built in. The suggested lines are those that it has.",
            entity.name
        ),
        suggestion: own.collect::<Vec<_>>().join("\n\n"),
    }
}

/// A remark on fields that the schema does not know, where it knows one so like
/// them that they are a slip.
fn misspelt(entity: &Entity, fields: &[&str]) -> String {
    let known = entity
        .schema
        .get("properties")
        .and_then(|named| named.as_object());
    let Some(known) = known else {
        return String::new();
    };
    let top = |field: &&str| field.split('.').next().map(str::to_owned);
    let unknown = fields
        .iter()
        .filter(|field| SystemField::named(field).is_none());
    let near = unknown
        .filter_map(top)
        .filter(|name| !known.contains_key(name))
        .find_map(|name| {
            let near = similar::nearest(&name, known.keys().map(String::as_str))?;
            Some(format!(" The schema has no {name}; did you mean {near}?"))
        });
    near.unwrap_or_default()
}

/// The refusal of a count that no counter holds.
pub(super) fn no_counter(entity: &Entity, asked: &Asked) -> PlanError {
    let counted = entity
        .indexes
        .iter()
        .filter(|index| index.count && index.fields.len() > 1);
    let known: Vec<String> = counted
        .map(|index| {
            let fields: Vec<&str> = index.fields.iter().map(|f| f.path.as_str()).collect();
            fields[..fields.len() - 1].join(" and ")
        })
        .collect();
    let why = if asked.ranges.is_empty() && asked.ids.is_empty() {
        "No counter holds this count."
    } else {
        "A count over a range would have to read it all, so it is refused."
    };
    let offer = if known.is_empty() {
        "Count without filters, or declare an index with count = true on the fields to count by \
         and one more."
            .to_owned()
    } else {
        format!(
            "Count without filters, or with equality on exactly {}; or declare an index with \
             count = true on the fields to count by and one more.",
            known.join("; or on ")
        )
    };
    PlanError::CountNeedsCounter {
        detail: format!("{why} {offer}"),
    }
}

fn fixed_fields(asked: &Asked) -> Vec<&str> {
    asked
        .equals
        .iter()
        .map(|(field, _)| field.path.as_str())
        .collect()
}

/// As much of the list as one index can serve: the fields fixed, with one list at
/// most, and one that has a range or orders.
fn best_fields(asked: &Asked) -> Vec<&str> {
    let mut lists = 0;
    let mut one_list = |field: &Field| {
        lists += usize::from(field.multi);
        !field.multi || lists == 1
    };
    let mut fields: Vec<&str> = asked
        .equals
        .iter()
        .filter(|(field, _)| one_list(field))
        .map(|(field, _)| field.path.as_str())
        .collect();
    let ranged = asked.ranges.first().map(|(field, _)| field.path.as_str());
    fields.extend(ranged.or(match &asked.order {
        Some(Order::Field(field)) => Some(&*field.path),
        _ => None,
    }));
    fields
}

/// The lines for an index over `fields`, or those of the one that is there already.
fn suggestion(entity: &Entity, fields: &[&str]) -> String {
    let same = entity.indexes.iter().find(|index| {
        !index.unique
            && index
                .fields
                .iter()
                .map(|field| field.path.as_str())
                .eq(fields.iter().copied())
    });
    index_lines(entity, same, fields)
}
