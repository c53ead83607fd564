//! The rules of an input, all of them at once, from a file and from the environment, over HTTP: what
//! is kept, how it is called, which tags it has.

use crate::http::Client;
use crate::lines;
use crate::process::{Collected, Pushline, command};
use std::process::Stdio;

const TOML: &str = r#"
    [[inputs.pushgateway]]
    metric_allow = ["node_*", "h?", "up"]
    metric_deny = ["*_secret"]
    tags_rename = { exported_instance = "instance", hostname = "host", le = "bound" }
    tags_drop = ["pod_*", "job", "le"]
    tags_add = { site = "plant 7", job = "edge", zone = "a" }
    measurements = [
        { prefix = "node_disk_", name = "disk" },
        { prefix = "node_" },
    ]
    measurement_prefix = "p_"
"#;

/// The same as DataKit would name it.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("METRIC_ALLOW", "node_*, h?, up"),
    ("METRIC_DENY", "*_secret"),
    ("TAGS_RENAME", "exported_instance=instance, hostname=host, le=bound"),
    ("TAGS_DROP", "pod_*, job, le"),
    ("TAGS_ADD", "site=plant 7, job=edge, zone=a"),
    ("MEASUREMENTS", "node_disk_=disk, node_="),
    ("MEASUREMENT_PREFIX", "p_"),
];

const PATH: &str = "/metrics/job/agent/hostname/h1/pod_uid/77";

const BODY: &str = r#"# TYPE node_disk_read gauge
node_disk_read{device="sda",instance="own",exported_instance="new"} 1
node_disk_read{device="sdb",exported_instance="new",pod_name="x"} 2
node_disk_read{device="sdc",exported_instance="",pod_name="x",zone="z"} 3
node_disk_secret 4
node_disk_{hostname="h2"} 5
node_load 6
argo_node_load 7
argo_node_nan NaN
node_load NaN
# TYPE h1 histogram
h1_bucket{le="1",pod_name="x"} 8
h1_bucket{le="+Inf",pod_name="x"} 9
h1_sum 10
h1_count 11
# TYPE h_hist histogram
h_hist_bucket{le="1"} 12
h_hist_sum 13
h_hist_count 14
up{le="text"} 15
"#;

/// Field by field.
const FIELDS: [&str; 10] = [
    r"p_disk,device=sda,host=h1,instance=own,job=edge,site=plant\ 7,zone=a read=1",
    r"p_disk,device=sdb,host=h1,instance=new,job=edge,site=plant\ 7,zone=a read=2",
    r"p_disk,device=sdc,host=h1,job=edge,site=plant\ 7,zone=z read=3",
    r"p_disk,host=h1,job=edge,site=plant\ 7,zone=a node_disk_=5",
    r"p_node,host=h1,job=edge,site=plant\ 7,zone=a load=6",
    r"p_h1,host=h1,job=edge,le=1,site=plant\ 7,zone=a h1_bucket=8",
    r"p_h1,host=h1,job=edge,le=+Inf,site=plant\ 7,zone=a h1_bucket=9",
    r"p_h1,host=h1,job=edge,site=plant\ 7,zone=a h1_sum=10",
    r"p_h1,host=h1,job=edge,site=plant\ 7,zone=a h1_count=11",
    r"p_up,bound=text,host=h1,job=edge,site=plant\ 7,zone=a up=15",
];
/// `_sum` and `_count` share one.
const LINES: usize = FIELDS.len() - 1;

fn check(mut pushline: Pushline) {
    let output = Collected::from(pushline.stdout());
    let mut client = Client::connect(pushline.address);
    for _ in 0..2 {
        let answer = client.push(PATH, BODY);
        assert_eq!((answer.status, answer.text()), (200, ""));
        let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        let written = output.take_until(|bytes| count(bytes) >= LINES);
        assert_eq!(count(&written), LINES);
        let fields: Vec<_> = lines::read(&written).into_iter().map(|field| field.text).collect();
        assert_eq!(fields, FIELDS);
    }
    let metrics = client.ask("GET", "/metrics", &[], b"");
    for line in [
        "pushline_samples_read_total 34",
        "pushline_samples_skipped_total{reason=\"filtered\"} 12",
        "pushline_samples_skipped_total{reason=\"not_finite\"} 2",
    ] {
        let text = metrics.text();
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}

#[test]
fn samples_are_filtered_and_tags_renamed_dropped_and_added() {
    check(Pushline::spawn(TOML, Stdio::piped()));
}

#[test]
fn the_environment_says_the_same_rules() {
    let mut command = command();
    command.envs(ENVIRONMENT.map(|(key, value)| (format!("ENV_INPUT_PUSHGATEWAY_{key}"), value)));
    check(Pushline::spawn_with(command, "", Stdio::piped()));
}
