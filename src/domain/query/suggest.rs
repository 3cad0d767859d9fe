//! The lines for `app.toml` that would serve a list.

use crate::domain::entity::{Entity, Index};

/// The declaration of an index over `fields`, under the name of `same` or one that
/// the entity does not have yet.
pub(super) fn index_lines(entity: &Entity, same: Option<&Index>, fields: &[&str]) -> String {
    let list: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
    format!(
        "[[entity.{}.index]]\nname = \"{}\"\nfields = [{}]",
        entity.name,
        same.map_or_else(
            || index_name(entity, fields),
            |index| index.name.to_string()
        ),
        list.join(", ")
    )
}

/// The index that lets an entity with ids given by clients be listed by `created_at`.
pub fn created_at_suggestion(entity: &Entity) -> String {
    index_lines(entity, None, &["created_at"])
}

/// A TOML string. Field names have no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

const NAME_BYTES_MAX: usize = 63;

fn index_name(entity: &Entity, fields: &[&str]) -> String {
    let mut name = "by".to_owned();
    for field in fields {
        name.push('_');
        name.extend(field.chars().map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() => c,
            _ => '_',
        }));
    }
    name.truncate(NAME_BYTES_MAX);
    let taken = |name: &str| {
        entity
            .indexes
            .iter()
            .any(|index| index.name.as_str() == name)
    };
    let mut unique = name.clone();
    for number in 2.. {
        if !taken(&unique) {
            break;
        }
        let tail = format!("_{number}");
        unique = name.clone();
        unique.truncate(NAME_BYTES_MAX - tail.len());
        unique.push_str(&tail);
    }
    unique
}
