//! Query strings: each is planned or refused, and a suggestion serves what it was
//! made for.

use std::sync::Arc;

use super::EXAMPLE;
use crate::{
    domain::{
        Entity,
        app_file::{AppFile, EXAMPLE_APP},
        query::{ListRequest, Plan, PlanError, plan},
    },
    http::records::list_request,
};

/// Reads `data` as the query string of a list of each entity.
pub fn queries(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(request) = list_request(text, 50, 500) else {
        return;
    };
    for entity in EXAMPLE.entities.values() {
        match planned(entity, &request) {
            Ok(found) => assert!(found.access.name().len() <= 63),
            Err(PlanError::NeedsIndex { detail, suggestion }) => {
                // Other suggestions are the nearest that there is.
                if detail.contains("Add the suggested lines") {
                    follow(entity.name.as_str(), &request, &suggestion);
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn planned(entity: &Entity, request: &ListRequest) -> Result<Plan, PlanError> {
    plan(entity, &|_| true, request)
}

/// Does as the refusal says.
fn follow(entity: &str, request: &ListRequest, suggestion: &str) {
    let file = format!("{EXAMPLE_APP}\n{suggestion}\n");
    let app = match AppFile::parse(&file) {
        Ok(app) => app,
        Err(problems) => panic!("{suggestion}: {problems:?}"),
    };
    let entity: Option<&Arc<Entity>> = app.entity(entity);
    let Some(entity) = entity else {
        panic!("{suggestion} lost the entity");
    };
    let refused = matches!(planned(entity, request), Err(PlanError::NeedsIndex { .. }));
    assert!(!refused, "{suggestion} does not serve {request:?}");
}
