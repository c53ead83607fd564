//! The thread of the gate: changes of sockets → connections that go on.
//!
//! It never waits but for a change of some socket, for a letter, or for the next deadline; so no
//! peer, slow or hostile, holds up another, and a connection costs memory but no thread. Each turn
//! takes the changes and the letters, lets the connections go on that they are for, accepts, and
//! sends the whole requests to the workers, all of them at once.

mod accepting;
mod state;
mod turning;

pub(super) use state::Reactor;
