//! Point → bytes: escaping and numbers (SPEC 2.4).
