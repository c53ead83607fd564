//! What can be written on the command line: one table for each command. The parser, `--help`, and
//! the generated manuals and completions are made of them.

/// A command and its flags. `F` tells its flags apart.
pub(crate) struct CommandSpec<F: 'static> {
    /// As it is written: `pushline`, or `pushline convert`.
    pub(crate) name: &'static str,
    /// What it is for, in one line.
    pub(crate) about: &'static str,
    /// Its forms, one a line.
    pub(crate) usage: &'static [&'static str],
    /// The text between its forms and its flags; may be empty.
    pub(crate) description: &'static str,
    pub(crate) flags: &'static [FlagSpec<F>],
    /// What follows its flags.
    pub(crate) notes: &'static str,
}

/// One flag.
pub(crate) struct FlagSpec<F> {
    pub(crate) flag: F,
    /// Such as `--config`.
    pub(crate) name: &'static str,
    /// Such as `-h`.
    pub(crate) short: Option<&'static str>,
    /// What its value is called; `None` if it takes no value.
    pub(crate) value: Option<&'static str>,
    /// The values that it takes, where there are few.
    #[cfg_attr(not(test), expect(dead_code, reason = "read where tests make the completions"))]
    pub(crate) choices: &'static [&'static str],
    /// What it does.
    pub(crate) about: &'static str,
}

/// The flags of `pushline`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServeFlag {
    Config,
    Listen,
    Output,
    Check,
    PrintConfig,
    Version,
    Help,
}

/// `pushline`
pub(crate) static SERVE: CommandSpec<ServeFlag> = CommandSpec {
    name: "pushline",
    about: "Prometheus Pushgateway protocol in, InfluxDB line protocol out",
    usage: &[
        "pushline [--config FILE] [--listen ADDRESS] [--output TARGET] [--check | --print-config]",
        "pushline convert [OPTIONS] [FILE]    (see pushline convert --help)",
        "pushline spool list|print            (see pushline spool --help)",
    ],
    description: "",
    flags: &[
        FlagSpec {
            flag: ServeFlag::Config,
            name: "--config",
            short: None,
            value: Some("FILE"),
            choices: &[],
            about: "read this TOML file; see conf.sample for every key",
        },
        FlagSpec {
            flag: ServeFlag::Listen,
            name: "--listen",
            short: None,
            value: Some("ADDRESS"),
            choices: &[],
            about: "listen there: server.listen, such as 127.0.0.1:9091 or :9091",
        },
        FlagSpec {
            flag: ServeFlag::Output,
            name: "--output",
            short: None,
            value: Some("TARGET"),
            choices: &[],
            about: "write lines there: output.target, such as file:/tmp/lines",
        },
        FlagSpec {
            flag: ServeFlag::Check,
            name: "--check",
            short: None,
            value: None,
            choices: &[],
            about: "only check the configuration, and what it names",
        },
        FlagSpec {
            flag: ServeFlag::PrintConfig,
            name: "--print-config",
            short: None,
            value: None,
            choices: &[],
            about: "print the effective configuration as TOML",
        },
        FlagSpec {
            flag: ServeFlag::Version,
            name: "--version",
            short: Some("-V"),
            value: None,
            choices: &[],
            about: "print the version",
        },
        FlagSpec {
            flag: ServeFlag::Help,
            name: "--help",
            short: Some("-h"),
            value: None,
            choices: &[],
            about: "print this",
        },
    ],
    notes: "\
Without a file it listens on 127.0.0.1:9091 and writes to standard output.
Push with:  echo 'room_temp 21.5' | curl --data-binary @- http://127.0.0.1:9091/metrics/job/demo

Environment (wins over the file, and a flag wins over both):
  PUSHLINE_<TABLE>_<KEY>              such as PUSHLINE_SERVER_LISTEN, PUSHLINE_OUTPUT_TARGET
  ENV_INPUT_PUSHGATEWAY_<KEY>         for the first input, as DataKit names them; lists are a,b
                                      and tables a=b,c=d
  NOTIFY_SOCKET, WATCHDOG_USEC        set by a supervisor such as systemd: it is told of each step
  LISTEN_FDS                          its sockets take the place of server.listen

Signals: SIGTERM and SIGINT drain and end. SIGHUP reopens a file output and rereads the file and
the credentials: what can change at run time changes, what needs a restart is named in the log,
and with a mistake in them nothing changes. Only with a mistake in the files of output.http and
output.tls, the output keeps what it had and the rest is taken.
Exit status: 0 fine, 1 a failure while running, 2 a wrong argument or configuration.
",
};

/// The flags of `pushline convert`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConvertFlag {
    Config,
    RoutePrefix,
    Job,
    Label,
    Format,
    Coding,
    Time,
    Help,
}

/// `pushline convert`
pub(crate) static CONVERT: CommandSpec<ConvertFlag> = CommandSpec {
    name: "pushline convert",
    about: "what a push would become, without a server",
    usage: &["pushline convert [OPTIONS] [FILE]"],
    description: "\
Reads one body from FILE, or from standard input without one or with -, and writes its lines to
standard output. The inputs and limits of the configuration, and the environment, hold as they do
for the server.
",
    flags: &[
        FlagSpec {
            flag: ConvertFlag::Config,
            name: "--config",
            short: None,
            value: Some("FILE"),
            choices: &[],
            about: "the configuration, as for the server",
        },
        FlagSpec {
            flag: ConvertFlag::RoutePrefix,
            name: "--route-prefix",
            short: None,
            value: Some("PREFIX"),
            choices: &[],
            about: "the input of that route_prefix; needed where there are several",
        },
        FlagSpec {
            flag: ConvertFlag::Job,
            name: "--job",
            short: None,
            value: Some("JOB"),
            choices: &[],
            about: "the job of the URL (convert)",
        },
        FlagSpec {
            flag: ConvertFlag::Label,
            name: "--label",
            short: None,
            value: Some("NAME=VALUE"),
            choices: &[],
            about: "a label of the URL; may be repeated. NAME@base64=VALUE as in the URL",
        },
        FlagSpec {
            flag: ConvertFlag::Format,
            name: "--format",
            short: None,
            value: Some("FORMAT"),
            choices: &["text", "openmetrics", "protobuf"],
            about: "text (default), openmetrics or protobuf",
        },
        FlagSpec {
            flag: ConvertFlag::Coding,
            name: "--coding",
            short: None,
            value: Some("CODING"),
            choices: &["identity", "gzip", "deflate", "snappy"],
            about: "how it is compressed: identity (default), gzip, deflate or snappy",
        },
        FlagSpec {
            flag: ConvertFlag::Time,
            name: "--time",
            short: None,
            value: Some("NANOSECONDS"),
            choices: &[],
            about: "the time of the push, since 1970; without it, now",
        },
        FlagSpec {
            flag: ConvertFlag::Help,
            name: "--help",
            short: Some("-h"),
            value: None,
            choices: &[],
            about: "print this",
        },
    ],
    notes: "\
Standard error counts the samples that line protocol cannot say, which are skipped, and tells of
what may not be meant: implausible timestamps, labels that the URL overrules, and lines of which a
store keeps one.
Exit status: 0 fine, 1 the push is refused, or standard output does not take its lines, 2 a wrong
argument or configuration, or a file that cannot be read.
",
};

/// The flags of `pushline spool`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpoolFlag {
    Config,
    Dir,
    Help,
}

/// `pushline spool`
pub(crate) static SPOOL: CommandSpec<SpoolFlag> = CommandSpec {
    name: "pushline spool",
    about: "what waits on disk for the output, beside a running server too",
    usage: &["pushline spool list|print [--config FILE | --dir DIR]"],
    description: "\
list shows segments, bytes, lines, times and damage, print the lines that wait, in their order, to
be delivered by hand.
",
    flags: &[
        FlagSpec {
            flag: SpoolFlag::Config,
            name: "--config",
            short: None,
            value: Some("FILE"),
            choices: &[],
            about: "the configuration, as for the server: its spool.dir",
        },
        FlagSpec {
            flag: SpoolFlag::Dir,
            name: "--dir",
            short: None,
            value: Some("DIR"),
            choices: &[],
            about: "this folder",
        },
        FlagSpec {
            flag: SpoolFlag::Help,
            name: "--help",
            short: Some("-h"),
            value: None,
            choices: &[],
            about: "print this",
        },
    ],
    notes: "\
Exit status: 0 fine, 1 the folder cannot be read, some of it is damaged, or standard output does
not take the lines, 2 a wrong argument or configuration.
",
};
