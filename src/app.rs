//! Wires everything, owns the threads, keeps the order of shutdown.
