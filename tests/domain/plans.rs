//! Which index serves which list, and what is said where none does.

use tenantry::domain::query::{Access, CountPlan, ListRequest, Plan, PlanError, plan};
use tenantry::domain::{AppFile, EXAMPLE_APP};

const APP: &str = r#"
[entity.ticket.schema]
additionalProperties = false
properties.status = { enum = ["open", "closed"] }
properties.priority = { type = "integer" }
properties.opened_at = { type = "string", format = "date-time" }
properties.number = { type = "string" }
properties.team = { type = "string" }
properties.tags = { type = "array", items = { type = "string" } }
properties.meta = { type = "object" }

[[entity.ticket.index]]
name = "by_status_opened"
fields = ["status", "opened_at"]
[[entity.ticket.index]]
name = "by_status"
fields = ["status"]
[[entity.ticket.index]]
name = "by_number_team"
fields = ["number", "team"]
unique = true
[[entity.ticket.index]]
name = "by_team_number"
fields = ["team", "number"]
count = false
[[entity.ticket.index]]
name = "by_tags"
fields = ["tags", "opened_at"]
[[entity.ticket.index]]
name = "by_priority"
fields = ["priority", "opened_at"]
"#;

fn request(query: &str) -> ListRequest {
    let pairs = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
    ListRequest::from_pairs(pairs, 50, 500).unwrap()
}

fn planned(query: &str) -> Result<Plan, PlanError> {
    let app = AppFile::parse(APP).unwrap();
    // by_priority is still being built.
    plan(
        app.entity("ticket").unwrap(),
        &|index| index.as_str() != "by_priority",
        &request(query),
    )
}

fn served_by(query: &str) -> String {
    planned(query).unwrap().access.name().to_owned()
}

#[test]
fn the_index_chosen() {
    for (query, index) in [
        ("", "id"),
        ("order=-id", "id"),
        ("id[prefix]=0192", "id"),
        ("id=x", "id"),
        ("order=-created_at", "created_at"),
        ("created_at[gte]=2026-01-01", "created_at"),
        ("created_at=2026-01-01", "created_at"),
        ("status=open", "by_status"),
        ("status=open&id[gt]=x", "by_status"),
        ("status=open&order=-id", "by_status"),
        ("status=open&order=status", "by_status"),
        ("status=open&order=-opened_at", "by_status_opened"),
        (
            "status=open&opened_at[gte]=2026-03-01&opened_at[lt]=2026-04-01",
            "by_status_opened",
        ),
        ("status[prefix]=o", "by_status"),
        ("order=status", "by_status"),
        ("team=a&number=7", "by_number_team"),
        ("number=7&team=a", "by_number_team"),
        ("number=7&team=a&order=id", "by_team_number"),
        ("number=7&order=team", "by_number_team"),
        ("tags=red", "by_tags"),
        ("tags=red&order=-tags", "by_tags"),
        // by_status has fewer fields but holds no counter for it.
        ("status=open&count=true", "by_status_opened"),
    ] {
        assert_eq!(served_by(query), index, "{query}");
    }
}

#[test]
fn an_index_that_is_not_ready_is_passed_by() {
    let error = planned("priority=1").unwrap_err();
    assert!(matches!(error, PlanError::NotReady { index } if index.as_str() == "by_priority"));
    let app = AppFile::parse(APP).unwrap();
    let ready = |index: &tenantry::domain::IndexName| index.as_str() != "by_status";
    let plan = plan(
        app.entity("ticket").unwrap(),
        &ready,
        &request("status=open"),
    )
    .unwrap();
    assert_eq!(plan.access.name(), "by_status_opened");
}

#[test]
fn counts() {
    assert_eq!(planned("count=true").unwrap().count, CountPlan::Entity);
    assert_eq!(
        planned("count=true&order=-created_at").unwrap().count,
        CountPlan::Entity
    );
    let count = planned("status=open&count=true&order=-opened_at")
        .unwrap()
        .count;
    assert!(
        matches!(count, CountPlan::IndexPrefix { index, values } if index.as_str() == "by_status_opened" && values.len() == 1)
    );
    for query in [
        "count=true&status=open&opened_at[gte]=2026-01-01",
        "count=true&created_at[gte]=2026-01-01",
        "count=true&id[gt]=a",
        "count=true&team=a",
    ] {
        assert!(
            matches!(planned(query), Err(PlanError::CountNeedsCounter { .. })),
            "{query}"
        );
    }
}

#[test]
fn an_empty_interval_is_an_empty_page() {
    for query in [
        "status=open&opened_at[gt]=2026-03-02&opened_at[lt]=2026-03-01",
        "created_at[gt]=2026-03-02&created_at[lt]=2026-03-01",
        "created_at[lt]=1960-01-01",
        "id[gt]=b&id[lt]=a",
    ] {
        assert!(planned(query).unwrap().access.range().is_empty(), "{query}");
    }
}

#[test]
fn the_range_of_a_time_is_that_of_its_ids() {
    let plan = planned(
        "created_at[gt]=2026-01-01T00:00:00.0005Z&created_at[lte]=2026-01-01T00:00:00.002Z",
    )
    .unwrap();
    let Access::CreatedAt {
        lower,
        upper,
        range,
    } = plan.access
    else {
        panic!("{:?}", plan.access)
    };
    assert_eq!((lower.unwrap().0 % 1000, upper.unwrap().0 % 1000), (1, 2));
    let (first, last) = (
        tenantry::base::id_bounds(lower.unwrap()),
        tenantry::base::id_bounds(upper.unwrap()),
    );
    assert!(range.contains(first.0.as_bytes()) && range.contains(last.1.as_bytes()));
    assert!(
        !range.contains(
            tenantry::base::id_bounds(lower.unwrap().plus_ms(-1))
                .1
                .as_bytes()
        )
    );
    assert!(
        !range.contains(
            tenantry::base::id_bounds(upper.unwrap().plus_ms(1))
                .0
                .as_bytes()
        )
    );
}

#[test]
fn refusals() {
    let said: Vec<String> = [
        "priority=1&status=open&order=-opened_at",
        "status=open&priority[gte]=1&opened_at[gte]=2026-01-01",
        "opened_at[gte]=2026-01-01",
        "opened_at[gte]=2026-01-01&order=team",
        "team=a&tags=red&tags[gt]=a",
        "tags[prefix]=r",
        "order=tags",
        "tags=red&team=a&priority=1",
        "order=-updated_at",
        "order=statsu",
        "meta=1",
        "priority=high",
        "priority[prefix]=1",
        "opened_at[gte]=yesterday",
        "status=open&status[gt]=a",
        "count=true&team=a",
        "count=true&created_at[gte]=2026-01-01",
    ]
    .into_iter()
    .map(|query| {
        let error = planned(query).unwrap_err();
        let lines = match &error {
            PlanError::NeedsIndex { suggestion, .. } => format!("\n{suggestion}"),
            _ => String::new(),
        };
        format!("?{query}\n{error}{lines}\n")
    })
    .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_slip_in_an_open_schema_is_told() {
    let app = AppFile::parse(EXAMPLE_APP).unwrap();
    let error = plan(
        app.entity("ticket").unwrap(),
        &|_| true,
        &request("statsu=open"),
    )
    .unwrap_err();
    insta::assert_snapshot!(error.to_string());
}

#[test]
fn a_suggested_name_is_new_and_short() {
    let long = "x".repeat(70);
    let error = planned_in(EXAMPLE_APP, &format!("{long}=1")).unwrap_err();
    let PlanError::NeedsIndex { suggestion, .. } = error else {
        panic!()
    };
    let name = suggestion.split('"').nth(1).unwrap();
    assert_eq!(name.len(), 63);
    let app = format!(
        "{EXAMPLE_APP}\n[[entity.ticket.index]]\nname = \"by_subject\"\nfields = [\"status\"]"
    );
    let PlanError::NeedsIndex { suggestion, .. } = planned_in(&app, "subject=x").unwrap_err()
    else {
        panic!()
    };
    assert_eq!(suggestion.split('"').nth(1).unwrap(), "by_subject_2");
}

fn planned_in(app: &str, query: &str) -> Result<Plan, PlanError> {
    plan(
        AppFile::parse(app).unwrap().entity("ticket").unwrap(),
        &|_| true,
        &request(query),
    )
}
