//! What the server says over HTTP: thin handlers, one file a resource, each with
//! its part of the OpenAPI document. A handler parses, calls one service function
//! and renders. `routes.rs` puts them together, `server.rs` serves them.

pub mod activity;
mod answer;
pub mod app_file;
pub mod archive;
pub mod assets;
mod at_once;
pub mod auth;
pub mod authenticate;
pub mod backups;
pub mod batch;
pub mod body;
pub mod client;
pub mod compress;
mod conditions;
pub mod config;
pub mod connections;
pub mod cors;
pub mod events;
pub mod headers;
pub mod health;
pub mod holds;
pub mod jobs;
pub mod keys;
pub mod liveness;
pub mod metrics;
pub mod observe;
pub mod openapi;
mod operation_ids;
pub mod operators;
pub mod overview;
mod page;
pub mod permissions;
pub mod problem;
pub mod recent;
pub mod records;
pub mod routes;
pub mod runs;
pub mod samples;
pub mod server;
pub mod store;
pub mod tenants;
pub mod tls;
pub mod transfer;
pub mod unread;

/// How a handler answers.
pub type Answer = Result<actix_web::HttpResponse, problem::Problem>;

/// The services, as handlers get them.
pub type Services = actix_web::web::Data<crate::app::App>;
