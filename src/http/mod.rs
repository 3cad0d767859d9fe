//! What the server says over HTTP.

pub mod assets;
pub mod authenticate;
pub mod problem;
pub mod store;
pub mod transfer;

/// How a handler answers.
pub type Answer = Result<actix_web::HttpResponse, problem::Problem>;
