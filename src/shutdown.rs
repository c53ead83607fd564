//! Signals → the order of shutdown (SPEC 3).
