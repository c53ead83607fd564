//! The binary: arguments → configuration → the application → exit status.

fn main() {}
