//! Content type and content coding → format and decoded bytes, bounded while decoding (SPEC 1.2).
