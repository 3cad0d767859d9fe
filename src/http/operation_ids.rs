//! A name for each operation of the OpenAPI document, unique as its specification
//! asks for: the method and the path, as in
//! `getTenantsByTenantKeys`.

use utoipa::{
    Modify,
    openapi::{OpenApi, path::Operation},
};

/// Gives every operation its id.
pub struct OperationIds;

impl Modify for OperationIds {
    fn modify(&self, document: &mut OpenApi) {
        for (path, item) in &mut document.paths.paths {
            let methods: [(&str, &mut Option<Operation>); 5] = [
                ("get", &mut item.get),
                ("put", &mut item.put),
                ("post", &mut item.post),
                ("patch", &mut item.patch),
                ("delete", &mut item.delete),
            ];
            for (method, operation) in methods {
                if let Some(operation) = operation {
                    operation.operation_id = Some(id(method, path));
                }
            }
        }
    }
}

/// `getTenantsByTenantKeys` for `GET /v1/tenants/{tenant}/keys`.
fn id(method: &str, path: &str) -> String {
    let mut id = method.to_owned();
    for part in path.split('/').filter(|part| *part != "v1") {
        let parameter = part
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'));
        match parameter {
            Some(name) => {
                id.push_str("By");
                push_name(&mut id, name);
            }
            None => push_name(&mut id, part),
        }
    }
    id
}

/// Appends `name` in camel case.
fn push_name(id: &mut String, name: &str) {
    for word in name.split(['.', '-', '_']) {
        let mut letters = word.chars();
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(letters.as_str());
    }
}
