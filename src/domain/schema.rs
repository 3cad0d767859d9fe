//! An entity's JSON Schema.
