//! What is on the disk before a pusher is told so: the calls of a process that is traced by strace.
//!
//! No test can take the power away, but each promise of durability is a call at its place: the
//! test fails where one of them is missing, or comes too late. Where there is no strace, or it may
//! not trace, the tests say so and try nothing.

use crate::http::{Answer, Client, push, request};
use crate::process::{Pushline, command, folder};
use crate::store::{Act, Store};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is traced; a machine has some of those that begin with a question mark.
const CALLS: &str = "fsync,fdatasync,?rename,?renameat,?renameat2,?unlink,?unlinkat";

/// A process, and what it calls.
struct Traced {
    pushline: Pushline,
    trace: PathBuf,
    /// Its spool, or the folder of its file.
    folder: PathBuf,
}

impl Traced {
    /// Starts with what `toml` makes of the folder; none where nothing can be traced.
    fn start(toml: impl Fn(&Path) -> String, more: &[&str]) -> Option<Traced> {
        let may_trace = Command::new("strace").args(["-D", "-o", "/dev/null", "true"]).output();
        if !may_trace.is_ok_and(|output| output.status.success()) {
            println!("skipped: strace is not there, or may not trace");
            return None;
        }
        let folder = folder();
        let trace = folder.with_extension("trace");
        let plain = command();
        // The process is the child, and strace is its grandchild: no kill leaves one of them.
        let mut traced = Command::new("strace");
        traced.args(["-D", "-f", "-y", "-e", &format!("trace={CALLS}")]).args(more);
        traced.arg("-o").arg(&trace).arg(plain.get_program()).args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => traced.env(name, value),
                None => traced.env_remove(name),
            };
        }
        let pushline = Pushline::spawn_with(traced, &toml(&folder), Stdio::null());
        Some(Traced { pushline, trace, folder })
    }

    /// The calls so far, each as it begins: its name and arguments.
    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.trace).unwrap();
        let calls = text.lines().filter_map(|line| line.split_once(' '));
        let calls = calls.map(|(_, call)| call.trim_start().to_owned());
        calls.filter(|call| !call.starts_with(['<', '+', '-'])).collect()
    }

    /// The place of a call whose name and arguments are these, at `from` or after it.
    fn place(&self, calls: &[String], from: usize, name: &str, of: &str) -> usize {
        let found = calls.iter().skip(from).position(|call| {
            call.split_once('(').is_some_and(|(called, _)| called.starts_with(name))
                && call.contains(of)
        });
        from + found.unwrap_or_else(|| panic!("no {name} of {of} from {from} on in {calls:#?}"))
    }

    /// How the folder itself is shown.
    fn folder_shown(&self) -> String {
        format!("<{}>", self.folder.display())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
        std::fs::remove_file(&self.trace).ok();
    }
}

fn spooling(target: &str) -> impl Fn(&Path) -> String {
    move |folder| {
        format!(
            "[output]\ntarget = \"{target}\"\n[spool]\ndir = \"{}\"\nafter = \"10ms\"\n",
            folder.display()
        )
    }
}

#[test]
fn a_push_is_synced_to_the_spool_with_its_name_before_it_is_answered() {
    let Some(traced) = Traced::start(spooling("tcp://127.0.0.2:9"), &[]) else { return };
    assert_eq!(push(traced.pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
    let calls = traced.calls();
    let synced = traced.place(&calls, 0, "fdatasync", "00000000000000000000.seg");
    traced.place(&calls, synced, "fsync", &traced.folder_shown());
    let before = calls.iter().filter(|call| call.starts_with("fdatasync")).count();
    assert_eq!(push(traced.pushline.address, "/metrics/job/x", "a_b 2\n").status, 200);
    let after = traced.calls().iter().filter(|call| call.starts_with("fdatasync")).count();
    assert_eq!(after, before + 1);
}

#[test]
fn a_segment_is_removed_only_once_the_cursor_behind_it_is_synced() {
    let is_up = Arc::new(AtomicBool::new(false));
    let is_store_up = Arc::clone(&is_up);
    let store = Store::start(move |_| match is_store_up.load(Ordering::Acquire) {
        true => Act::status(204),
        false => Act::status(503),
    });
    let Some(mut traced) = Traced::start(spooling(&store.url("/write")), &[]) else { return };
    assert_eq!(push(traced.pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
    is_up.store(true, Ordering::Release);
    while store.taken().is_empty() {
        std::thread::yield_now();
    }
    traced.pushline.signal("TERM");
    assert!(traced.pushline.wait().success());
    let calls = traced.calls();
    let removed = traced.place(&calls, 0, "unlink", "00000000000000000000.seg");
    let before = &calls[..removed];
    let written = traced.place(before, 0, "fsync", "cursor.new>");
    let named = traced.place(before, written, "rename", "cursor.new\"");
    traced.place(before, named, "fsync", &traced.folder_shown());
}

#[test]
fn one_sync_serves_all_pushes_that_wait_for_it() {
    const PUSHES: usize = 40;
    // While a sync takes its time, the pushes that come wait together.
    let slow = ["-e", "inject=fdatasync:delay_enter=400000"];
    let Some(traced) = Traced::start(spooling("tcp://127.0.0.2:9"), &slow) else { return };
    let mut clients: Vec<Client> =
        (0..PUSHES).map(|_| Client::connect(traced.pushline.address)).collect();
    for client in &mut clients {
        client.send(&request("POST", b"/metrics/job/x", &[], b"a_b 1\n")).unwrap();
    }
    for client in &mut clients {
        assert_eq!(client.read_answer(true).unwrap().status, 200);
    }
    let syncs = traced.calls().iter().filter(|call| call.starts_with("fdatasync")).count();
    assert!((1..=PUSHES / 4).contains(&syncs), "{syncs} for {PUSHES} pushes");
}

#[test]
fn while_the_disk_of_the_spool_hangs_it_is_not_ready_and_says_why() {
    let spooling = spooling("tcp://127.0.0.2:9");
    let toml = |folder: &Path| {
        format!(
            "output.ack_timeout = \"1s\"\n{}",
            spooling(folder).replace("[output]\ntarget", "output.target")
        )
    };
    // No process ends while a call of it is delayed.
    let hangs = ["-e", "inject=fdatasync:delay_enter=5000000:when=2+"];
    let Some(traced) = Traced::start(toml, &hangs) else { return };
    let address = traced.pushline.address;
    assert_eq!(push(address, "/metrics/job/x", "a_b 1\n").status, 200);
    let says_why = |answer: Answer| {
        answer.status == 503 && answer.text().contains("the disk of the spool does not answer")
    };
    // One waits for the disk. The next ones are refused at once, until the hang is over: on a busy
    // machine that may be before both are asked, and then the next hang is looked at.
    let is_told = || {
        let waited = push(address, "/metrics/job/x", "a_b 2\n");
        let refused = push(address, "/metrics/job/x", "a_b 3\n");
        says_why(waited)
            && says_why(refused)
            && says_why(Client::connect(address).ask("GET", "/-/ready", &[], b""))
    };
    assert!((0..20).any(|_| is_told()));
    traced.pushline.log.wait_for_text("pushes cannot be delivered, they are answered 503");
}

#[test]
fn a_new_file_is_synced_with_its_name_before_a_push_is_answered() {
    let toml = |folder: &Path| {
        let file = folder.join("lines");
        format!("[output]\ntarget = \"file:{}\"\nfsync = true\n", file.display())
    };
    let Some(traced) = Traced::start(toml, &[]) else { return };
    assert_eq!(push(traced.pushline.address, "/metrics/job/x", "a_b 1\n").status, 200);
    let calls = traced.calls();
    let named = traced.place(&calls, 0, "fsync", &traced.folder_shown());
    traced.place(&calls, named, "fdatasync", "/lines>");
}
