//! The families that are measured: made here by arithmetic, the same in every run.
//!
//! Names, label shapes and the mix of values follow what node_exporter and an instrumented HTTP
//! service expose: zeros, small counts, large counts that Go prints with an exponent, fractions;
//! some families of hundreds of metrics, and many of one.

use crate::model::{Family, Kind, Metric, Value, sample_count};

/// Samples of the node body at scale 1: about 1 MB.
pub const NODE_SAMPLES: u64 = 12_500;

const BOUNDS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, f64::INFINITY];

/// As node_exporter of a large host: `NODE_SAMPLES / divisor` samples, none to three labels each.
pub fn node(divisor: u64) -> Vec<Family> {
    let mut families = vec![cpu(200 / divisor)];
    families.extend(disks(120 / divisor));
    families.extend(filesystems(170 / divisor));
    families.extend(networks(560 / divisor));
    let left = (NODE_SAMPLES / divisor).saturating_sub(sample_count(&families));
    families.extend((0..left).map(memory));
    families
}

/// As an HTTP service with many routes: `10,500 / divisor` samples, all of typed histograms.
pub fn hist(divisor: u64) -> Vec<Family> {
    const SUBJECTS: [&str; 5] =
        ["http_request", "http_response", "grpc_server", "db_query", "cache"];
    const MEASURES: [&str; 3] = ["duration_seconds", "queue_seconds", "handling_seconds"];
    let pairs = SUBJECTS.iter().flat_map(|subject| MEASURES.iter().map(move |m| (subject, m)));
    pairs
        .enumerate()
        .map(|(index, (subject, measure))| Family {
            name: format!("{subject}_{measure}"),
            help: "How long it took, by route and method.",
            kind: Kind::Histogram,
            metrics: (0..50 / divisor).map(|at| observed(index as u64, at)).collect(),
        })
        .collect()
}

/// A batch job's push of about 200 bytes: 4 samples.
pub fn small() -> Vec<Family> {
    let stage = |stage: &str, value| number(vec![("stage", stage.to_owned())], value);
    let family =
        |name: &str, kind, metrics| Family { name: name.to_owned(), help: "", kind, metrics };
    vec![
        family(
            "batch_runs_total",
            Kind::Counter,
            vec![stage("load", 1027.0), stage("store", 1024.0)],
        ),
        family("batch_seconds", Kind::Gauge, vec![number(Vec::new(), 12.75)]),
        family("batch_rows", Kind::Gauge, vec![number(Vec::new(), 1.5e6)]),
    ]
}

fn number(labels: Vec<(&'static str, String)>, value: f64) -> Metric {
    Metric { labels, value: Value::Number(value) }
}

fn cpu(cpus: u64) -> Family {
    const MODES: [&str; 8] =
        ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"];
    let metric = |cpu: u64, at: u64, mode: &str| {
        let labels = vec![("cpu", cpu.to_string()), ("mode", mode.to_owned())];
        let idle = matches!(mode, "irq" | "nice" | "steal");
        let hundredths = if idle { 0 } else { (cpu * 7_919 + at * 104_729) * 13 % 99_999_989 };
        number(labels, hundredths as f64 / 100.0)
    };
    let metrics =
        (0..cpus).flat_map(|cpu| (0..).zip(MODES).map(move |(at, mode)| metric(cpu, at, mode)));
    Family {
        name: "node_cpu_seconds_total".to_owned(),
        help: "Seconds the CPUs spent in each mode.",
        kind: Kind::Counter,
        metrics: metrics.collect(),
    }
}

fn disks(disks: u64) -> impl Iterator<Item = Family> {
    const NAMES: [&str; 8] = [
        "node_disk_io_now",
        "node_disk_io_time_seconds_total",
        "node_disk_read_bytes_total",
        "node_disk_read_time_seconds_total",
        "node_disk_reads_completed_total",
        "node_disk_write_time_seconds_total",
        "node_disk_writes_completed_total",
        "node_disk_written_bytes_total",
    ];
    NAMES.into_iter().map(move |name| {
        let metric = |disk: u64| {
            let value = match name {
                "node_disk_io_now" => (disk % 3) as f64,
                name if name.ends_with("seconds_total") => (disk * 1_234_567) as f64 / 1000.0,
                name if name.ends_with("bytes_total") => (disk * 48_271_001 * 4096) as f64,
                _ => (disk * disk * 997 + 89) as f64,
            };
            number(vec![("device", format!("nvme{disk}n1"))], value)
        };
        family_of(name, "The number of it as the kernel reports it.", (0..disks).map(metric))
    })
}

fn filesystems(mounts: u64) -> impl Iterator<Item = Family> {
    const NAMES: [&str; 7] = [
        "node_filesystem_avail_bytes",
        "node_filesystem_device_error",
        "node_filesystem_files",
        "node_filesystem_files_free",
        "node_filesystem_free_bytes",
        "node_filesystem_readonly",
        "node_filesystem_size_bytes",
    ];
    NAMES.into_iter().map(move |name| {
        let metric = |mount: u64| {
            let labels = vec![
                ("device", format!("/dev/nvme{mount}n1p1")),
                ("fstype", "ext4".to_owned()),
                ("mountpoint", format!("/var/lib/data/{mount}")),
            ];
            let value = match name {
                name if name.ends_with("bytes") => (mount + 3) * 98_765_431 * 512,
                name if name.contains("files") => 65_536 * (mount + 1),
                _ => 0,
            };
            number(labels, value as f64)
        };
        family_of(name, "Filesystem by device and mountpoint.", (0..mounts).map(metric))
    })
}

fn networks(devices: u64) -> impl Iterator<Item = Family> {
    const NAMES: [&str; 12] = [
        "node_network_receive_bytes_total",
        "node_network_receive_compressed_total",
        "node_network_receive_drop_total",
        "node_network_receive_errs_total",
        "node_network_receive_packets_total",
        "node_network_transmit_bytes_total",
        "node_network_transmit_carrier_total",
        "node_network_transmit_drop_total",
        "node_network_transmit_errs_total",
        "node_network_transmit_packets_total",
        "node_network_mtu_bytes",
        "node_network_up",
    ];
    NAMES.into_iter().map(move |name| {
        let metric = |device: u64| {
            let value = match name {
                "node_network_mtu_bytes" => 1500,
                "node_network_up" => 1,
                name if name.ends_with("bytes_total") => device * device * 1_048_583 + 1_021,
                name if name.ends_with("packets_total") => device * 7_919,
                name if name.ends_with("drop_total") => device % 17,
                _ => 0,
            };
            number(
                vec![("device", format!("veth{:07x}", device * 2_654_435 % 0xfff_ffff))],
                value as f64,
            )
        };
        family_of(name, "Network device statistic of that name.", (0..devices).map(metric))
    })
}

/// A family of one metric without labels, as node_exporter has hundreds of.
fn memory(index: u64) -> Family {
    let metric = number(Vec::new(), (index * 4096 * 17_041) as f64);
    let mut family = family_of("", "Memory information field of that name.", [metric].into_iter());
    family.name = format!("node_memory_Section{index}_bytes");
    family
}

fn family_of(name: &str, help: &'static str, metrics: impl Iterator<Item = Metric>) -> Family {
    let kind = if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
    Family { name: name.to_owned(), help, kind, metrics: metrics.collect() }
}

/// One histogram: 12 buckets, which a text body adds the sum and the count to.
fn observed(family: u64, at: u64) -> Metric {
    const METHODS: [&str; 5] = ["DELETE", "GET", "PATCH", "POST", "PUT"];
    let method = METHODS[(at % 5) as usize];
    let labels = vec![
        ("code", "200".to_owned()),
        ("handler", format!("/api/v1/resource/{}", at / 5)),
        ("method", method.to_owned()),
    ];
    let mut count = 0;
    let buckets = BOUNDS
        .iter()
        .zip(1..)
        .map(|(bound, step): (&f64, u64)| {
            count += (family * 31 + at * 17 + 1) * step % 911;
            (*bound, count)
        })
        .collect();
    Metric { labels, value: Value::Buckets { buckets, sum: count as f64 * 0.137 } }
}
