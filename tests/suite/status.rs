//! The status page and its JSON over HTTP: who gets them, with which headers, and what they tell.

use crate::http::{Answer, Client};
use crate::process::{Pushline, folder};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

const BROWSER: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

fn report(client: &mut Client) -> Value {
    let answer = client.ask("GET", "/api/v1/status", &[], b"");
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).unwrap()
}

fn check_headers(answer: &Answer, content_type: &str) {
    for (name, want) in [
        ("Content-Type", content_type),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), Some(want), "{name}");
    }
}

#[test]
fn the_page_is_for_who_takes_html_and_the_root_is_not_found_for_others() {
    let (pushline, _) = Pushline::start("[[inputs.pushgateway]]\nroute_prefix = \"/v1\"\n");
    let mut client = Client::connect(pushline.address);
    for (method, headers, want) in [
        ("GET", &[][..], 404),
        ("GET", &[("Accept", "application/json")], 404),
        ("GET", &[("Accept", "text/html;q=0, */*")], 404),
        ("GET", &[("Accept", "*/*")], 200),
        ("GET", &[BROWSER], 200),
        ("HEAD", &[BROWSER], 200),
        ("HEAD", &[], 404),
        ("POST", &[BROWSER], 404),
    ] {
        let answer = client.ask(method, "/", headers, b"");
        assert_eq!(answer.status, want, "{method} {headers:?}");
        if want == 404 {
            assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=utf-8"));
        }
    }
    let page = client.ask("GET", "/", &[BROWSER], b"");
    check_headers(&page, "text/html; charset=utf-8");
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(page.text().starts_with("<!doctype html>"));
    let head = client.ask("HEAD", "/", &[BROWSER], b"");
    assert_eq!(head.header("Content-Length"), page.header("Content-Length"));
}

#[test]
fn the_manual_names_every_field_of_the_report() {
    let folder = folder();
    let toml = format!(
        "[output]\ntarget = \"tcp://127.0.0.2:9\"\n[spool]\ndir = \"{}\"\n",
        folder.display()
    );
    let (pushline, _) = Pushline::start(&toml);
    let mut client = Client::connect(pushline.address);
    assert_eq!(client.push("/metrics/job/j", "a_b one\n").status, 400);
    assert_eq!(client.push("/metrics/job/j", "a_b 1\n").status, 200);
    let manual = include_str!("../../scripts/packaging/metrics.md");
    let mut count = 0;
    let mut pending = vec![report(&mut client)];
    while let Some(value) = pending.pop() {
        let Value::Object(fields) = value else { continue };
        for (name, value) in fields {
            // An object is named with what is in it; these two hold what others have named.
            if value.is_object() {
                if !["labels", "limits"].contains(&&*name) {
                    pending.push(value);
                }
                continue;
            }
            let mut words = manual.split(['`', '"']);
            let is_named = words.any(|word| word.rsplit('.').next() == Some(name.as_str()));
            assert!(is_named, "{name} is not in the manual");
            count += 1;
            if let Value::Array(values) = value {
                pending.extend(values.into_iter().take(1));
            }
        }
    }
    assert!(count > 60, "only {count}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_report_tells_a_push_and_what_was_refused() {
    let toml = "[[inputs.pushgateway]]\nroute_prefix = \"/v1\"\n";
    let (pushline, _) = Pushline::start(toml);
    let mut client = Client::connect(pushline.address);
    let gzip = [("Content-Type", "application/openmetrics-text"), ("Content-Encoding", "identity")];
    let path = "/v1/metrics/job/j/evil/%3C%2Fscript%3E%22%0A%E2%80%AE";
    assert_eq!(client.ask("POST", path, &gzip, b"a_b 1\nc_d NaN\n# EOF\n").status, 200);
    assert_eq!(client.push(path, "a_b one\n").status, 400);
    assert_eq!(client.push("/metrics/job/lost", "a_b 1\n").status, 404);
    assert_eq!(client.ask("GET", "/favicon.ico", &[], b"").status, 404);
    let answer = client.ask("GET", "/api/v1/status", &[], b"");
    check_headers(&answer, "application/json");
    assert!(!answer.text().contains('<'));
    let report: Value = serde_json::from_str(answer.text()).unwrap();
    let group = &report["groups"][0];
    for (found, want) in [
        (&report["state"], Value::from("healthy")),
        (&report["version"], env!("CARGO_PKG_VERSION").into()),
        (&report["pushes"], 1.into()),
        (&report["pushes_refused"], 1.into()),
        (&report["samples_skipped"], 1.into()),
        (&report["output"]["target"], "stdout".into()),
        (&report["output"]["lines"], 1.into()),
        (&report["server"]["listen"][0], pushline.address.to_string().into()),
        (&report["server"]["connections"], 1.into()),
        (&report["server"]["workers_busy"], 0.into()),
        (&report["limits"]["queue_bytes"], (64 << 20).into()),
        (&report["limits"]["ack_timeout_ms"], 5_000.into()),
        (&report["route_prefixes"][0], "/v1".into()),
        (&group["labels"]["evil"], "</script>\"\n\u{202e}".into()),
        (&group["route_prefix"], "/v1".into()),
        (&group["samples"], 2.into()),
        (&group["lines"], 1.into()),
        (&group["format"], "openmetrics".into()),
        (&group["coding"], "identity".into()),
        (&group["last_error"]["status"], 400.into()),
        (&report["turned_away"], 1.into()),
        (&report["turned_away_last_error"]["status"], 404.into()),
    ] {
        assert_eq!(found, &want, "in {report}");
    }
    let text = group["last_error"]["text"].as_str().unwrap();
    assert!(text.starts_with("line 1, column 5: the value \"one\""), "{text}");
    let configuration = report["configuration"].as_str().unwrap();
    assert!(configuration.contains("route_prefix = \"/v1\"\n"), "{configuration}");
    assert!(group["first_push_ms"].as_u64().unwrap() >= report["start_ms"].as_u64().unwrap());
    assert!(group["last_push_ms"].as_u64().unwrap() <= report["now_ms"].as_u64().unwrap());
}

#[test]
fn with_credentials_nobody_else_sees_the_page_and_nobody_sees_the_credentials() {
    let folder = folder();
    let path = folder.join("credentials");
    std::fs::write(&path, "basic Aladdin:open sesame\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (pushline, _) = Pushline::start(&format!("[server]\nauth_file = \"{}\"\n", path.display()));
    for path in ["/", "/api/v1/status"] {
        // A refusal ends its connection.
        let answer = Client::connect(pushline.address).ask("GET", path, &[BROWSER], b"");
        assert_eq!(answer.status, 401);
        assert!(answer.header("WWW-Authenticate").unwrap().starts_with("Basic "));
    }
    let credentials = ("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let mut client = Client::connect(pushline.address);
    assert_eq!(client.ask("GET", "/", &[BROWSER, credentials], b"").status, 200);
    let answer = client.ask("GET", "/api/v1/status", &[credentials], b"");
    let report: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(report["turned_away"], 2);
    assert_eq!(report["turned_away_last_error"]["status"], 401);
    assert!(report["configuration"].as_str().unwrap().contains(path.to_str().unwrap()));
    for secret in ["sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ"] {
        assert!(!answer.text().contains(secret));
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_output_that_takes_nothing_makes_the_report_say_stalled() {
    // Nobody listens there: the port of this listener is free again once it is dropped.
    let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    drop(listener);
    let toml = format!("[output]\ntarget = \"{target}\"\nack_timeout = \"100ms\"\n");
    let (pushline, _) = Pushline::start(&toml);
    let mut client = Client::connect(pushline.address);
    assert_eq!(client.push("/metrics/job/j", "a_b 1\n").status, 503);
    // The push may have been refused a little before the output counts as stalled.
    let stalled = loop {
        let report = report(&mut client);
        if report["state"] == "stalled" {
            break report;
        }
    };
    let reason = stalled["reason"].as_str().unwrap();
    assert!(reason.starts_with(&format!("{target} has taken nothing for ")), "{reason}");
    assert_eq!(stalled["groups"][0]["last_error"]["status"], 503);
    assert_eq!(
        (&stalled["pushes"], &stalled["groups"][0]["last_push_ms"]),
        (&0.into(), &Value::Null)
    );
}

#[test]
fn a_hostile_crowd_of_groups_leaves_the_last_fifty() {
    let (pushline, _) = Pushline::start("");
    let mut client = Client::connect(pushline.address);
    let long = "W".repeat(15_000);
    for number in 0..300 {
        let path = format!("/metrics/job/j/a/{long}/n/{number}");
        assert_eq!(client.push(&path, "a_b 1\n").status, 200);
    }
    let answer = client.ask("GET", "/api/v1/status", &[], b"");
    let report: Value = serde_json::from_slice(&answer.body).unwrap();
    let groups = report["groups"].as_array().unwrap();
    let numbers: Vec<_> =
        groups.iter().map(|group| group["labels"]["n"].as_str().unwrap()).collect();
    let want: Vec<_> = (250..300).rev().map(|number| number.to_string()).collect();
    assert_eq!(numbers, want);
    println!("{} bytes of JSON for {} groups", answer.body.len(), groups.len());
    assert!(answer.body.len() < 128 * 1024);
}
