//! The way of a watchdog to the workers: a question over a private connection of its own.

use super::KEY_HEADER;
use crate::heartbeat::Pulse;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// A private connection besides those of the gate, over which a watchdog asks the workers.
#[derive(Debug)]
pub(crate) struct Lifeline {
    pub(crate) stream: UnixStream,
    pulse: Arc<Pulse>,
    request: String,
    /// What has come of the answer that is waited for.
    answer: Vec<u8>,
    /// Whether a question is not answered yet: a second one is not asked then.
    is_asked: bool,
}

impl Lifeline {
    pub(crate) fn new(stream: UnixStream, key: &str, pulse: Arc<Pulse>) -> Lifeline {
        let request = format!("GET /-/healthy HTTP/1.1\r\n{KEY_HEADER}: {key}\r\n\r\n");
        Lifeline { stream, pulse, request, answer: Vec::new(), is_asked: false }
    }

    /// The beats of the workers.
    pub(crate) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Has a worker answer a question, or the one that it has not answered yet.
    ///
    /// # Errors
    /// None has answered within `patience`, or the connection is broken.
    pub(crate) fn ask(&mut self, patience: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(patience)?;
        if !self.is_asked {
            self.answer.clear();
            self.stream.write_all(self.request.as_bytes())?;
            self.is_asked = true;
        }
        let mut chunk = [0; 512];
        let is_head_end = |window: &[u8]| window == b"\r\n\r\n";
        while !self.answer.windows(4).any(is_head_end) || !self.answer.ends_with(b"\n") {
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                count => self.answer.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            }
        }
        self.is_asked = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_is_not_answered_in_time_is_not_asked_twice() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut lifeline = Lifeline::new(ours, "key", Arc::new(Pulse::new(1)));
        let soon = Some(Duration::from_millis(1));
        assert!(lifeline.ask(soon).is_err());
        theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n").unwrap();
        assert!(lifeline.ask(soon).is_err(), "half an answer is none");
        theirs.write_all(b"\r\nhealthy\n").unwrap();
        assert!(lifeline.ask(soon).is_ok());
        theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhealthy\n").unwrap();
        assert!(lifeline.ask(soon).is_ok());
        drop(lifeline);
        let mut asked = String::new();
        theirs.read_to_string(&mut asked).unwrap();
        assert_eq!(asked.matches("GET /-/healthy").count(), 2, "{asked}");
    }
}
