//! The effective configuration → TOML that reads back as the same (`--print-config`).

use super::value::{duration_text, size_text};
use super::{Config, InputConfig};
use crate::delivery::queue::Acknowledge;
use crate::delivery::sink::Durability;
use crate::observe::log::{Format, Level};
use crate::push::mapping::{MeasurementRule, Pattern, Timestamps};
use crate::push::sample::Names;
use std::fmt;

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_server(f)?;
        self.fmt_output(f)?;
        self.inputs.iter().try_for_each(|input| input.fmt(f))
    }
}

impl Config {
    fn fmt_server(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (server, gate) = (&self.server, &self.server.gate);
        let listen: Vec<_> = gate.listen.iter().map(|place| quoted(&place.to_string())).collect();
        let auth_file = server.auth_file.as_ref().map(|path| path.display().to_string());
        writeln!(f, "[server]\nlisten = [{}]", listen.join(", "))?;
        writeln!(f, "workers = {}", server.workers)?;
        writeln!(f, "max_body_bytes = \"{}\"", size_text(gate.body_bytes_max))?;
        writeln!(f, "max_decoded_bytes = \"{}\"", size_text(server.decoded_bytes_max))?;
        writeln!(f, "max_buffered_bytes = \"{}\"", size_text(gate.buffered_bytes_max))?;
        writeln!(f, "max_connections = {}", gate.connections_max)?;
        writeln!(f, "head_timeout = \"{}\"", duration_text(gate.head_timeout))?;
        writeln!(f, "body_timeout = \"{}\"", duration_text(gate.body_timeout))?;
        writeln!(f, "idle_timeout = \"{}\"", duration_text(gate.idle_timeout))?;
        writeln!(f, "auth_file = {}\n", quoted(&auth_file.unwrap_or_default()))
    }

    fn fmt_output(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (output, queue) = (&self.output, &self.output.queue);
        let ack = match queue.acknowledge {
            Acknowledge::Written => "written",
            Acknowledge::Queued => "queued",
        };
        let level = match self.log.level {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        };
        let format = match self.log.format {
            Format::Logfmt => "logfmt",
            Format::Json => "json",
        };
        writeln!(f, "[output]\ntarget = {}", quoted(&output.target.to_string()))?;
        writeln!(f, "ack = \"{ack}\"")?;
        writeln!(f, "ack_timeout = \"{}\"", duration_text(queue.ack_timeout))?;
        writeln!(f, "drain_timeout = \"{}\"", duration_text(output.drain_timeout))?;
        writeln!(f, "queue_bytes = \"{}\"", size_text(queue.bytes_max))?;
        writeln!(f, "fsync = {}\n", output.durability == Durability::Synced)?;
        writeln!(f, "[log]\nlevel = \"{level}\"\nformat = \"{format}\"")?;
        let emit_interval = duration_text(self.telemetry.emit_interval.unwrap_or_default());
        writeln!(f, "\n[telemetry]\nemit_interval = \"{emit_interval}\"")
    }
}

impl fmt::Display for InputConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n[[inputs.pushgateway]]")?;
        writeln!(f, "route_prefix = {}", quoted(&self.route_prefix))?;
        writeln!(f, "measurement_name = {}", quoted(&self.measurement_name))?;
        writeln!(f, "job_as_measurement = {}", self.job_as_measurement)?;
        writeln!(f, "keep_exist_metric_name = {}", self.keep_exist_metric_name)?;
        writeln!(f, "honor_timestamps = {}", self.timestamps == Timestamps::Honor)?;
        writeln!(f, "utf8_names = {}", self.names == Names::Utf8)?;
        self.fmt_rules(f)
    }
}

impl InputConfig {
    fn fmt_rules(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InputConfig { filter, tags, measurement_rules, .. } = self;
        writeln!(f, "metric_allow = {}", patterns(&filter.allow))?;
        writeln!(f, "metric_deny = {}", patterns(&filter.deny))?;
        let renamed = tags.rename.iter().map(|(old, new)| (&**old, &**new));
        writeln!(f, "tags_rename = {}", table(renamed))?;
        writeln!(f, "tags_drop = {}", patterns(&tags.drop))?;
        let added = tags.add.iter().map(|label| (&*label.name, &*label.value));
        writeln!(f, "tags_add = {}", table(added))?;
        let rule =
            |rule: &MeasurementRule| table([("prefix", &*rule.prefix), ("name", &rule.name)]);
        let rules: Vec<_> = measurement_rules.iter().map(rule).collect();
        writeln!(f, "measurements = [{}]", rules.join(", "))?;
        writeln!(f, "measurement_prefix = {}", quoted(&self.measurement_prefix))
    }
}

fn patterns(patterns: &[Pattern]) -> String {
    let texts: Vec<_> = patterns.iter().map(|pattern| quoted(&pattern.to_string())).collect();
    format!("[{}]", texts.join(", "))
}

/// An inline table (TOML 1.0).
fn table<'t>(pairs: impl IntoIterator<Item = (&'t str, &'t str)>) -> String {
    let pair = |(name, text)| format!("{} = {}", quoted(name), quoted(text));
    let pairs: Vec<_> = pairs.into_iter().map(pair).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// A basic string (TOML 1.0, "String").
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_control() => {
                quoted.push_str(&format!("\\u{:04X}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
