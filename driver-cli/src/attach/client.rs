//! A client of the interface that a run serves to its script: JSON objects, each ended by a NUL, over a unix socket.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Failure;

/// A connection, for one call at a time. Dropping it cancels the call.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    received: Vec<u8>,
    answer: Answer,
}

/// What a command's call was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: i32,
    pub(super) stdout: String,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    parameters: Parameters,
    error: Option<String>,
    #[serde(default)]
    continues: bool,
}

#[derive(Default, Deserialize)]
struct Parameters {
    status: Option<i32>,
    stdout: Option<String>,
    message: Option<String>,
}

impl Client {
    pub(super) fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        Ok(Self { stream, received: Vec::new(), answer: Answer::default() })
    }

    /// Makes a call, and does not wait for its answer.
    pub(super) fn call(&mut self, method: &str, parameters: &Value) -> io::Result<()> {
        let call = json!({"method": format!("io.tandem.Driver.{method}"), "parameters": parameters, "more": true});
        self.stream.set_nonblocking(false)?;
        self.stream.write_all(format!("{call}\0").as_bytes())?;
        self.stream.set_nonblocking(true)
    }

    /// The answer, if it has come. Call it again when there is something to read.
    pub(super) fn answer(&mut self) -> Result<Option<Answer>, Failure> {
        let mut buffer = [0; 1 << 14];
        loop {
            if let Some(answer) = self.next_reply()? {
                return Ok(Some(answer));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Failure::Broken("the run's script has ended".into())),
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::Broken(format!("the run does not answer: {error}"))),
            }
        }
    }

    /// Takes in the replies that have come; hands out the answer with the last of them.
    fn next_reply(&mut self) -> Result<Option<Answer>, Failure> {
        while let Some(end) = self.received.iter().position(|byte| *byte == 0) {
            let message: Vec<u8> = self.received.drain(..=end).collect();
            let reply: Reply = serde_json::from_slice(&message[..end])
                .map_err(|error| Failure::Broken(format!("the run says something that cannot be read: {error}")))?;
            let Reply { parameters: Parameters { status, stdout, message }, error, continues } = reply;
            if let Some(error) = error {
                return Err(Failure::Broken(message.unwrap_or(error)));
            }
            self.answer.status = status.unwrap_or(self.answer.status);
            // Long texts come in parts.
            self.answer.stdout.push_str(stdout.as_deref().unwrap_or_default());
            if !continues {
                return Ok(Some(std::mem::take(&mut self.answer)));
            }
        }
        Ok(None)
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(replies: &[&str]) -> (Result<Option<Answer>, Failure>, UnixStream) {
        let (stream, mut run) = UnixStream::pair().unwrap();
        let mut client = Client { stream, received: Vec::new(), answer: Answer::default() };
        client.call("Shell", &json!({"machine": "m"})).unwrap();
        run.write_all(replies.concat().as_bytes()).unwrap();
        (client.answer(), run)
    }

    #[test]
    fn an_answer_comes_in_parts() {
        let waiting = "{\"parameters\":{\"waiting\":{\"what\":\"x\",\"seconds\":1}},\"continues\":true}\0";
        let part = "{\"parameters\":{\"status\":3,\"stdout\":\"a\"},\"continues\":true}\0";
        let last = "{\"parameters\":{\"stdout\":\"b\"},\"continues\":false}\0";
        let answer = Answer { status: 3, stdout: "ab".into() };
        assert_eq!(answered(&[waiting, part, last]).0.unwrap(), Some(answer));
        assert_eq!(answered(&[waiting, part, "{\"par"]).0.unwrap(), None);
    }

    #[test]
    fn refusals_and_ends_are_told() {
        let refusal = "{\"error\":\"io.tandem.Driver.NoSuchMachine\",\"parameters\":{\"message\":\"no machine\"}}\0";
        for (reply, told) in [(refusal, "no machine"), ("x\0", "cannot be read")] {
            let Err(Failure::Broken(why)) = answered(&[reply]).0 else { panic!("{reply}") };
            assert!(why.contains(told), "{why}");
        }
        let (stream, run) = UnixStream::pair().unwrap();
        drop(run);
        let mut client = Client { stream, received: Vec::new(), answer: Answer::default() };
        assert!(matches!(client.answer(), Err(Failure::Broken(why)) if why.contains("has ended")));
    }
}
