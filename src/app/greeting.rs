//! What a start on a terminal says: where the page is, a push to copy, what happens to the lines.
//!
//! Only a person reads it: under a supervisor, or with the log in a file or pipe, nothing is said.

use crate::config::Config;
use crate::delivery::sink::Target;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;

/// Whether a person is greeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// A person looks on.
    Given,
    /// Nobody does.
    Omitted,
}

/// Variables that a supervisor sets.
const OF_SUPERVISORS: [&str; 4] =
    ["NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "LISTEN_FDS"];

impl Greeting {
    /// A person is greeted where standard error is a terminal and no supervisor runs the process.
    pub fn choose(
        is_terminal: bool,
        variable: impl Fn(&'static str) -> Option<OsString>,
    ) -> Greeting {
        let is_supervised = OF_SUPERVISORS.into_iter().any(|name| variable(name).is_some());
        if is_terminal && !is_supervised { Greeting::Given } else { Greeting::Omitted }
    }
}

/// Greets on standard error.
pub(super) fn greet(config: &Config, addresses: &[String]) {
    if io::stderr().write_all(text(config, addresses).as_bytes()).is_err() {
        // OK because it is only a courtesy.
    }
}

/// A push to copy, up to its URL.
const PUSH: &str = "echo 'room_temp 21.5' | curl --data-binary @-";

/// The three lines.
fn text(config: &Config, addresses: &[String]) -> String {
    let scheme = if config.server.gate.tls.cert.is_some() { "https" } else { "http" };
    let (page, curl) = match addresses.iter().find_map(|address| local_url(scheme, address)) {
        Some(url) => (format!("{url}/"), url),
        None => match addresses.iter().find_map(|address| address.strip_prefix("unix:")) {
            Some(path) => (
                format!("curl --unix-socket {path} -H 'Accept: text/html' http://localhost/"),
                format!("--unix-socket {path} http://localhost"),
            ),
            None => return String::new(),
        },
    };
    let prefix = config.inputs().first().map(|input| input.endpoint.prefix.clone());
    let prefix = prefix.unwrap_or_default();
    let lines = match &config.output.target {
        Target::Stdout => "go to standard output".to_owned(),
        Target::File(path) => format!("are appended to {}", path.display()),
        other => format!("go to {other}"),
    };
    format!(
        "Status page:  {page}\n\
         Push:         {PUSH} {curl}{prefix}/metrics/job/demo\n\
         Lines:        {lines}; end with Ctrl-C\n"
    )
}

/// How a program on this host reaches an address: every address is reached as the local one.
fn local_url(scheme: &str, address: &str) -> Option<String> {
    let address: SocketAddr = address.parse().ok()?;
    if address.ip().is_unspecified() {
        return Some(format!("{scheme}://127.0.0.1:{}", address.port()));
    }
    Some(format!("{scheme}://{address}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Shortcut, Sources};

    fn config(target: &str) -> Config {
        let shortcuts = vec![(Shortcut::Output, target.to_owned())];
        let environment = [("ENV_INPUT_PUSHGATEWAY_ROUTE_PREFIX".to_owned(), "/v1".to_owned())];
        Config::load(&Sources { file: None, shortcuts }, environment.into_iter()).unwrap()
    }

    #[test]
    fn a_greeting_is_three_lines_that_can_be_used() {
        let tcp = |host: &str| {
            format!(
                "Status page:  http://{host}:9091/\n\
                 Push:         echo 'room_temp 21.5' | curl --data-binary @- http://{host}:9091/v1/metrics/job/demo\n"
            )
        };
        for (addresses, target, want) in [
            (&["127.0.0.1:9091"][..], "stdout", tcp("127.0.0.1") + "Lines:        go to standard output; end with Ctrl-C\n"),
            (&["unix:/run/x", "[::]:9091"], "file:/x y", tcp("127.0.0.1") + "Lines:        are appended to /x y; end with Ctrl-C\n"),
            (&["[::1]:9091"], "tcp://a:1", tcp("[::1]") + "Lines:        go to tcp://a:1; end with Ctrl-C\n"),
            (
                &["unix:/run/x"],
                "stdout",
                "Status page:  curl --unix-socket /run/x -H 'Accept: text/html' http://localhost/\n\
                 Push:         echo 'room_temp 21.5' | curl --data-binary @- --unix-socket /run/x \
                 http://localhost/v1/metrics/job/demo\n\
                 Lines:        go to standard output; end with Ctrl-C\n".to_owned(),
            ),
        ] {
            let addresses: Vec<_> = addresses.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(text(&config(target), &addresses), want);
        }
    }

    #[test]
    fn only_a_person_at_a_terminal_is_greeted() {
        let nothing = |_: &str| None;
        assert_eq!(Greeting::choose(true, nothing), Greeting::Given);
        assert_eq!(Greeting::choose(false, nothing), Greeting::Omitted);
        for supervisor in OF_SUPERVISORS {
            let set = |name: &str| (name == supervisor).then(OsString::new);
            assert_eq!(Greeting::choose(true, set), Greeting::Omitted, "{supervisor}");
        }
    }
}
