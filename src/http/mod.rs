//! What the server says over HTTP.

pub mod assets;
pub mod authenticate;
pub mod problem;

/// How a handler answers.
pub type Answer = Result<actix_web::HttpResponse, problem::Problem>;
