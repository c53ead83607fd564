//! TOML and environment → validated options of each module (SPEC 4).
