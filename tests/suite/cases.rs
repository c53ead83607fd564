//! Small inputs from public reports (`tests/cases/README.md`): what becomes of each.

use crate::http::{Answer, Client};
use crate::process::Pushline;
use std::path::Path;

fn case(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)).unwrap()
}

/// The answer to a push of that body to job `j` of a process with that configuration.
fn push(config: &str, name: &str, query: &str) -> Answer {
    let (pushline, _output) = Pushline::start(config);
    let content_type = match name.contains(".om.") {
        true => "application/openmetrics-text",
        false => "text/plain",
    };
    let path = format!("/metrics/job/j{query}");
    let mut client = Client::connect(pushline.address);
    client.ask("POST", &path, &[("Content-Type", content_type)], &case(name))
}

/// The lines of a dry run without their times, and the remarks.
fn dry_run(config: &str, name: &str) -> (Vec<String>, Vec<String>) {
    let answer = push(config, name, "?dry_run");
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    let (remarks, lines): (Vec<_>, Vec<_>) =
        answer.text().lines().partition(|line| line.starts_with('#'));
    let without_time = |line: &str| line.rsplit_once(' ').unwrap().0.to_owned();
    let remarks = remarks.into_iter().map(str::to_owned).collect();
    (lines.into_iter().map(without_time).collect(), remarks)
}

#[test]
fn a_metric_called_time_has_a_field_that_influxdb_takes() {
    for (name, want) in [
        (
            "influx_field_time_cicd.txt",
            &[
                "build,environment=prod,job=j,service=svc time_=120.3",
                "test,environment=prod,job=j,service=svc time_=12",
            ][..],
        ),
        (
            "influx_field_time_node_exporter.txt",
            &["node,job=j time_=1500000000", "node,job=j load1=0.3"],
        ),
        ("influx_field_time_response_time.txt", &["response,domain=example.org,job=j time_=0.3"]),
    ] {
        let (lines, remarks) = dry_run("", name);
        assert_eq!(lines, want, "{name}");
        assert!(remarks.is_empty(), "{remarks:?}");
    }
}

#[test]
fn a_timestamp_in_seconds_is_written_counted_and_told() {
    let name = "timestamp_in_seconds.txt";
    let (pushline, output) = Pushline::start("");
    let mut client = Client::connect(pushline.address);
    let path = "/metrics/job/j?dry_run";
    let answer = client.ask("POST", path, &[], &case(name));
    let line = "apk,job=j,release=1 size=5 1688471000000000\n";
    let remark = "# 1 timestamp is before 2000 or more than a day ahead: an integer is \
                  milliseconds here, not seconds\n";
    assert_eq!((answer.status, answer.text()), (200, &*format!("{line}{remark}")));
    let figure = |client: &mut Client, count: u32| {
        let figures = client.ask("GET", "/metrics", &[], b"");
        let want = format!("\npushline_timestamps_implausible_total {count}\n");
        assert!(figures.text().contains(&want), "{}", figures.text());
    };
    figure(&mut client, 0);
    assert_eq!(client.ask("POST", "/metrics/job/j", &[], &case(name)).status, 200);
    output.wait_for_text(line);
    figure(&mut client, 1);
}

#[test]
fn labels_that_the_url_overrules_are_counted() {
    let (pushline, _output) = Pushline::start("");
    let mut client = Client::connect(pushline.address);
    // Of another value, of the same value, empty.
    let body = "a_b{zone=\"x\"} 1\na_b{zone=\"y\"} 1\na_b{zone=\"eu\"} 1\na_b{zone=\"\"} 1\n";
    assert_eq!(client.push("/metrics/job/j/zone/eu", body).status, 200);
    let figures = client.ask("GET", "/metrics", &[], b"");
    let want = "\npushline_labels_overruled_total 2\n";
    assert!(figures.text().contains(want), "{}", figures.text());
    let report = client.ask("GET", "/api/v1/status", &[], b"");
    assert!(report.text().contains("\"labels_overruled\":2"), "{}", report.text());
    assert!(report.text().contains("\"timestamps_implausible\":0"), "{}", report.text());
}

#[test]
fn one_series_twice_is_written_twice_and_told() {
    let (lines, remarks) = dry_run("", "same_series_twice.txt");
    let series = "nginx,job=j,stream=a";
    let want = [format!("{series} rtmp_x=18000000000"), format!("{series} rtmp_x=0")];
    assert_eq!(lines, want);
    let want = "# lines 1 and 2 are one point: same measurement, tags, field and time; the body \
                has this sample twice";
    assert_eq!(remarks, [want]);
}

#[test]
fn a_tag_named_like_the_field_of_another_line_keeps_its_name_under_one_measurement_a_job() {
    let (lines, _) = dry_run("", "ksm_resourcequota.txt");
    let want = [
        "kube,job=j,namespace=ns1,resourcequota=q1 resourcequota_created=1700000000",
        "kube,job=j,namespace=ns1,resource=pods,resourcequota_=q1,type=hard resourcequota=10",
    ];
    assert_eq!(lines, want);
    let config = "[[inputs.pushgateway]]\njob_as_measurement = true\n";
    let (lines, _) = dry_run(config, "ksm_resourcequota.txt");
    let want = [
        "j,job=j,namespace=ns1,resourcequota=q1 kube_resourcequota_created=1700000000",
        "j,job=j,namespace=ns1,resource=pods,resourcequota=q1,type=hard kube_resourcequota=10",
    ];
    assert_eq!(lines, want);
}

#[test]
fn a_colon_stays_in_names() {
    let (lines, _) = dry_run("", "questdb_colon.txt");
    assert_eq!(lines, ["job:http,job=j,x=1 inprogress:sum=1"]);
}

#[test]
fn an_exemplar_without_braces_is_refused_with_its_place() {
    let answer = push("", "exemplar_without_braces.om.txt", "");
    let want = "line 2, column 49: expected the labels of an exemplar, found \"5.9060365\"\n";
    assert_eq!((answer.status, answer.text()), (400, want));
}

#[test]
fn a_blank_in_the_request_target_is_a_malformed_request_and_no_unknown_version() {
    let (pushline, _output) = Pushline::start("");
    let mut client = Client::connect(pushline.address);
    client.send(&case("blank_in_request_target.http")).unwrap();
    let answer = client.read_answer(true).unwrap();
    assert_eq!((answer.status, answer.text()), (400, "the request target has a blank\n"));
}
