//! What all connections of the gate share.

use super::auth::Auth;
use super::options::GateOptions;
use crate::current::Current;
use crate::intake::bridge::Budget;
use crate::observe::log::Log;
use crate::observe::telemetry::Telemetry;
use crate::status::Status;
use crate::tls::TlsServer;
use std::sync::Arc;

/// What all connections of the gate share.
#[derive(Debug)]
pub(super) struct GateContext {
    pub(super) options: Current<GateOptions>,
    pub(super) budget: Arc<Budget>,
    pub(super) auth: Current<Auth>,
    /// What TCP listeners speak TLS with; none where they do not.
    pub(super) tls: Current<Option<TlsServer>>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) status: Arc<Status>,
    pub(super) log: Arc<Log>,
}
