//! What a supervisor wants to know → datagrams as `sd_notify(3)` of systemd defines them.
//!
//! A datagram is lines of `NAME=value`, sent to the socket that `NOTIFY_SOCKET` names: a path, or
//! an abstract name after `@`. Without that variable nothing is sent. A supervisor that does not
//! listen harms nobody: what cannot be sent is logged at debug. A sign of life does not wait for
//! it; what is rare and must not be missed does, but no longer than a second.

use crate::observe::log::Log;
use crate::system::monotonic_us;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

/// How long a supervisor whose queue is full is waited for.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether a message waits for a supervisor that does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    /// A step or a change: it waits a little.
    Step,
    /// One of many: the next one will do as well.
    Repeated,
}

/// The supervisor, where there is one.
#[derive(Debug)]
pub struct Supervisor {
    peer: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    /// What was last sent as `STATUS=`.
    status: String,
    log: Arc<Log>,
}

impl Supervisor {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`; `pid` is this process. A value
    /// that cannot be used is a supervisor less, never the end of the process.
    pub fn read(
        variable: impl Fn(&'static str) -> Option<OsString>,
        pid: u32,
        log: Arc<Log>,
    ) -> Supervisor {
        let peer = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()).and_then(|name| {
            let opened = open(&name);
            if let Err(error) = &opened {
                log.debug("NOTIFY_SOCKET cannot be used", &[("error", error)]);
            }
            opened.ok()
        });
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        let is_ours =
            variable("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(u64::from(pid));
        let watchdog = number("WATCHDOG_USEC")
            .filter(|usec| *usec > 0 && is_ours && peer.is_some())
            .map(Duration::from_micros);
        Supervisor { peer, watchdog, status: String::new(), log }
    }

    /// Within which time it wants to hear that the process is [alive](Supervisor::alive), always
    /// again.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The process serves, from its start or after a reload.
    pub fn ready(&mut self, status: &str) {
        self.send_with_status("READY=1\n", status);
    }

    /// The configuration is being read again; [`Supervisor::ready`] must follow.
    pub(crate) fn reloading(&self) {
        let message = format!("RELOADING=1\nMONOTONIC_USEC={}\n", monotonic_us());
        self.send(&message, Urgency::Step);
    }

    /// The process has begun to end, and may take so long for that.
    pub fn stopping(&mut self, within: Duration, status: &str) {
        let head = format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}\n", within.as_micros());
        self.send_with_status(&head, status);
    }

    /// The process makes progress.
    pub fn alive(&self) {
        self.send("WATCHDOG=1\n", Urgency::Repeated);
    }

    /// How the process is, in one sentence; sent only when it has changed.
    pub fn status(&mut self, status: &str) {
        if self.status != status {
            self.send_with_status("", status);
        }
    }

    fn send_with_status(&mut self, head: &str, status: &str) {
        status.clone_into(&mut self.status);
        // A path may hold any character, and a line end would begin another assignment.
        let line = status.replace(char::is_control, " ");
        self.send(&format!("{head}STATUS={line}\n"), Urgency::Step);
    }

    fn send(&self, message: &str, urgency: Urgency) {
        let Some((socket, address)) = &self.peer else { return };
        let sent = socket
            .set_nonblocking(urgency == Urgency::Repeated)
            .and_then(|()| socket.send_to_addr(message.as_bytes(), address));
        if let Err(error) = sent {
            self.log.debug("the supervisor cannot be told", &[("error", &error)]);
        }
    }
}

fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => {
            let allowed = "it must be an absolute path, or an abstract name after \"@\"";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, allowed));
        }
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::log::{Level, LogFormat};

    fn read(variables: &[(&str, &str)]) -> Supervisor {
        let variable = |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Supervisor::read(variable, 42, Arc::new(Log::new(Level::Error, LogFormat::Logfmt)))
    }

    #[test]
    fn the_watchdog_is_ours_only_with_a_socket_a_time_and_our_pid() {
        let socket = ("NOTIFY_SOCKET", "@nobody");
        let time = ("WATCHDOG_USEC", "3000000");
        let second = Duration::from_secs(1);
        for (variables, want) in [
            (&[][..], None),
            (&[socket], None),
            (&[time], None),
            (&[socket, time], Some(3 * second)),
            (&[socket, time, ("WATCHDOG_PID", "42")], Some(3 * second)),
            (&[socket, time, ("WATCHDOG_PID", "43")], None),
            (&[socket, time, ("WATCHDOG_PID", "")], None),
            (&[socket, ("WATCHDOG_USEC", "0")], None),
            (&[socket, ("WATCHDOG_USEC", "-1")], None),
            (&[("NOTIFY_SOCKET", "vsock:2:1"), time], None),
            (&[("NOTIFY_SOCKET", ""), time], None),
        ] {
            assert_eq!(read(variables).watchdog(), want, "{variables:?}");
        }
    }

    #[test]
    fn a_datagram_holds_what_sd_notify_defines_and_a_status_once() {
        let name = format!("pushline-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let mut supervisor = read(&[("NOTIFY_SOCKET", &format!("@{name}"))]);
        let receive = || {
            let mut bytes = [0; 512];
            let count = socket.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..count].to_vec()).unwrap()
        };
        supervisor.ready("serving");
        assert_eq!(receive(), "READY=1\nSTATUS=serving\n");
        supervisor.status("serving");
        supervisor.status("stalled: file:/a\nREADY=0");
        assert_eq!(receive(), "STATUS=stalled: file:/a READY=0\n");
        supervisor.alive();
        assert_eq!(receive(), "WATCHDOG=1\n");
        let before = monotonic_us();
        supervisor.reloading();
        let text = receive();
        let time = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end();
        assert!((before..=monotonic_us()).contains(&time.parse().unwrap()), "{text}");
        supervisor.stopping(Duration::from_millis(1500), "draining");
        assert_eq!(receive(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=1500000\nSTATUS=draining\n");
    }

    #[test]
    fn a_supervisor_that_is_not_there_or_does_not_read_harms_nobody() {
        read(&[("NOTIFY_SOCKET", "@pushline-nobody-listens-here")]).ready("serving");
        read(&[("NOTIFY_SOCKET", "/nonexistent/notify")]).ready("serving");
        let name = format!("pushline-deaf-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let deaf = UnixDatagram::bind_addr(&address).unwrap();
        let supervisor = read(&[("NOTIFY_SOCKET", &format!("@{name}"))]);
        // Its queue is full before that (net.unix.max_dgram_qlen): the last ones are given up.
        let (socket, address) = supervisor.peer.as_ref().unwrap();
        socket.set_nonblocking(true).unwrap();
        while socket.send_to_addr(b"X", address).is_ok() {}
        // To wait for each of these would take a quarter of an hour.
        for _ in 0..1000 {
            supervisor.alive();
        }
        supervisor.reloading();
        drop(deaf);
    }
}
