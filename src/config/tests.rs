use super::environment::variables;
use super::keys::{INPUT, SECTIONS, default_input};
use super::options::Config;
use super::{KeyChange, Shortcut, Sources, reference};
use crate::delivery::sink::Target;
use crate::intake::gate::Listen;
use crate::push::mapping::Measurement;
use crate::testing::manual::check_file;
use std::collections::BTreeSet;
use std::time::Duration;

fn load(toml: &str) -> Result<Config, String> {
    load_with(toml, &[])
}

fn load_with(toml: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    load_all(toml, environment, vec![])
}

fn load_all(
    toml: &str,
    environment: &[(&str, &str)],
    shortcuts: Vec<(Shortcut, String)>,
) -> Result<Config, String> {
    let number = std::thread::current().id();
    let path =
        std::env::temp_dir().join(format!("pushline-{}-{number:?}.toml", std::process::id()));
    std::fs::write(&path, toml).unwrap();
    let environment = environment.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let sources = Sources { file: Some(path.clone()), shortcuts };
    let loaded = Config::load(&sources, environment);
    std::fs::remove_file(&path).unwrap();
    loaded.map_err(|error| error.to_string().replace(&path.display().to_string(), "F"))
}

/// Every key with its table.
fn names() -> Vec<String> {
    let own = SECTIONS.into_iter().flat_map(|section| {
        section.keys.iter().map(move |key| format!("{}.{}", section.name, key.name))
    });
    let input = INPUT.keys.iter().map(|key| format!("{}.{}", INPUT.name, key.name));
    own.chain(input).collect()
}

#[test]
#[cfg_attr(target_pointer_width = "32", ignore = "the file tells the bounds of 64-bit addresses")]
fn conf_sample_shows_every_key_with_its_default() {
    let sample = reference::sample();
    check_file("conf.sample", &sample);
    assert_eq!(load(&sample).unwrap(), Config::default());
}

/// Each key with another value than its default, and what else that value needs.
const OTHERS: &[(&str, &str, &str)] = &[
    ("server.listen", r#"["127.0.0.1:1"]"#, ""),
    ("server.workers", "3", ""),
    ("server.max_body_bytes", r#""1MiB""#, ""),
    ("server.max_decoded_bytes", r#""1MiB""#, ""),
    ("server.max_buffered_bytes", r#""1GiB""#, ""),
    ("server.max_line_bytes", r#""1KiB""#, ""),
    ("server.max_connections", "9", ""),
    ("server.head_timeout", r#""1s""#, ""),
    ("server.body_timeout", r#""1s""#, ""),
    ("server.idle_timeout", r#""1s""#, ""),
    ("server.auth_file", r#""/x""#, ""),
    ("server.tls.cert", r#""/x""#, ""),
    ("server.tls.key", r#""/x""#, ""),
    ("server.tls.client_ca", r#""/x""#, ""),
    ("output.target", r#""file:/x""#, ""),
    ("output.ack", r#""queued""#, ""),
    ("output.ack_timeout", r#""1s""#, ""),
    ("output.drain_timeout", r#""1s""#, ""),
    ("output.queue_bytes", r#""1MiB""#, ""),
    ("output.fsync", "true", "output.target = \"file:/x\"\n"),
    ("output.replay", r#""0s""#, ""),
    ("output.http.auth_file", r#""/x""#, ""),
    ("output.http.batch_bytes", r#""2MiB""#, ""),
    ("output.http.linger", r#""1s""#, ""),
    ("output.http.timeout", r#""1s""#, ""),
    ("output.http.gzip", "false", ""),
    ("output.tls.ca", r#""/x""#, ""),
    ("output.tls.cert", r#""/x""#, ""),
    ("output.tls.key", r#""/x""#, ""),
    ("output.rejected.file", r#""/x""#, ""),
    ("output.rejected.max_bytes", r#""1MiB""#, ""),
    ("spool.dir", r#""/x""#, "output.target = \"tcp://x:1\"\n"),
    ("spool.max_bytes", r#""1MiB""#, ""),
    ("spool.max_age", r#""1h""#, ""),
    ("spool.after", r#""10ms""#, ""),
    ("spool.full", r#""drop_oldest""#, ""),
    ("log.level", r#""debug""#, ""),
    ("log.format", r#""json""#, ""),
    ("telemetry.emit_interval", r#""1s""#, ""),
    ("inputs.pushgateway.route_prefix", r#""/x""#, ""),
    ("inputs.pushgateway.auth_file", r#""/x""#, ""),
    ("inputs.pushgateway.measurement_name", r#""x""#, ""),
    ("inputs.pushgateway.job_as_measurement", "true", ""),
    ("inputs.pushgateway.keep_exist_metric_name", "true", ""),
    ("inputs.pushgateway.honor_timestamps", "false", ""),
    ("inputs.pushgateway.utf8_names", "true", ""),
    ("inputs.pushgateway.metric_allow", r#"["x*"]"#, ""),
    ("inputs.pushgateway.metric_deny", r#"["x*"]"#, ""),
    ("inputs.pushgateway.tags_rename", r#"{ x = "y" }"#, ""),
    ("inputs.pushgateway.tags_drop", r#"["x"]"#, ""),
    ("inputs.pushgateway.tags_add", r#"{ x = "y" }"#, ""),
    ("inputs.pushgateway.measurements", r#"[{ prefix = "x_", name = "y" }]"#, ""),
    ("inputs.pushgateway.measurement_prefix", r#""x""#, ""),
];

#[test]
fn each_key_is_either_taken_or_waits_for_a_restart() {
    let known: Vec<_> = OTHERS.iter().map(|(key, ..)| (*key).to_owned()).collect();
    assert_eq!(known, names());
    for (key, value, more) in OTHERS {
        let old = load(more).unwrap();
        let new = load(&format!("{more}{key} = {value}\n")).unwrap();
        let changes = old.changes(&new);
        assert!(!changes.is_empty(), "{key}: no change is seen");
        let is_fixed = changes.iter().any(KeyChange::needs_restart);
        for change in &changes {
            assert_eq!(change.needs_restart(), is_fixed, "{key}: {change}");
        }
        let taken = new.clone().keeping_fixed(&old);
        assert_eq!(taken == old, is_fixed, "{key}: kept as it was");
        assert_eq!(taken == new, !is_fixed, "{key}: taken as it is");
    }
}

#[test]
fn a_store_that_expects_another_precision_is_warned_of() {
    let warnings = |url| load(&format!("output.target = \"{url}\"")).unwrap().warnings();
    assert_eq!(
        warnings("http://store/write?db=x&precision=ms"),
        ["output.target has precision=ms, and the timestamps of lines are nanoseconds"]
    );
    assert!(warnings("http://store/write?db=x&precision=ns").is_empty());
}

#[test]
fn a_url_is_printed_with_its_secrets_and_shown_without() {
    let config = load("output.target = \"http://store/write?p=secret\"").unwrap();
    assert!(config.to_string().contains("target = \"http://store/write?p=secret\""));
    assert_eq!(config.output.target.to_string(), "http://store/write");
}

#[test]
fn each_value_is_printed_as_it_is_read() {
    for (key, value, more) in OTHERS {
        let config = load(&format!("{more}{key} = {value}\n")).unwrap();
        assert_ne!(config, load(more).unwrap(), "{key}: {value} is the default");
        assert_eq!(load(&config.to_string()).unwrap(), config, "{key}");
    }
}

#[test]
fn each_key_has_a_variable_of_its_own() {
    let variables: Vec<_> = variables().map(|(name, _)| name).collect();
    assert_eq!(variables.len(), names().len());
    assert_eq!(variables.iter().collect::<BTreeSet<_>>().len(), variables.len());
    for name in ["PUSHLINE_SERVER_LISTEN", "ENV_INPUT_PUSHGATEWAY_ROUTE_PREFIX"] {
        assert!(variables.iter().any(|variable| variable == name), "{name}");
    }
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(load("").unwrap(), Config::default());
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let toml = r#"
        [server]
        listen = ["[::1]:80", "unix:/run/a b\"\\.sock"]
        workers = 3
        max_body_bytes = 65537
        head_timeout = "1500ms"
        auth_file = "/etc/x"
        [output]
        target = "file:/var/log/x"
        ack = "queued"
        fsync = true
        [log]
        level = "debug"
        format = "json"
        [telemetry]
        emit_interval = "1500ms"
        [[inputs.pushgateway]]
        route_prefix = "a/b/"
        measurement_name = "m\n"
        [[inputs.pushgateway]]
        honor_timestamps = false
        utf8_names = true
        metric_allow = ["a*", "\"?"]
        metric_deny = ["*_b"]
        tags_drop = ["x"]
        measurement_prefix = "p_"
        [inputs.pushgateway.tags_rename]
        "a b" = "c"
        [inputs.pushgateway.tags_add]
        site = "plant 7"
        env = "\u0007"
        [[inputs.pushgateway.measurements]]
        prefix = "node_disk_"
        name = "disk"
        [[inputs.pushgateway.measurements]]
        prefix = "etcd_server__"
    "#;
    let config = load(toml).unwrap();
    let defaults = default_input();
    let super::options::InputConfig { filter, tags, measurement_rules, .. } = &config.inputs[1];
    assert!(*filter != defaults.filter && *tags != defaults.tags);
    assert_eq!(measurement_rules[1].name, "etcd_server");
    assert_eq!(load(&config.to_string()).unwrap(), config);
    assert_eq!(load(&Config::default().to_string()).unwrap(), Config::default());
}

#[test]
fn an_emit_interval_is_nothing_or_at_least_a_second() {
    for nothing in ["0s", "0ms", "0h"] {
        let toml = format!("[telemetry]\nemit_interval = \"{nothing}\"");
        assert_eq!(load(&toml).unwrap().telemetry.emit_interval, None, "{nothing}");
    }
    let toml = "[telemetry]\nemit_interval = \"1s\"";
    let second = Duration::from_secs(1);
    assert_eq!(load(toml).unwrap().telemetry.emit_interval, Some(second));
    for (wrong, how) in [
        ("\"999ms\"", ""),
        ("\"25h\"", ""),
        ("10", ", as \"10s\" or \"500ms\""),
        ("\"1d\"", ", as \"10s\" or \"500ms\""),
    ] {
        let want = format!(
            "F:2:17: telemetry.emit_interval is {wrong}, \
             must be \"0s\" (off) or between 1s and 24h{how}"
        );
        assert_eq!(load(&format!("[telemetry]\nemit_interval = {wrong}")).unwrap_err(), want);
    }
}

#[test]
fn the_file_of_datakit_works_unchanged() {
    let config = load(include_str!("../../tests/data/datakit-pushgateway.conf")).unwrap();
    let input = &config.inputs()[0];
    assert_eq!(input.endpoint.prefix, "/v1/pushgateway");
    assert_eq!(input.mapping.measurement, Measurement::CutAndKeep);
}

#[test]
fn the_environment_wins_over_the_file() {
    let toml = "[output]\ntarget = \"tcp://a:1\"\n[[inputs.pushgateway]]\nroute_prefix = \"/a\"\n\
                [[inputs.pushgateway]]\nroute_prefix = \"/b\"\n";
    let environment = [
        ("PUSHLINE_OUTPUT_TARGET", "unix:/run/x"),
        ("PUSHLINE_SERVER_LISTEN", "127.0.0.1:1, unix:/run/y"),
        ("PUSHLINE_SERVER_WORKERS", "7"),
        ("PUSHLINE_OUTPUT_QUEUE_BYTES", "1MiB"),
        ("PUSHLINE_TELEMETRY_EMIT_INTERVAL", "1m"),
        ("ENV_INPUT_PUSHGATEWAY_ROUTE_PREFIX", "v1/"),
        ("ENV_INPUT_PUSHGATEWAY_JOB_AS_MEASUREMENT", "T"),
        ("HOME", "/root"),
    ];
    let config = load_with(toml, &environment).unwrap();
    assert_eq!(config.output.target, Target::Unix("/run/x".into()));
    assert_eq!(config.server.gate.listen.len(), 2);
    assert_eq!(config.workers(), 7);
    assert_eq!(config.output.queue.bytes_max, 1 << 20);
    assert_eq!(config.telemetry.emit_interval, Some(Duration::from_secs(60)));
    let prefixes: Vec<_> = config.inputs.iter().map(|input| &*input.route_prefix).collect();
    assert_eq!(prefixes, ["/v1", "/b"]);
    assert_eq!(config.inputs()[0].mapping.measurement, Measurement::Job);
}

#[test]
fn a_flag_wins_over_the_environment() {
    let flag = |shortcut, text: &str| (shortcut, text.to_owned());
    let flags = vec![
        flag(Shortcut::Listen, "127.0.0.1:1"),
        flag(Shortcut::Output, "stdout"),
        flag(Shortcut::Listen, ":2"),
        flag(Shortcut::Output, "file:/x"),
    ];
    let environment =
        [("PUSHLINE_SERVER_LISTEN", "127.0.0.1:3"), ("PUSHLINE_OUTPUT_TARGET", "unix:/y")];
    let config = load_all("", &environment, flags).unwrap();
    let listen: Vec<_> = config.server.gate.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["127.0.0.1:1", ":2"]);
    assert_eq!(config.output.target, Target::File("/x".into()));
    let mistake = load_all("", &[], vec![flag(Shortcut::Output, "x")]).unwrap_err();
    let want = "command line: --output is \"x\", must be stdout, file:/path, ";
    assert!(mistake.starts_with(want), "{mistake}");
}

#[test]
fn a_mistake_names_its_place_what_was_found_and_what_is_allowed() {
    for (toml, want) in [
        (
            "[server]\n\nmax_line_bytes = \"0\"",
            "F:3:18: server.max_line_bytes is \"0\", must be between 1KiB and 16MiB",
        ),
        (
            "[server]\nmax_line_bytes = \"1 M\"",
            "F:2:18: server.max_line_bytes is \"1 M\", must be between 1KiB and 16MiB, as \"16MiB\" or bytes",
        ),
        (
            "[server]\nhead_timeout = 10",
            "F:2:16: server.head_timeout is 10, must be between 1ms and 24h, as \"10s\" or \"500ms\"",
        ),
        (
            "[server]\nworkers = 2.5",
            "F:2:11: server.workers is of type float, must be an integer between 0 and 1024",
        ),
        (
            "[server]\nlisten = []",
            "F:2:10: server.listen is [], must be a list of \"host:port\", \":port\" and \"unix:/path\" (at most 107 bytes), at least one",
        ),
        (
            "[server]\nlisten = [\"nowhere\"]",
            "F:2:10: server.listen is [\"nowhere\"], must be a list of \"host:port\", \":port\" and \"unix:/path\", and \"nowhere\" has no port",
        ),
        (
            "[server]\nhead_timeout = \"0s\"",
            "F:2:16: server.head_timeout is \"0s\", must be between 1ms and 24h",
        ),
        (
            "[output]\nack = \"maybe\"",
            "F:2:7: output.ack is \"maybe\", must be \"written\" or \"queued\"",
        ),
        ("server = 1", "F:1:10: server is 1, must be a table"),
        (
            "[[inputs.pushgateway]]\nhonor_timestamps = \"yes\"",
            "F:2:20: inputs.pushgateway.honor_timestamps is \"yes\", must be true or false",
        ),
        (
            "[[inputs.pushgateway]]\nroute_prefix = \"/a//b\"",
            "F:2:16: inputs.pushgateway.route_prefix is \"/a//b\", must be a path of printable ASCII without ? # % and //",
        ),
    ] {
        assert_eq!(load(toml).unwrap_err(), want, "{toml}");
    }
    // Nobody waits for what lingers, or nothing does.
    for toml in [
        "[output]\ntarget = \"http://x\"\nack = \"queued\"\n[output.http]\nlinger = \"5s\"",
        "[output]\ntarget = \"http://x\"\n[output.http]\nlinger = \"4999ms\"",
        "[output.http]\nlinger = \"5s\"",
    ] {
        assert!(load(toml).is_ok(), "{toml}");
    }
}

#[test]
fn an_address_to_listen_on_that_can_never_be_bound_is_refused() {
    for host in [
        "[::zz]",
        "[]",
        "[::1]x",
        "[::1%lo]",
        "[localhost]",
        "::zz",
        ":",
        "256.1.1.1",
        "*",
        "*.example.org",
        "http://127.0.0.1",
        "u@h",
        "a b",
    ] {
        let toml = format!("[server]\nlisten = [\":1\", \"{host}:9091\"]");
        let want = format!(
            "F:2:10: server.listen is [\":1\", \"{host}:9091\"], must be a list of \"host:port\", \
             \":port\" and \"unix:/path\", and \"{host}:9091\" has the host \"{host}\", must be a name, an IPv4 \
             address or an IPv6 address in brackets"
        );
        assert_eq!(load(&toml).unwrap_err(), want);
    }
    for (entry, wrong) in [
        ("9092", "has no port"),
        ("[::1]", "has no port"),
        (":99999", "has the port \"99999\", must be 0 to 65535"),
        ("a:http", "has the port \"http\", must be 0 to 65535"),
        ("::1:9091", "has the IPv6 address \"::1\", which must be in brackets, as [::1]:9091"),
        (
            "fe80::1%2:9091",
            "has the IPv6 address \"fe80::1%2\", which must be in brackets, as [::1]:9091",
        ),
        ("unix:x", "has a path that must begin with / and be at most 107 bytes"),
    ] {
        let toml = format!("[server]\nlisten = [\":1\", \"{entry}\"]");
        let want = format!("\"unix:/path\", and \"{entry}\" {wrong}");
        let message = load(&toml).unwrap_err();
        assert!(message.ends_with(&want), "{message}");
    }
    // What the system may look up is for the start to see.
    for address in [
        "",
        "nowhere.invalid",
        "a_b",
        "xn--bcher-kva.example.",
        "bücher",
        "127.1",
        "2130706433",
        "127.0.0.1",
        "[::1]",
        "[fe80::1%2]",
        "fe80::1%eth0",
    ] {
        for port in ["0", "9091"] {
            let toml = format!("[server]\nlisten = [\"{address}:{port}\"]");
            assert!(load(&toml).is_ok(), "{toml}");
        }
    }
}

#[test]
fn a_target_that_can_never_be_reached_is_refused() {
    for (target, want) in [
        (
            "http://u:p@store/",
            "the URL of a store, and this one has credentials before its host; put them into output.http.auth_file",
        ),
        (
            "http://[::zz]",
            "the URL of a store, and this one has the host \"[::zz]\", must be a name, an IPv4 address or an IPv6 address in brackets",
        ),
        ("tcp://:0", "tcp://host:port, and this one has no host"),
        ("tcp://store:0", "tcp://host:port, and this one has the port \"0\", must be 1 to 65535"),
        ("tcp://store", "tcp://host:port, and this one has no port"),
        (
            "tcp://::1:9091",
            "tcp://host:port, and this one has the IPv6 address \"::1\", which must be in brackets, as [::1]:9091",
        ),
        ("udp://a:1", "stdout, file:/path, tcp://host:port, unix:/path, http://… or https://…"),
    ] {
        let want = format!("F:2:10: output.target is \"{target}\", must be {want}");
        let toml = format!("[output]\ntarget = \"{target}\"");
        assert_eq!(load(&toml).unwrap_err(), want);
    }
}

#[test]
fn an_unknown_name_is_told_what_may_have_been_meant() {
    for (toml, want) in [
        ("[log]\nlevle = \"info\"", "F:2:1: \"log.levle\" is not known, did you mean log.level?"),
        (
            "[server]\nqueue_bytes = 1",
            "F:2:1: \"server.queue_bytes\" is not known, did you mean output.queue_bytes?",
        ),
        ("[log]\ncolour = 1", "F:2:1: \"log.colour\" is not known, allowed are level, format"),
        ("[sever]\n", "F:1:2: \"sever\" is not known, did you mean [server]?"),
        (
            "utf8_names = true",
            "F:1:1: \"utf8_names\" is not known, did you mean inputs.pushgateway.utf8_names?",
        ),
        (
            "[[inputs.prom]]\n",
            "F:1:10: \"inputs.prom\" is not known, allowed are [[inputs.pushgateway]]",
        ),
    ] {
        assert_eq!(load(toml).unwrap_err(), want, "{toml}");
    }
    let message = load("[nothing_like_it]").unwrap_err();
    assert!(message.contains("allowed are [server], [server.tls], [output], "), "{message}");
}

#[test]
fn an_unknown_variable_is_told_what_may_have_been_meant_and_not_all_there_are() {
    for (name, want) in [
        ("PUSHLINE_SERVER_LISTN", "did you mean PUSHLINE_SERVER_LISTEN?"),
        ("PUSHLINE_LISTEN", "did you mean PUSHLINE_SERVER_LISTEN?"),
        ("PUSHLINE_INPUTS_ROUTE_PREFIX", "did you mean ENV_INPUT_PUSHGATEWAY_ROUTE_PREFIX?"),
        (
            "ENV_INPUT_PUSHGATEWAY_MESUREMENT_NAME",
            "did you mean ENV_INPUT_PUSHGATEWAY_MEASUREMENT_NAME?",
        ),
        ("PUSHLINE_NOTHING", "conf.sample and pushline --print-config show every key"),
    ] {
        let want = format!("environment: \"{name}\" is not known, {want}");
        assert_eq!(load_with("", &[(name, "x")]).unwrap_err(), want);
    }
}

#[test]
fn an_empty_boolean_variable_is_not_set() {
    let toml = "[output]\ntarget = \"file:/x\"\nfsync = true\n";
    let empty = [("PUSHLINE_OUTPUT_FSYNC", ""), ("ENV_INPUT_PUSHGATEWAY_UTF8_NAMES", "")];
    assert_eq!(load_with(toml, &empty).unwrap(), load(toml).unwrap());
    // An empty text says something: none.
    let toml = "[server]\nauth_file = \"/x\"\n";
    let config = load_with(toml, &[("PUSHLINE_SERVER_AUTH_FILE", "")]).unwrap();
    assert_eq!(config.server.auth_file, None);
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_called_pushline_are_ignored() {
    let environment = [
        ("PUSHLINE_SERVICE_HOST", "10.0.0.1"),
        ("PUSHLINE_SERVICE_PORT", "9091"),
        ("PUSHLINE_SERVICE_PORT_HTTP", "9091"),
        ("PUSHLINE_PORT", "tcp://10.0.0.1:9091"),
        ("PUSHLINE_PORT_9091_TCP", "tcp://10.0.0.1:9091"),
        ("PUSHLINE_PORT_9091_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(load_with("", &environment).unwrap(), Config::default());
    for (name, _) in variables() {
        let is_theirs =
            ["PUSHLINE_SERVICE_", "PUSHLINE_PORT"].iter().any(|it| name.starts_with(it));
        assert!(!is_theirs, "{name} would be ignored");
    }
}

#[test]
fn a_port_alone_is_every_address() {
    let config = load("server.listen = [\":9091\"]").unwrap();
    assert_eq!(config.server.gate.listen, [Listen::Tcp(":9091".to_owned())]);
    assert!(load("server.listen = [\":\"]").is_err());
    assert!(load("output.target = \"tcp://:9091\"").is_err());
}

#[test]
fn values_that_exclude_each_other_are_named() {
    for (toml, want) in [
        (
            "[[inputs.pushgateway]]\n[[inputs.pushgateway]]\nroute_prefix = \"/\"",
            "two inputs have the route_prefix \"\", each must have one of its own",
        ),
        (
            "[server]\nmax_buffered_bytes = \"1MiB\"",
            "server.max_body_bytes is \"16MiB\", must not be above server.max_buffered_bytes (\"1MiB\")",
        ),
        (
            "server.listen = [\"127.0.0.1:1\", \":2\", \"127.0.0.1:1\"]",
            "server.listen has \"127.0.0.1:1\" twice, each address is bound once",
        ),
        ("[output]\nfsync = true", "output.fsync is true, which only a file can do, not stdout"),
        (
            "[spool]\ndir = \"/x\"",
            "spool.dir is set, which needs an output that may be away for a while (http, https, tcp \
             or unix), not stdout: without its reader the process ends",
        ),
        (
            "[output]\ntarget = \"tcp://x:1\"\n[spool]\ndir = \"/x\"\nafter = \"5s\"",
            "spool.after is \"5s\", must be below output.ack_timeout (\"5s\")",
        ),
        (
            "[output]\ntarget = \"http://x\"\n[output.http]\nlinger = \"5s\"",
            "output.http.linger is \"5s\", must be below output.ack_timeout (\"5s\"): a push that \
             comes alone would be answered 503 before it is sent",
        ),
    ] {
        assert_eq!(load(toml).unwrap_err(), want, "{toml}");
    }
}

#[test]
fn a_mistake_in_a_list_of_patterns_names_the_pattern() {
    let (long, cut) = ("x".repeat(257), "x".repeat(40));
    let many: Vec<_> = (0..257).map(|number| format!("\"{number}\"")).collect();
    for (toml, column, found, allowed) in [
        (r#"metric_allow = "go_*""#, 16, r#""go_*""#, PATTERNS.to_owned()),
        (
            r#"metric_allow = ["a", 1]"#,
            16,
            "a list with a value of type integer",
            PATTERNS.to_owned(),
        ),
        (
            r#"metric_deny = ["a", ""]"#,
            15,
            r#"["a", ""]"#,
            format!(r#"{PATTERNS}, which "" is not"#),
        ),
        (
            &format!("tags_drop = [\"{long}\"]"),
            13,
            &format!("[\"{long}\"]"),
            format!("{PATTERNS}, which \"{cut}\"… is not"),
        ),
        (
            &format!("metric_deny = [{}]", many.join(", ")),
            15,
            &format!("[{}]", many.join(", ")),
            format!("{PATTERNS}, not 257"),
        ),
    ] {
        check_mistake(toml, column, found, &allowed);
    }
}

#[test]
fn a_mistake_in_a_table_of_rules_names_the_entry() {
    for (toml, column, found, allowed) in [
        ("tags_rename = 1", 15, "1", TABLE.to_owned()),
        ("tags_add = { a = 1 }", 12, "a table with a value of type integer", TABLE.to_owned()),
        (
            r#"tags_rename = { a = "b", c = "" }"#,
            15,
            r#"{"a" = "b", "c" = ""}"#,
            format!(r#"{TABLE}, which "" is not"#),
        ),
        (r#"tags_add = { "" = "b" }"#, 12, r#"{"" = "b"}"#, format!(r#"{TABLE}, which "" is not"#)),
        (
            r#"measurements = [{ prefix = "a", nam = "b" }]"#,
            16,
            r#"[{"nam" = "b", "prefix" = "a"}]"#,
            format!(r#"{RULES}, and no "nam""#),
        ),
        (
            r#"measurements = [{ name = "b" }, { prefix = "c" }]"#,
            16,
            r#"[{"name" = "b"}, {"prefix" = "c"}]"#,
            format!(r#"{RULES}, and the one with the name "b" has no prefix"#),
        ),
        (
            r#"measurements = [{ prefix = "c" }, { prefix = "" }]"#,
            16,
            r#"[{"prefix" = "c"}, {"prefix" = ""}]"#,
            format!("{RULES}, and one has no prefix"),
        ),
        (
            r#"measurements = [{ prefix = "_" }]"#,
            16,
            r#"[{"prefix" = "_"}]"#,
            format!(
                r#"{RULES}, and the one with the prefix "_" needs a name, as the prefix gives none"#
            ),
        ),
        (r#"measurements = ["a"]"#, 16, r#"["a"]"#, RULES.to_owned()),
        (
            "measurements = [{ prefix = 1 }]",
            16,
            "a list with a value of type integer",
            RULES.to_owned(),
        ),
        ("measurement_prefix = 1", 22, "1", "a string".to_owned()),
    ] {
        check_mistake(toml, column, found, &allowed);
    }
}

/// The mistake of an input that has this key.
fn check_mistake(toml: &str, column: usize, found: &str, allowed: &str) {
    let (key, _) = toml.split_once(' ').unwrap();
    let want = format!("F:2:{column}: inputs.pushgateway.{key} is {found}, must be {allowed}");
    let toml = format!("[[inputs.pushgateway]]\n{toml}");
    assert_eq!(load(&toml).unwrap_err(), want, "{toml}");
}

const PATTERNS: &str = "a list of at most 256 patterns of 1 to 256 bytes each";
const TABLE: &str = "a table of at most 256 names, each with a text, of 1 to 256 bytes each";
const RULES: &str =
    "a list of at most 256 tables with a prefix and perhaps a name, of 1 to 256 bytes each";

#[test]
fn rules_stand_in_the_environment_between_commas() {
    const PREFIX: &str = "ENV_INPUT_PUSHGATEWAY_";
    let toml = "[[inputs.pushgateway]]\nmetric_deny = [\"x\"]\ntags_drop = [\"x\"]\n";
    let values = [
        ("METRIC_ALLOW", "node_*, up"),
        ("METRIC_DENY", ""),
        ("TAGS_RENAME", "a=b, c=d=e"),
        ("TAGS_ADD", "site = plant 7"),
        ("MEASUREMENTS", "node_disk_=disk,etcd_server_="),
        ("MEASUREMENT_PREFIX", "p_"),
    ];
    let environment = values.map(|(key, value)| (format!("{PREFIX}{key}"), value));
    let environment = environment.each_ref().map(|(name, value)| (&**name, *value));
    let same = r#"
        [[inputs.pushgateway]]
        metric_allow = ["node_*", "up"]
        tags_drop = ["x"]
        tags_rename = { a = "b", c = "d=e" }
        tags_add = { site = "plant 7" }
        measurements = [{ prefix = "node_disk_", name = "disk" }, { prefix = "etcd_server_" }]
        measurement_prefix = "p_"
    "#;
    assert_eq!(load_with(toml, &environment).unwrap(), load(same).unwrap());
    for (key, value, want) in [
        ("TAGS_ADD", "a=b,c", format!("{TABLE}, as a=b,c=d, which \"c\" is not")),
        ("TAGS_ADD", "a=1,a=2", format!("{TABLE}, and not \"a\" twice")),
        ("METRIC_DENY", "a,,b", format!("{PATTERNS}, which \"\" is not")),
        (
            "MEASUREMENTS",
            "a=b,etcd_server_",
            format!(
                "{RULES}, as prefix=name, or prefix= where the prefix names it, which \
                 \"etcd_server_\" is not"
            ),
        ),
        ("MEASUREMENTS", "=b", format!("{RULES}, and the one with the name \"b\" has no prefix")),
    ] {
        let name = format!("{PREFIX}{key}");
        let want = format!("environment: {name} is \"{value}\", must be {want}");
        assert_eq!(load_with("", &[(&name, value)]).unwrap_err(), want);
    }
}

#[test]
fn bad_toml_is_one_line_with_its_place() {
    for (toml, place) in [("[server\n", "F:1:"), ("a = 1\na = 2\n", "F:2:1: "), ("x = \"", "F:1:")]
    {
        let message = load(toml).unwrap_err();
        assert!(message.starts_with(place), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    for (variable, want) in [
        (
            ("PUSHLINE_OUTPUT_FSYNC", "yes"),
            "environment: PUSHLINE_OUTPUT_FSYNC is \"yes\", must be 1 t T TRUE true True 0 f F FALSE false or False",
        ),
        (
            ("ENV_INPUT_PUSHGATEWAY_HONOR_TIMESTAMPS", "on"),
            "environment: ENV_INPUT_PUSHGATEWAY_HONOR_TIMESTAMPS is \"on\", must be 1 t T TRUE true True 0 f F FALSE false or False",
        ),
    ] {
        assert_eq!(load_with("", &[variable]).unwrap_err(), want);
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_their_lines() {
    let toml = "[output]\nx = 2\nack = 1\n[log]\nlevle = 1\nformat = 1\n";
    let message = load_with(toml, &[("PUSHLINE_SERVER_WORKERS", "x")]).unwrap_err();
    let starts = ["F:2:1: ", "F:3:7: ", "F:5:1: ", "F:6:10: ", "environment: "];
    assert_eq!(message.lines().count(), starts.len(), "{message}");
    for (line, start) in message.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let sources = Sources { file: Some("/nowhere/x.toml".into()), shortcuts: vec![] };
    let error = Config::load(&sources, std::iter::empty()).unwrap_err();
    assert!(
        error.to_string().starts_with("/nowhere/x.toml: cannot be read: No such file"),
        "{error}"
    );
}
