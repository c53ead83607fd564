//! `[[inputs.pushgateway]]`: where pushes of one kind arrive, and how they become lines.

use crate::config::key::Reload::Taken;
use crate::config::key::{Key, Section, Stored, field};
use crate::config::options::InputConfig;
use crate::config::rules::{LabelTable, MeasurementRules, Patterns, Texts};
use crate::config::value_types::{FLAG, OptionalPath, RoutePrefix, Switch, Words};
use crate::push::mapping::Timestamps;
use crate::push::sample::Names;
use std::collections::BTreeMap;

pub(crate) static INPUT: Section<InputConfig> = Section {
    name: "inputs.pushgateway",
    about: "may be given several times, each with a `route_prefix` of its own",
    keys: &[
        Key {
            name: "route_prefix",
            about: "pushes go to `<route_prefix>/metrics/job/<job>`",
            reload: Taken,
            value: &Stored {
                is: RoutePrefix,
                default: String::new,
                field: field!(InputConfig, route_prefix),
            },
        },
        Key {
            name: "auth_file",
            about: "as `server.auth_file`, and instead of it, for the pushes to this input alone",
            reload: Taken,
            value: &Stored {
                is: OptionalPath,
                default: || None,
                field: field!(InputConfig, auth_file),
            },
        },
        Key {
            name: "measurement_name",
            about: "a fixed measurement; the field is the metric's whole name. Empty = not set",
            reload: Taken,
            value: &Stored {
                is: Words,
                default: String::new,
                field: field!(InputConfig, measurement_name),
            },
        },
        Key {
            name: "job_as_measurement",
            about: "the job is the measurement; the field is the metric's whole name. \
                    `measurement_name` wins over it",
            reload: Taken,
            value: &Stored {
                is: FLAG,
                default: || false,
                field: field!(InputConfig, job_as_measurement),
            },
        },
        Key {
            name: "keep_exist_metric_name",
            about: "the measurement is cut from the metric's name at its first `_`; true: the field \
                    keeps the whole name\n\
                    DataKit's default is true, though the example of its document says false.",
            reload: Taken,
            value: &Stored {
                is: FLAG,
                default: || false,
                field: field!(InputConfig, keep_exist_metric_name),
            },
        },
        Key {
            name: "honor_timestamps",
            about: "use the timestamps of samples, not only the time of the push",
            reload: Taken,
            value: &Stored {
                is: Switch { off: Timestamps::Ignore, on: Timestamps::Honor },
                default: || Timestamps::Honor,
                field: field!(InputConfig, timestamps),
            },
        },
        Key {
            name: "utf8_names",
            about: "allow UTF-8 names: quoted in text, in protobuf, and in the URL, there also as \
                    `U__` escapes",
            reload: Taken,
            value: &Stored {
                is: Switch { off: Names::Legacy, on: Names::Utf8 },
                default: || Names::Legacy,
                field: field!(InputConfig, names),
            },
        },
        Key {
            name: "metric_allow",
            about: r#"patterns of metric names to keep: `*` is any run of characters, `?` one; empty = all
The name is that of the TYPE line for a histogram or summary, which is kept or left out with all its
parts, and the sample's own name for all else.
  metric_allow = ["node_*", "up"]"#,
            reload: Taken,
            value: &Stored {
                is: Patterns,
                default: Vec::new,
                field: field!(InputConfig, filter.allow),
            },
        },
        Key {
            name: "metric_deny",
            about: r#"patterns of metric names to leave out, also of those that are allowed
  metric_deny = ["go_*", "*_created"]"#,
            reload: Taken,
            value: &Stored {
                is: Patterns,
                default: Vec::new,
                field: field!(InputConfig, filter.deny),
            },
        },
        Key {
            name: "tags_rename",
            about: r#"new names of labels of URL and body, `{ old = "new" }`
Labels are renamed first, then dropped, then tags are added. Of two labels that get one name, the
URL's wins over the body's, else the one that had it from the start. The "le" of buckets and the
"quantile" of summaries stay.
  tags_rename = { exported_instance = "instance", hostname = "host" }"#,
            reload: Taken,
            value: &Stored {
                is: Texts,
                default: BTreeMap::new,
                field: field!(InputConfig, tags.rename),
            },
        },
        Key {
            name: "tags_drop",
            about: r#"patterns of labels that are not written, by their new names
  tags_drop = ["pod_template_*", "uid"]"#,
            reload: Taken,
            value: &Stored {
                is: Patterns,
                default: Vec::new,
                field: field!(InputConfig, tags.drop),
            },
        },
        Key {
            name: "tags_add",
            about: r#"tags for lines that have none of that name, `{ key = "value" }`
  tags_add = { site = "plant-7", env = "prod" }"#,
            reload: Taken,
            value: &Stored {
                is: LabelTable,
                default: Vec::new,
                field: field!(InputConfig, tags.add),
            },
        },
        Key {
            name: "measurements",
            about: r#"rules `{ prefix, name }`: the first prefix that fits names the measurement, the rest is the field
This goes before measurement_name and all others. The field is all of the name where nothing is
left. Without a name, the measurement is the prefix without the "_" at its end; the variable has
such a rule as etcd_server_=, with nothing after it.
  measurements = [{ prefix = "node_disk_", name = "disk" }, { prefix = "etcd_server_" }]"#,
            reload: Taken,
            value: &Stored {
                is: MeasurementRules,
                default: Vec::new,
                field: field!(InputConfig, measurement_rules),
            },
        },
        Key {
            name: "measurement_prefix",
            about: r#"the beginning of every measurement, whichever rule named it
  measurement_prefix = "prom_""#,
            reload: Taken,
            value: &Stored {
                is: Words,
                default: String::new,
                field: field!(InputConfig, measurement_prefix),
            },
        },
    ],
};
