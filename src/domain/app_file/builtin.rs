//! The entities that every app has without declaring them.

use std::sync::{Arc, LazyLock};

use toml::de::DeTable;

use super::problems::{Place, Problems};
use super::read::read_entity;
use super::table::Table;
use crate::domain::{entity::Entity, names::EntityName};

/// The entity of the records that report jobs make.
pub const REPORT: &str = "report";

/// The lists that people want of reports: the latest of a job.
const REPORT_ENTITY: &str = r#"
title = "job"
max_record_bytes = 409600
max_array_items = 100000

[schema]
required = ["job", "entity", "from", "to", "total", "groups"]
properties.job = { type = "string" }
properties.entity = { type = "string" }
properties.from = { type = "string", format = "date-time" }
properties.to = { type = "string", format = "date-time" }
properties.total = { type = "integer" }
properties.groups = { type = "array" }

[[index]]
name = "by_job"
fields = ["job", "from"]
"#;

static BUILT_IN: LazyLock<Vec<Arc<Entity>>> = LazyLock::new(|| {
    let mut problems = Problems::default();
    let name = EntityName::parse(REPORT).ok();
    let document = DeTable::parse_recoverable(REPORT_ENTITY).0;
    let table = Table {
        members: document.get_ref(),
        place: Place {
            path: Vec::new(),
            span: 0..0,
        },
    };
    // A test sees that nothing is wrong with it.
    let entity = read_entity(name.as_ref(), &table, &mut problems);
    entity.into_iter().map(|(e, _)| Arc::new(e)).collect()
});

/// All of them.
pub(super) fn entities() -> impl Iterator<Item = Arc<Entity>> {
    BUILT_IN.iter().cloned()
}

/// Whether an entity is ours: nobody declares it, and only jobs write its records.
pub fn is_built_in(name: &EntityName) -> bool {
    name.as_str() == REPORT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_right() {
        let names: Vec<_> = entities().map(|entity| entity.name.to_string()).collect();
        assert_eq!(names, [REPORT]);
    }
}
