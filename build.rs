//! What the build needs: nothing yet.

fn main() {}
