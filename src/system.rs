//! Calls of the operating system that std lacks or says otherwise, each as one safe function. The
//! only file that names rustix.

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::net::{SocketAddrUnix, SocketFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// Changes that one wait tells at most.
const CHANGES_MAX: usize = 256;

/// Waits for many descriptors at once (epoll, edge-triggered): each change is told once, and who is
/// told goes on until the system says `WouldBlock`.
#[derive(Debug)]
pub(crate) struct Watch {
    epoll: OwnedFd,
}

/// What became of a watched descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// The number that it was added with.
    pub token: u64,
    /// There are bytes, a connection, an end or an error to be read.
    pub(crate) is_readable: bool,
    /// The peer has ended its sending: what is read to its last byte has an end after it.
    pub(crate) is_ending: bool,
}

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// There are bytes, a connection or an end to be read.
    Readable,
    /// Besides, it takes bytes again.
    Both,
}

impl Interest {
    fn flags(self) -> EventFlags {
        let readable = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        match self {
            Interest::Readable => readable,
            Interest::Both => readable | EventFlags::OUT,
        }
    }
}

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn new() -> io::Result<Watch> {
        Ok(Watch { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Watches a descriptor until it is closed.
    ///
    /// # Errors
    /// What the system says: its limits of memory and of watches.
    pub(crate) fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// Watches a descriptor for something else from here on.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn set(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, fd, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// Waits for changes, at most for `timeout`, and puts them into `changes`; none waits without
    /// end.
    ///
    /// # Errors
    /// What the system says. A signal is no error, and no change.
    pub(crate) fn wait(
        &self,
        timeout: Option<Duration>,
        changes: &mut Vec<Readiness>,
    ) -> io::Result<()> {
        changes.clear();
        let mut events = [const { MaybeUninit::uninit() }; CHANGES_MAX];
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((events, _)) => changes.extend(events.iter().map(|event| Readiness::of(*event))),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Readiness {
    fn of(event: epoll::Event) -> Readiness {
        let flags = event.flags;
        let has = |wanted| flags.intersects(wanted);
        let is_gone = has(EventFlags::ERR | EventFlags::HUP);
        Readiness {
            token: event.data.u64(),
            is_readable: is_gone || has(EventFlags::IN | EventFlags::RDHUP),
            is_ending: is_gone || has(EventFlags::RDHUP),
        }
    }
}

/// What wakes a thread that watches it (eventfd).
#[derive(Debug)]
pub(crate) struct Waker {
    descriptor: OwnedFd,
}

impl Waker {
    /// # Errors
    /// What the system says.
    pub(crate) fn new() -> io::Result<Waker> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        Ok(Waker { descriptor: rustix::event::eventfd(0, flags)? })
    }

    /// Has the [`Watch`] of this descriptor tell a change. Nothing is ever read of it: an
    /// edge-triggered watch tells each write.
    pub(crate) fn wake(&self) {
        if rustix::io::write(&self.descriptor, &1_u64.to_ne_bytes()).is_err() {
            // OK because only 2^64 writes fill it.
        }
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Reads into the spare capacity of `buffer`, which must have some; returns how many bytes came.
///
/// # Errors
/// What the system says.
pub(crate) fn read_spare(fd: impl AsFd, buffer: &mut Vec<u8>) -> io::Result<usize> {
    Ok(rustix::io::read(fd, spare_capacity(buffer))?)
}

/// What became of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
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
pub(crate) fn wait_writable(fd: impl AsFd, timeout: Duration) -> io::Result<Wait> {
    wait(&fd, PollFlags::OUT, timeout)
}

/// Waits until `fd` has bytes, a connection, or its end.
///
/// # Errors
/// What the system says.
pub(crate) fn wait_readable(fd: impl AsFd, timeout: Duration) -> io::Result<Wait> {
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

/// Whether `fd` takes bytes now: a pipe a line of up to 4 KiB, whole. True where the system does
/// not know.
pub(crate) fn takes_bytes(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
    !matches!(poll(&mut fds, Some(&Timespec::default())), Ok(0))
}

/// How a descriptor was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// For reading only.
    Read,
    /// For writing only.
    Write,
    /// For both.
    Both,
}

/// How `fd` was opened, and whether what is written to it is appended.
///
/// # Errors
/// What the system says.
pub(crate) fn access(fd: impl AsFd) -> io::Result<(Access, bool)> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    let access = match flags & OFlags::ACCMODE {
        OFlags::RDWR => Access::Both,
        OFlags::WRONLY => Access::Write,
        _ => Access::Read,
    };
    Ok((access, flags.contains(OFlags::APPEND)))
}

/// Opens what `fd` is anew for writing without ever waiting, as a description of our own: to set
/// that on `fd` itself would set it for every process that shares it.
///
/// # Errors
/// What the system says: no `/proc`, no permission, nobody who reads the pipe.
pub(crate) fn open_unblocked(fd: impl AsFd) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, rustix::fs::Mode::empty())?)
}

/// The flag of `open` that makes neither it nor a write wait.
pub(crate) const UNBLOCKED: i32 = OFlags::NONBLOCK.bits().cast_signed();

/// Reads a whole file, and tells what the system knows of it. Only a regular file is read: a pipe
/// would wait for its writer, and a device might have no end.
///
/// # Errors
/// What the system says, or that it is not a regular file.
pub(crate) fn read_file(path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    let mut file = File::options().read(true).custom_flags(UNBLOCKED).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((bytes, metadata))
}

/// Sends to a socket without waiting; returns how many bytes it took.
///
/// # Errors
/// What the system says: it has no room, or nobody reads it.
pub(crate) fn send_unblocked(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
    Ok(rustix::net::send(fd, bytes, flags)?)
}

/// Whether nobody reads the other end of a pipe or a socket any more.
pub(crate) fn has_lost_reader(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::empty())];
    let lost = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    let polled = poll(&mut fds, Some(&Timespec::default()));
    polled.is_ok_and(|ready| ready > 0) && fds.iter().any(|fd| fd.revents().intersects(lost))
}

/// Asks for a larger pipe; returns its size, in bytes.
///
/// # Errors
/// What the system says: `EBADF` where `fd` is no pipe, `EPERM` beyond the user's share.
pub(crate) fn enlarge_pipe(fd: impl AsFd, bytes: usize) -> io::Result<usize> {
    Ok(rustix::pipe::fcntl_setpipe_size(fd, bytes)?)
}

/// Bounds what the system keeps of unsent bytes of a socket.
///
/// # Errors
/// What the system says.
pub(crate) fn set_send_buffer(fd: impl AsFd, bytes: usize) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_send_buffer_size(fd, bytes)?)
}

/// Ends a listening socket: its `accept` returns an error from then on, in every process and
/// thread.
///
/// # Errors
/// What the system says.
#[cfg_attr(pushline_without_tiny_http, expect(dead_code, reason = "only the lane needs it"))]
pub(crate) fn shut_listener(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::shutdown(fd, rustix::net::Shutdown::Read)?)
}

/// Listens on an abstract name, with room for one connection that is not accepted yet: Linux lets
/// in one more than the backlog says.
///
/// # Errors
/// What the system says: the name is taken.
#[cfg_attr(pushline_without_tiny_http, expect(dead_code, reason = "only the lane needs it"))]
pub(crate) fn listen_for_one(name: &[u8]) -> io::Result<UnixListener> {
    let socket = unix_socket(SocketFlags::CLOEXEC)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
    rustix::net::listen(&socket, 0)?;
    Ok(socket.into())
}

/// Connects to an abstract name without waiting for room; the connection never waits afterwards
/// either.
///
/// # Errors
/// What the system says: `WouldBlock` where there is no room, `ConnectionRefused` where nobody
/// listens.
#[cfg_attr(pushline_without_tiny_http, expect(dead_code, reason = "only the lane needs it"))]
pub(crate) fn connect_now(name: &[u8]) -> io::Result<UnixStream> {
    let socket = unix_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new_abstract_name(name)?)?;
    Ok(socket.into())
}

fn unix_socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    let (family, stream) = (rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM);
    Ok(rustix::net::socket_with(family, stream, flags, None)?)
}

/// Whether the process may have no more descriptors.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error())
}

/// Holds what is at a path, of whatever kind, without opening it: as long as that is held, nothing
/// else gets its inode.
///
/// # Errors
/// What the system says.
pub(crate) fn hold_path(path: &Path) -> io::Result<OwnedFd> {
    use rustix::fs::OFlags;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, rustix::fs::Mode::empty())?)
}

/// 128 bits of the system's random source.
///
/// # Errors
/// What the system says.
#[cfg_attr(pushline_without_tiny_http, expect(dead_code, reason = "only the lane needs it"))]
pub(crate) fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut came = 0;
    while let Some(rest) = bytes.get_mut(came..).filter(|rest| !rest.is_empty()) {
        came += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

/// Whether this process may write to what is at `path`.
pub(crate) fn may_write(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(path, rustix::fs::Access::WRITE_OK)?)
}

/// Whether this process may make files in a folder.
pub(crate) fn may_make_files_in(folder: &Path) -> io::Result<()> {
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    // The dot is not there where `folder` is a file.
    Ok(rustix::fs::access(folder.join("."), access)?)
}

/// The system's monotonic clock, in microseconds: what a supervisor compares with its own.
pub(crate) fn monotonic_us() -> u64 {
    microseconds_of(ClockId::Monotonic)
}

fn microseconds_of(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let (seconds, nanos) = (now.tv_sec, now.tv_nsec);
    // OK because the clocks that are asked for begin at 0 and never go back.
    u64::try_from(seconds).unwrap_or(0) * 1_000_000 + u64::try_from(nanos).unwrap_or(0) / 1000
}

/// A moment, by two clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// In milliseconds since the Unix epoch, by the clock that people and servers set.
    pub(crate) unix_ms: u64,
    /// In milliseconds since the system started, by a clock that nobody sets.
    pub(crate) uptime_ms: u64,
}

impl Moment {
    /// This one.
    pub(crate) fn now() -> Moment {
        Moment { unix_ms: now_ms(), uptime_ms: microseconds_of(ClockId::Boottime) / 1000 }
    }
}

/// The time of the system's clock, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    u64::try_from(now_ns() / 1_000_000).unwrap_or(0)
}

/// The time of the system's clock, in nanoseconds since the Unix epoch; 0 where it is before.
pub fn now_ns() -> i64 {
    let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}

/// The time of the wall clock, in whole seconds since the Unix epoch.
pub(crate) fn now_s() -> i64 {
    now_ns().div_euclid(1_000_000_000)
}
