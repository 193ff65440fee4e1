//! System calls that the standard library does not have.

use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) const MS_RDONLY: c_ulong = 1;
pub(crate) const MS_NOSUID: c_ulong = 2;
pub(crate) const MS_NODEV: c_ulong = 4;
pub(crate) const MS_MOVE: c_ulong = 0x2000;

/// How long a device may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

#[cfg(target_arch = "x86_64")]
const SYS_FINIT_MODULE: c_long = 313;
// The table that all newer architectures share (kernel, include/uapi/asm-generic/unistd.h).
#[cfg(not(target_arch = "x86_64"))]
const SYS_FINIT_MODULE: c_long = 273;

const EEXIST: i32 = 17;
const RB_POWER_OFF: c_int = 0x4321_fedc;

unsafe extern "C" {
    #[link_name = "mount"]
    fn mount_at(
        source: *const c_char,
        target: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        data: *const c_void,
    ) -> c_int;
    fn umount(target: *const c_char) -> c_int;
    fn syscall(number: c_long, ...) -> c_long;
    fn reboot(how: c_int) -> c_int;
}

/// mount(2).
pub(crate) fn mount(source: &str, target: &str, kind: &str, flags: c_ulong, data: &str) -> io::Result<()> {
    let (source, target, kind, data) =
        (CString::new(source)?, CString::new(target)?, CString::new(kind)?, CString::new(data)?);
    // SAFETY: all four are strings that live until the call returns.
    let result = unsafe { mount_at(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// umount(2).
pub(crate) fn unmount(target: &str) -> io::Result<()> {
    let target = CString::new(target)?;
    // SAFETY: the string lives until the call returns.
    if unsafe { umount(target.as_ptr()) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Loads a module (`finit_module(2)`). One that is loaded already is no error.
pub(crate) fn load(file: &str) -> io::Result<()> {
    let module = File::open(file)?;
    // SAFETY: the descriptor is open and the parameters are an empty string.
    let result = unsafe { syscall(SYS_FINIT_MODULE, module.as_raw_fd(), c"".as_ptr(), 0 as c_int) };
    if result == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(EEXIST) => Ok(()),
        error => Err(error),
    }
}

/// Waits until something exists: drivers make some of their devices a little after they were loaded.
pub(crate) fn wait_for(path: &Path) -> io::Result<()> {
    let began = Instant::now();
    while !path.exists() {
        if began.elapsed() > PATIENCE {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("it did not appear within {} s", PATIENCE.as_secs()),
            ));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Ends the machine.
pub(crate) fn power_off() {
    // SAFETY: a plain system call; nothing is mounted for writing that could lose data.
    unsafe { reboot(RB_POWER_OFF) };
}
