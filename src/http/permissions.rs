//! What each route demands of its caller.

/// The methods of a route's pattern, as `Allow` lists them.
pub fn methods(_pattern: &str) -> String {
    String::new()
}
