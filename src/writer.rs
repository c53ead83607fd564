//! The one thread that owns the output: batches → sink → acknowledgements (SPEC 3).
