//! Bytes of one exposition → samples (SPEC 1.3, 1.4).
