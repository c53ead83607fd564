//! The commands in the pages for readers: each is run here and does what its page shows, or carries
//! the reason why it is not.
//!
//! A fenced block says it after its language:
//!
//! | block | what is done |
//! |---|---|
//! | `sh` | runs, and every command of it succeeds |
//! | `sh serve` | runs until it listens; up to the next heading, pushes go there |
//! | `console` | the commands after `$ ` print what follows them |
//! | `text lines` | what the pushes before it have written |
//! | `text picture` | a drawing |
//! | `toml` | what `pushline.toml` is from there on |
//! | any, `not-run: why` | nothing, but what it names in `scripts` and `tests` is there |

use crate::pages::{pages, root};
use crate::process::{Collected, Pushline, command, folder};
use crate::store::{Act, Store};
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// A fenced block, or a heading.
struct Part {
    /// Where it is, for who has to mend it.
    place: String,
    /// Empty for a heading.
    language: String,
    mark: String,
    text: String,
}

fn parts(page: &Path) -> Vec<Part> {
    let (mut parts, mut open): (Vec<Part>, _) = (Vec::new(), false);
    for (number, line) in std::fs::read_to_string(page).unwrap().lines().enumerate() {
        let place = format!("{}:{}", page.strip_prefix(root()).unwrap().display(), number + 1);
        match line.trim_start().strip_prefix("```") {
            Some(_) if open => open = false,
            Some(info) => {
                open = true;
                let (language, mark) = info.split_once(' ').unwrap_or((info, ""));
                let (language, mark) = (language.to_owned(), mark.to_owned());
                assert!(!language.is_empty(), "{place}: a block without a language");
                parts.push(Part { place, language, mark, text: String::new() });
            }
            None if open => parts.last_mut().unwrap().text.extend([line, "\n"]),
            None if line.starts_with('#') => {
                let (language, mark) = (String::new(), String::new());
                parts.push(Part { place, language, mark, text: line.to_owned() });
            }
            None => {}
        }
    }
    parts
}

/// What a page's commands find: a folder, a pushline, a store.
struct Stage {
    folder: PathBuf,
    store: Store,
    pushline: Pushline,
    output: Arc<Collected>,
    /// What the last `sh serve` started, and where it listens.
    served: Option<(Child, String)>,
}

impl Stage {
    fn new() -> Stage {
        let folder = folder();
        let (pushline, output) = Pushline::start(
            "[[inputs.pushgateway]]\n[[inputs.pushgateway]]\nroute_prefix = \"/v1/pushgateway\"\n",
        );
        let store = Store::start(|_| Act::status(204));
        let stage = Stage { folder, store, pushline, output, served: None };
        stage.write("metrics.txt", "backup_duration_seconds 42.5\n");
        stage.write("pushline.toml", "[output]\ntarget = \"file:lines\"\n");
        stage.write(
            "pushgateway.conf",
            "[[inputs.pushgateway]]\n  route_prefix = \"/v1/pushgateway\"\n",
        );
        let program = command();
        let words: Vec<_> =
            std::iter::once(program.get_program()).chain(program.get_args()).collect();
        let words = words.join(" ".as_ref());
        stage.program("pushline", &format!("exec {} \"$@\"", words.display()));
        stage.program(
            "cargo",
            "[ \"$1 $2\" = 'run --release' ] || exit 64\nshift 2\n[ \"$1\" != -- ] || shift\n\
             exec pushline \"$@\"",
        );
        // An answer that is an error fails the command.
        let curl = Command::new("sh").args(["-c", "command -v curl"]).output().unwrap();
        let curl = String::from_utf8(curl.stdout).unwrap();
        stage.program(
            "curl",
            &format!("exec {} -sS --max-time 60 --fail-with-body \"$@\"", curl.trim()),
        );
        stage
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        let name = format!("bin/{name}");
        self.write(&name, &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(self.folder.join(name), Permissions::from_mode(0o755)).unwrap();
    }

    /// A folder `spool` with a line that waits in it.
    fn fill_spool(&self) {
        let spool = self.folder.join("spool");
        std::fs::create_dir_all(&spool).unwrap();
        let toml = format!(
            "[output]\ntarget = \"tcp://127.0.0.2:9\"\n[spool]\ndir = \"{}\"\nafter = \"10ms\"\n",
            spool.display()
        );
        let mut pushline = Pushline::spawn(&toml, Stdio::null());
        assert_eq!(crate::http::push(pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
        pushline.signal("TERM");
        assert!(pushline.wait().success());
    }

    /// The script with the addresses of here in the places of the page's.
    fn shell(&self, script: &str) -> Command {
        let own = self.pushline.address.to_string();
        let address = self.served.as_ref().map_or(&own, |(_, address)| address);
        let store = self.store.url("").replace("http://", "");
        let script = script
            .replace("127.0.0.1:9091", address)
            .replace("127.0.0.1:8086", &store)
            .replace("store.example:8428", &store);
        let mut shell = Command::new("sh");
        let path = format!("{}/bin:{}", self.folder.display(), std::env::var("PATH").unwrap());
        shell.args(["-ec", &script]).current_dir(&self.folder).env("PATH", path);
        shell.stdin(Stdio::null());
        shell
    }

    fn run(&self, part: &Part) {
        let told = self.shell(&part.text).output().unwrap();
        let words = [told.stdout, told.stderr].concat();
        assert!(told.status.success(), "{}: {}", part.place, String::from_utf8_lossy(&words));
    }

    fn serve(&mut self, part: &Part) {
        self.end_served();
        let mut shell = self.shell(&part.text);
        shell.env("PUSHLINE_SERVER_LISTEN", "127.0.0.1:0").process_group(0);
        let mut child = shell.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            line.split_once("msg=listening address=").map(|(_, address)| address.trim().to_owned())
        });
        let address = address.unwrap_or_else(|| panic!("{}: it does not listen", part.place));
        // Read on, so that it never waits for who reads its log.
        std::thread::spawn(move || lines.for_each(drop));
        self.served = Some((child, address));
    }

    fn end_served(&mut self) {
        if let Some((mut child, _)) = self.served.take() {
            // Its whole group: the shell, and what it runs.
            let group = format!("-{}", child.id());
            Command::new("kill").args(["-TERM", "--", &group]).status().ok();
            child.wait().ok();
        }
    }

    fn transcript(&self, part: &Part) {
        for command in format!("\n{}", part.text).split("\n$ ").skip(1) {
            let (script, want) = command.split_once('\n').unwrap();
            let told = self.shell(&format!("exec 2>&1\n{script}")).output().unwrap();
            let found = String::from_utf8(told.stdout).unwrap();
            let found = found.lines().filter(|line| !line.starts_with("curl: (22)"));
            let found = found.collect::<Vec<_>>().join("\n");
            assert_eq!(timeless(&found), timeless(want.trim_end()), "{}: {script}", part.place);
        }
    }

    /// What the pushes before have written.
    fn lines(&self, part: &Part) {
        let want = timeless(&part.text);
        let is_there = |bytes: &[u8]| timeless(&String::from_utf8_lossy(bytes)).contains(&want);
        self.output.take_until(is_there);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end_served();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// Times of pushes, nineteen digits, are those of the pages.
fn timeless(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n']).map(|word| {
        let number = word.trim_end();
        let is_time = number.len() == 19 && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_time { word.replace(number, "1700000000000000000") } else { word.to_owned() }
    });
    words.collect()
}

/// Nothing of a block that is not run is out of date where that can be told.
fn check_names(part: &Part) {
    for word in part.text.split([' ', '\n', '"', '\'']) {
        if word.starts_with("scripts/") || word.starts_with("tests/") {
            assert!(root().join(word).exists(), "{}: there is no {word}", part.place);
        }
    }
}

#[test]
fn every_command_of_every_page_is_run_or_says_why_not() {
    let (mut run, mut left) = (0, 0);
    for page in pages() {
        let mut stage = Stage::new();
        let text = std::fs::read_to_string(&page).unwrap();
        if text.contains("./spool") {
            stage.fill_spool();
        }
        for part in parts(&page) {
            if let Some(why) = part.mark.strip_prefix("not-run: ") {
                assert!(why.split(' ').count() >= 2, "{}: why?", part.place);
                check_names(&part);
                left += 1;
                continue;
            }
            match (&*part.language, &*part.mark) {
                ("", "") if part.text.starts_with("## ") => stage.end_served(),
                ("", "") => {}
                ("sh", "") => stage.run(&part),
                ("sh", "serve") => stage.serve(&part),
                ("console", "") => stage.transcript(&part),
                ("text", "lines") => stage.lines(&part),
                ("text", "picture") => {}
                ("toml", "") => {
                    let folder = stage.folder.to_str().unwrap();
                    stage.write(
                        "pushline.toml",
                        &part.text.replace("/var/lib/pushline/spool", folder),
                    );
                }
                (language, mark) => {
                    panic!("{}: {language} {mark:?} is neither run nor says why", part.place)
                }
            }
            run += usize::from(!part.language.is_empty());
        }
        stage.end_served();
        if page == root().join("README.md") {
            let taken = stage.store.taken().join("\n");
            assert!(
                taken.contains("backup,instance=db1,job=backup duration_seconds=42.5 "),
                "{taken}"
            );
        }
    }
    assert!(run >= 15 && left >= 10, "{run} run, {left} not");
}
