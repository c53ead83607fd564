//! `pushline.toml(5)`: every key of the configuration.

use super::roff::Page;
use crate::config::reference::{KeyEntry, sections};

pub(super) fn page() -> String {
    let mut page = Page::new("pushline.toml", 5, "configuration of pushline");
    page.section("DESCRIPTION");
    page.paragraph(
        "`pushline --config FILE` reads this file, which is TOML; `pushline --check` tells every \
         mistake in it, with its line. Defaults, then the file, then the environment, then flags. \
         Without a file, defaults hold. A `pushgateway.conf` of DataKit is read as it is.",
    );
    page.paragraph(
        "Sizes are bytes or `\"64KiB\"`, `\"16MiB\"`, `\"1GiB\"`; durations are `\"500ms\"`, \
         `\"10s\"`, `\"1m\"`, `\"1h\"`. Each key has a variable of the environment, which wins over \
         the file; in one, lists are `a,b` and tables `a=b,c=d`. SIGHUP reads the file again, and \
         takes all of it while pushes go on, except the keys that need a restart.",
    );
    for section in sections() {
        page.section(&section.header);
        if !section.about.is_empty() {
            page.paragraph(&section.about);
        }
        for KeyEntry { name, about, more, variable, default } in &section.keys {
            page.entry(&format!("`{name}` = {default}"), about);
            if !more.is_empty() {
                page.literal_of_entry(more);
            }
            page.more_of_entry(&format!("Variable: {variable}"));
        }
    }
    page.section("EXAMPLE");
    page.literal(
        "[server]\nlisten = [\":9091\"]\n\n[output]\n\
         target = \"http://127.0.0.1:8086/write?db=metrics&precision=ns\"\n\n\
         [spool]\ndir = \"/var/lib/pushline/spool\"",
    );
    page.section("SEE ALSO");
    page.paragraph("`pushline`(1), `pushline-metrics`(7)");
    page.into_text()
}
