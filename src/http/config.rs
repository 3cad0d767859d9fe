//! `/v1/config`: the settings as they stand, and where each came from.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, Services, authenticate::ReqCaller, openapi::Refused, routes};
use crate::config::{Origin, Setting};

/// The configuration as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConfigView {
    /// The file that was read; null where there was none.
    #[schema(required = true)]
    file: Option<String>,
    /// The data folder.
    data: String,
    /// Every setting. None of them is a secret.
    items: Vec<SettingView>,
}

/// A setting as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct SettingView {
    /// Its key, as `section.key`.
    key: &'static str,
    /// Its value.
    value: serde_json::Value,
    /// Where it came from.
    source: Source,
    /// The line of the file, the variable or the flag; null for a default.
    #[schema(required = true)]
    origin: Option<String>,
}

/// Where a setting came from.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The file.
    File,
    /// An environment variable.
    Environment,
    /// A flag of the command line.
    Flag,
}

/// The route.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(
        routes::resource("/v1/config")
            .route(web::get().to(show))
            .route(web::head().to(show)),
    );
}

/// The settings as they stand, and where each came from.
#[utoipa::path(
    get, path = "/v1/config", tag = "server",
    responses((status = 200, description = "The settings", body = ConfigView), Refused)
)]
pub async fn show(app: Services, caller: ReqCaller) -> Answer {
    caller.0.require_operator()?;
    Ok(HttpResponse::Ok().json(ConfigView {
        file: app
            .config
            .file
            .as_ref()
            .map(|path| path.display().to_string()),
        data: app.config.data.display().to_string(),
        items: app.config.settings.iter().map(view).collect(),
    }))
}

fn view(setting: &Setting) -> SettingView {
    let source = match setting.origin {
        Origin::Default => Source::Default,
        Origin::File { .. } => Source::File,
        Origin::Environment(_) => Source::Environment,
        Origin::Flag(_) => Source::Flag,
    };
    SettingView {
        key: setting.key,
        value: setting.value.clone(),
        source,
        origin: (setting.origin != Origin::Default).then(|| setting.origin.to_string()),
    }
}
