//! The example configurations of `scripts/examples`: those that pushline reads are checked by it,
//! the pipes are run against a stand-in of the store, the rest is checked for what it names.

use crate::http::push;
use crate::process::{Collected, Pushline, command, folder};
use crate::store::{Act, Store};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/examples")
}

#[test]
fn every_example_configuration_of_pushline_is_good() {
    let folder = folder();
    let mut count = 0;
    for entry in std::fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let toml = std::fs::read_to_string(&path).unwrap();
            let config = folder.join("pushline.toml");
            std::fs::write(&config, with_paths(&toml, &folder)).unwrap();
            let output = command().arg("--check").arg("--config").arg(&config).output().unwrap();
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{}: {message}", path.display());
            assert_eq!(message, "", "{}", path.display());
            count += 1;
        }
    }
    assert!(count >= 9, "only {count}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// The configuration with paths that are there.
fn with_paths(toml: &str, folder: &Path) -> String {
    let path = folder.join("store");
    std::fs::write(&path, "token s3cret\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let toml = toml.replace("/etc/pushline/store", path.to_str().unwrap());
    toml.replace("/var/log/pushline", folder.to_str().unwrap())
}

#[test]
fn each_store_is_sent_lines_as_it_takes_them() {
    let folder = folder();
    for (name, path, coding) in [
        ("influxdb1.toml", "/write?db=metrics&precision=ns", Some("gzip")),
        ("influxdb2.toml", "/api/v2/write?org=example&bucket=metrics&precision=ns", Some("gzip")),
        (
            "influxdb3.toml",
            "/api/v3/write_lp?db=metrics&precision=nanosecond&accept_partial=true",
            Some("gzip"),
        ),
        ("victoriametrics.toml", "/write", Some("gzip")),
        ("victoriametrics-cluster.toml", "/insert/0/influx/write", Some("gzip")),
        ("questdb.toml", "/write?precision=n", None),
        ("greptimedb.toml", "/v1/influxdb/write?db=public&precision=ns", Some("gzip")),
        (
            "datakit.toml",
            "/v1/write/metric?precision=n&ignore_global_host_tags=true&input=pushline",
            Some("gzip"),
        ),
        ("telegraf-listener.toml", "/write?precision=ns", Some("gzip")),
    ] {
        let store = Store::start(|_| Act::status(204));
        let toml = std::fs::read_to_string(examples().join(name)).unwrap();
        let (before, rest) = toml.split_once("target = \"http://").unwrap();
        let (_, rest) = rest.split_once('/').unwrap();
        let toml = format!("{before}target = \"{}{rest}", store.url("/"));
        let pushline = Pushline::spawn(&with_paths(&toml, &folder), Stdio::null());
        assert_eq!(push(pushline.address, "/metrics/job/x", "a_b 1\nc_d 2\n").status, 200);
        let request = store.requests().remove(0);
        let first = request.head.lines().next().unwrap();
        assert_eq!(first, format!("POST {path} HTTP/1.1"), "{name}");
        let head = request.head.to_ascii_lowercase();
        let sent = head.lines().find_map(|line| line.strip_prefix("content-encoding: "));
        assert_eq!(sent, coding, "{name}");
        let has_credential = head.contains("\r\nauthorization: token s3cret\r\n");
        assert_eq!(has_credential, toml.contains("\nauth_file"), "{name}");
        let field = if toml.contains("keep_exist_metric_name = true") { "a_b" } else { "b" };
        let line = &request.lines[0];
        assert!(line.starts_with(&format!("a,job=x {field}=1 ")), "{name}: {line}");
        assert_eq!(request.lines.len(), 2, "{name}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// The command of the systemd unit, with our own paths in the places of its own.
#[test]
fn the_pipe_unit_delivers_everything_before_it_ends() {
    let folder = folder();
    let (config, consumer, lines) =
        (folder.join("pipe.toml"), folder.join("consumer"), folder.join("lines"));
    std::fs::write(&config, "[server]\nlisten = [\"127.0.0.1:0\"]\n").unwrap();
    // `tac` writes nothing before the end of its input.
    std::fs::write(&consumer, format!("#!/bin/sh\nexec tac >{}\n", lines.display())).unwrap();
    std::fs::set_permissions(&consumer, Permissions::from_mode(0o755)).unwrap();
    let unit = std::fs::read_to_string(examples().join("pushline-pipe.service")).unwrap();
    let unit = unit
        .replace("\\\n", "")
        .replace("%t/pushline-pipe/consumer", folder.join("lock").to_str().unwrap())
        .replace("/usr/bin/pushline", &command().get_program().to_string_lossy())
        .replace("/etc/pushline/pipe.toml", config.to_str().unwrap())
        .replace("/etc/pushline/consumer", consumer.to_str().unwrap());
    let command = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("exec {line}")]);
        shell
    };
    let mut child = command("ExecStart=").stderr(Stdio::piped()).spawn().unwrap();
    let log = Collected::from(child.stderr.take().unwrap());
    log.wait_for_text("msg=writing");
    let text = String::from_utf8(log.snapshot()).unwrap();
    let address = text.split("address=").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    for _ in 0..3 {
        assert_eq!(push(address, "/metrics/job/unit", "a_b 1\n").status, 200);
    }
    // The process that systemd knows is pushline itself.
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(child.wait().unwrap().success());
    assert!(command("ExecStopPost=").status().unwrap().success());
    let written = std::fs::read_to_string(&lines).unwrap();
    assert_eq!(written.matches("a,job=unit b=1 ").count(), 3, "{written}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_script_of_the_examples_is_one() {
    for script in ["s6/pushline/run", "s6/pushline/finish", "consumer-mqtt", "consumer-kafka"] {
        let status = Command::new("bash").arg("-n").arg(examples().join(script)).status().unwrap();
        assert!(status.success(), "{script}");
    }
    let telegraf = std::fs::read_to_string(examples().join("telegraf.conf")).unwrap();
    for line in ["signal = \"none\"", "data_format = \"influx\"", "[[inputs.execd]]"] {
        assert!(telegraf.contains(line), "{line}");
    }
}
