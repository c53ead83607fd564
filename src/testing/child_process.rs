//! A unit test in a process of its own: what it panics, logs, and changes for the whole process
//! disturbs no other test, and can be looked at.

use std::process::Command;

/// Runs the test of that name once more, alone in a child process, and returns what that wrote to
/// standard error. None in the child, where the test has to be done.
///
/// # Panics
/// The test fails in the child.
pub(crate) fn stderr_of(test: &str) -> Option<String> {
    const IS_ALONE: &str = "TEST_IS_ALONE";
    if std::env::var_os(IS_ALONE).is_some() {
        return None;
    }
    // Of another machine it is run by what scripts/cross names.
    let (program, runner) = (std::env::current_exe().unwrap(), std::env::var_os("TEST_RUNNER"));
    let mut child = Command::new(runner.as_deref().unwrap_or(program.as_os_str()));
    child.args(runner.as_ref().map(|_| &program));
    child.args([test, "--exact", "--nocapture"]).env(IS_ALONE, "1").env("RUST_BACKTRACE", "0");
    let output = child.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
    Some(stderr)
}
