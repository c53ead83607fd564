//! Certificates that end soon, or are not valid yet: a check warns of them, and log, status and metric tell when the chain
//! of the listeners ends.

use crate::process::{Pushline, command, folder};
use crate::tls::{Pair, check, data};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

const DAY_S: u64 = 24 * 3600;

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn date(time_s: u64, format: &str) -> String {
    let time = format!("@{time_s}");
    let output = Command::new("date").args(["-u", "-d", &time, format]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes the last certificate of a file of the tests end at that time.
fn end_at(path: &Path, ends_s: u64) {
    change(path, b"21200101000000Z", date(ends_s, "+%Y%m%d%H%M%SZ").as_bytes());
}

/// Puts other bytes, of the same length, in the place of these in the last certificate of a file. Its
/// signature no longer holds, which only a client looks at.
fn change(path: &Path, from: &[u8], to: &[u8]) {
    let chain = CertificateDer::pem_file_iter(path).unwrap();
    let mut chain: Vec<Vec<u8>> = chain.map(|it| it.unwrap().to_vec()).collect();
    let last = chain.last_mut().unwrap();
    let at = last.windows(from.len()).rposition(|bytes| bytes == from).unwrap();
    last[at..at + from.len()].copy_from_slice(to);
    let pem = chain.iter().map(|der| {
        let text = STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    });
    std::fs::write(path, pem.collect::<String>()).unwrap();
}

#[test]
fn a_check_warns_of_every_certificate_that_ends_within_thirty_days() {
    let pair = Pair::of("server");
    let (cert, key) = (pair.path("pem"), pair.path("key"));
    let line = |name: &str, path: &Path| format!("{name} = \"{}\"\n", path.display());
    let listener =
        |cert: &Path, key: &Path| line("server.tls.cert", cert) + &line("server.tls.key", key);
    let store = "output.target = \"https://store/write\"\n".to_owned();
    let asking = listener(&data("server.pem"), &data("server.key"));
    let keys = [
        ("server.tls.cert", pair.config()),
        ("server.tls.client_ca", asking + &line("server.tls.client_ca", &cert)),
        (
            "output.tls.cert",
            store.clone() + &line("output.tls.cert", &cert) + &line("output.tls.key", &key),
        ),
        ("output.tls.ca", store + &line("output.tls.ca", &cert)),
    ];
    for (left_s, want) in [
        (30 * DAY_S + 600, None),
        (30 * DAY_S - 600, Some("ends in 29 days, on ")),
        (12 * DAY_S + 600, Some("ends in 12 days, on ")),
        (DAY_S / 2, Some("ends today, ")),
    ] {
        pair.become_as("server");
        let ends_s = now_s() + left_s;
        end_at(&cert, ends_s);
        for (key, toml) in &keys {
            let output = check(toml);
            let told = String::from_utf8(output.stderr).unwrap();
            let want = want.map_or(String::new(), |words| {
                format!("pushline: {key}: a certificate in it {words}{}\n", date(ends_s, "+%F"))
            });
            assert_eq!((output.status.code(), told), (Some(0), want), "{left_s} s before\n{toml}");
        }
    }
}

#[test]
fn a_check_warns_of_a_certificate_that_is_not_valid_yet() {
    let pair = Pair::of("server");
    change(&pair.path("pem"), b"\x17\x0d200101000000Z", b"\x17\x0d490101000000Z");
    let output = check(&pair.config());
    let told = String::from_utf8(output.stderr).unwrap();
    let words = "pushline: server.tls.cert: a certificate in it is not valid before 2049-01-01, and \
                 the clock says 20";
    assert!(output.status.success() && told.starts_with(words), "{told}");
}

#[test]
fn log_status_and_metric_tell_the_earliest_end_of_a_chain() {
    for left_s in [12 * DAY_S, 0] {
        tell_the_end_of_the_last_certificate("chain", now_s() + left_s - 60);
    }
    tell_the_end_of_the_last_certificate("server", now_s() + 12 * DAY_S);
}

fn tell_the_end_of_the_last_certificate(name: &str, ends_s: u64) {
    const METRIC: &str = "\npushline_tls_certificate_expiry_timestamp_seconds ";
    let folder = folder();
    let socket = folder.join("socket");
    let pair = Pair::of(name);
    end_at(&pair.path("pem"), ends_s);
    // Clients trust no certificate that was changed; a unix socket stays plain.
    let mut command = command();
    let listen = format!("127.0.0.1:0,unix:{}", socket.display());
    command.env("PUSHLINE_SERVER_LISTEN", listen);
    let pushline = Pushline::spawn_with(command, &pair.config(), Stdio::null());
    pushline.log.wait_for_text("msg=writing");
    let ask = |path: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    let assert_end = |ends_s: u64| {
        let report: Value = serde_json::from_str(&ask("/api/v1/status")).unwrap();
        assert_eq!(report["server"]["certificate_end_ms"], 1000 * ends_s, "{name}");
        let metrics = ask("/metrics");
        assert!(metrics.contains(&format!("{METRIC}{ends_s}\n")), "{name}: {metrics}");
    };
    assert_end(ends_s);
    let words = if ends_s < now_s() { "has ended" } else { "ends in" };
    pushline.log.wait_for_text(&format!("server.tls.cert: a certificate in it {words} "));
    // A renewed one is told from the hangup on.
    pair.become_as("server");
    pushline.signal("HUP");
    pushline.log.wait_for_text("certificate=changed");
    assert_end(4_733_510_400);
    drop(pushline);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn without_tls_no_end_of_a_certificate_is_told() {
    let (pushline, _) = Pushline::start("");
    let answer =
        crate::http::Client::connect(pushline.address).ask("GET", "/api/v1/status", &[], b"");
    let report: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(report["server"]["certificate_end_ms"].is_null(), "{report}");
}
