//! The two app files that a simulation changes between.

pub const APP: &str = concat!(include_str!("app.toml"), "");

/// As [`APP`], with an index more.
pub const LARGER: &str = concat!(
    include_str!("app.toml"),
    "\n[[entity.comment.index]]\nname = \"by_text\"\nfields = [\"text\"]\n"
);
