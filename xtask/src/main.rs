//! The commands of the people who work on Tenantry.
fn main() {}
