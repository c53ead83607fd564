//! Credentials of a request → allowed or not (SPEC 1, 401).
