//! The tests that run the whole process, or look at the whole tree, in one binary.
