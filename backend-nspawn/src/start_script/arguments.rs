//! What a start script is told: upstream's three variables, and nothing else.

use std::ffi::{CString, OsString};
use std::io;
use std::path::{Path, PathBuf};

use driver_core::backend::StartRequest;

/// Longest path of a unix socket in bytes (unix(7)): its last byte is a NUL.
const SOCKET_PATH_MAX: usize = 107;

/// Where things are that script and driver share.
#[derive(Debug)]
pub(super) struct Places {
    /// The container's root directory, and the script's working directory.
    pub(super) state: PathBuf,
    /// A directory for all such machines of the run.
    pub(super) shared: PathBuf,
    /// The socket that says what becomes of the container.
    pub(super) notify: PathBuf,
}

impl Places {
    pub(super) fn of(request: &StartRequest) -> Self {
        Self {
            state: request.state.clone(),
            shared: request.shared.clone(),
            // Not among the container's own files.
            notify: request.state.with_file_name(format!("{}-nspawn.sock", request.machine.name)),
        }
    }

    /// Fails if the socket cannot have such a path.
    pub(super) fn check(&self) -> io::Result<()> {
        let length = self.notify.as_os_str().len();
        if length <= SOCKET_PATH_MAX {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "the path of its socket {} has {length} bytes, and no socket can have more than {SOCKET_PATH_MAX}; give the \
             machine a shorter name, or set XDG_RUNTIME_DIR (TMPDIR, if that is not set) to a shorter directory",
            self.notify.display()
        )))
    }
}

/// All of the script's environment.
pub(super) fn environment(places: &Places) -> io::Result<Vec<CString>> {
    let variable = |name: &str, value: &Path| {
        let mut text = OsString::from(format!("{name}="));
        text.push(value);
        CString::new(text.into_encoded_bytes()).map_err(io::Error::other)
    };
    Ok(vec![
        variable("RUN_NSPAWN_ROOT_DIR", &places.state)?,
        variable("RUN_NSPAWN_SHARED_DIR", &places.shared)?,
        variable("NOTIFY_SOCKET", &places.notify)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(state: &str) -> Places {
        Places { state: state.into(), shared: "/s/shared".into(), notify: format!("{state}-nspawn.sock").into() }
    }

    #[test]
    fn environment_is_upstreams() {
        let environment = environment(&places("/s/web")).unwrap();
        let expected =
            ["RUN_NSPAWN_ROOT_DIR=/s/web", "RUN_NSPAWN_SHARED_DIR=/s/shared", "NOTIFY_SOCKET=/s/web-nspawn.sock"];
        assert_eq!(environment, expected.map(|text| CString::new(text).unwrap()));
    }

    #[test]
    fn paths_that_no_socket_can_have_are_told_with_a_cure() {
        let path = |length: usize| format!("/{}", "x".repeat(length - 1));
        let ending = "-nspawn.sock".len();
        assert!(places(&path(SOCKET_PATH_MAX - ending)).check().is_ok());
        let error = places(&path(SOCKET_PATH_MAX + 1 - ending)).check().unwrap_err().to_string();
        assert!(error.contains("has 108 bytes") && error.contains("shorter name"), "{error}");
    }
}
