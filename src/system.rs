//! Calls of the operating system that std lacks or says otherwise, each as one safe function. The
//! only file that names rustix.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

/// What became of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The descriptor is ready, or in an error that the next call will tell.
    Ready,
    /// The time is over, or a signal came.
    TimedOut,
}

/// Raises the soft limit of open descriptors to the hard one; returns it, where there is one.
///
/// # Errors
/// What the system says.
pub fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard })?;
    Ok(hard)
}

/// Waits until `fd` takes bytes.
///
/// # Errors
/// What the system says.
pub fn wait_writable(fd: impl AsFd, timeout: Duration) -> io::Result<Wait> {
    wait(&fd, PollFlags::OUT, timeout)
}

/// Waits until `fd` has bytes, a connection, or its end.
///
/// # Errors
/// What the system says.
pub fn wait_readable(fd: impl AsFd, timeout: Duration) -> io::Result<Wait> {
    wait(&fd, PollFlags::IN, timeout)
}

fn wait(fd: &impl AsFd, events: PollFlags, timeout: Duration) -> io::Result<Wait> {
    let mut fds = [PollFd::new(fd, events)];
    let timeout = Timespec::try_from(timeout).ok();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(Wait::TimedOut),
        Ok(_) => Ok(Wait::Ready),
        Err(error) => Err(error.into()),
    }
}

/// Whether nobody reads the other end of a pipe or a socket any more.
pub fn has_lost_reader(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::empty())];
    let lost = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    let polled = poll(&mut fds, Some(&Timespec::default()));
    polled.is_ok_and(|ready| ready > 0) && fds.iter().any(|fd| fd.revents().intersects(lost))
}

/// Asks for a larger pipe; returns its size, in bytes.
///
/// # Errors
/// What the system says: `EBADF` where `fd` is no pipe, `EPERM` beyond the user's share.
pub fn enlarge_pipe(fd: impl AsFd, bytes: usize) -> io::Result<usize> {
    Ok(rustix::pipe::fcntl_setpipe_size(fd, bytes)?)
}

/// Bounds what the system keeps of unsent bytes of a socket.
///
/// # Errors
/// What the system says.
pub fn set_send_buffer(fd: impl AsFd, bytes: usize) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_send_buffer_size(fd, bytes)?)
}

/// Ends a listening socket: its `accept` returns an error from then on, in every process and
/// thread.
///
/// # Errors
/// What the system says.
pub fn shut_listener(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::shutdown(fd, rustix::net::Shutdown::Read)?)
}

/// The time of the system's clock, in nanoseconds since the Unix epoch; 0 where it stands before.
pub fn now_ns() -> i64 {
    let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}
