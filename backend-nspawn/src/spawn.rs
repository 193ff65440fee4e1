//! Starting a program in a container, from the door.
//!
//! The child shares the door's memory until it executes the program (`clone(2)`, `CLONE_VM` and `CLONE_VFORK`): the door is a copy of the driver,
//! and to copy that once more for each command takes as long as to start bash. It is born into the cgroup of commands (`CLONE_INTO_CGROUP`),
//! because to move it there later would take milliseconds.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use crate::door::FDS_MAX;

/// From linux/sched.h; the libc crate's constant overflows.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Where commands live.
pub(crate) struct Home {
    /// A pidfd of the container's pid 1.
    pub(crate) leader: OwnedFd,
    /// None where there is no cgroup of version 2.
    pub(crate) cgroup: Option<OwnedFd>,
}

/// What children run on until they execute a program, one at a time.
pub(crate) struct Stack(Vec<u128>);

impl Stack {
    const BYTES: usize = 64 * 1024;

    pub(crate) fn new() -> Self {
        // Units of 16 bytes, as the ABIs want a stack to be aligned.
        Self(vec![0; Self::BYTES / size_of::<u128>()])
    }
}

/// A program to execute, in the shape that the child needs: it must not allocate.
struct Program {
    /// Full paths to try, each with its NUL.
    candidates: Vec<Vec<u8>>,
    argv: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
    fds: Vec<RawFd>,
    /// A pidfd of a process in the cgroup namespace to enter.
    leader: Option<RawFd>,
}

/// Starts a program, in a session of its own, and returns its pid. The first of `argv` is looked up in the `PATH` of `env`. Every text must end
/// with its NUL.
pub(crate) fn start(
    home: Option<&Home>,
    stack: &mut Stack,
    argv: &[Vec<u8>],
    env: &[Vec<u8>],
    fds: &[OwnedFd],
) -> nix::Result<i32> {
    if argv.is_empty() || argv.iter().chain(env).any(|text| text.last() != Some(&0)) {
        return Err(Errno::EINVAL);
    }
    let pointers =
        |texts: &[Vec<u8>]| texts.iter().map(|text| text.as_ptr().cast()).chain([std::ptr::null()]).collect();
    let path = env.iter().find_map(|text| text.strip_prefix(b"PATH=")).unwrap_or(b"/usr/bin:/bin\0");
    let program = Program {
        candidates: candidates(&argv[0], path),
        argv: pointers(argv),
        env: pointers(env),
        fds: fds.iter().map(AsRawFd::as_raw_fd).collect(),
        leader: home.map(|home| home.leader.as_raw_fd()),
    };
    let cgroup = home.and_then(|home| home.cgroup.as_ref());
    // SAFETY: the door has one thread and waits until the child is done with its memory; `execute` only makes system calls.
    match unsafe { arch::clone(&arguments(cgroup, stack), &program) } {
        // A container's systemd may have removed the cgroup; then the door's own must do.
        // SAFETY: as above.
        Err(_) if cgroup.is_some() => unsafe { arch::clone(&arguments(None, stack), &program) },
        other => other,
    }
}

fn arguments(cgroup: Option<&OwnedFd>, stack: &mut Stack) -> libc::clone_args {
    // SAFETY: all zeros is a valid value of this structure of integers.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = u64::from((libc::CLONE_VM | libc::CLONE_VFORK).cast_unsigned());
    arguments.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    arguments.stack = stack.0.as_mut_ptr() as u64;
    arguments.stack_size = Stack::BYTES as u64;
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    arguments
}

/// The child's whole life, on a stack of its own. `program` is a [`Program`].
extern "C" fn execute(program: *const c_void) -> ! {
    // SAFETY: `start` passes its program, which lives until this process has left its memory. All else is system calls of a process with one
    // thread; signal mask, directory, umask and descriptors are its own.
    unsafe {
        let program = &*program.cast::<Program>();
        if let Some(leader) = program.leader {
            libc::setns(leader, libc::CLONE_NEWCGROUP);
        }
        libc::setsid();
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        libc::umask(0o022);
        if libc::chdir(c"/tmp".as_ptr()) != 0 {
            libc::chdir(c"/".as_ptr());
        }
        place(&program.fds);
        for candidate in &program.candidates {
            libc::execve(candidate.as_ptr().cast(), program.argv.as_ptr(), program.env.as_ptr());
        }
        let said = c"tandem: cannot execute the command's shell\n".to_bytes();
        libc::write(2, said.as_ptr().cast(), said.len());
        libc::_exit(127)
    }
}

/// Full paths to try for a program, each with its NUL.
fn candidates(program: &[u8], path: &[u8]) -> Vec<Vec<u8>> {
    if program.contains(&b'/') {
        return vec![program.to_vec()];
    }
    let path = path.strip_suffix(b"\0").unwrap_or(path);
    path.split(|byte| *byte == b':')
        .filter(|directory| !directory.is_empty())
        .map(|directory| [directory, b"/", program].concat())
        .collect()
}

/// Makes `fds` the descriptors 0, 1, 2, ... and closes all others.
///
/// # Safety
///
/// Only for a child that is about to execute something.
unsafe fn place(fds: &[RawFd]) {
    const CLEAR_OF_TARGETS: RawFd = 64;
    // SAFETY: plain system calls on descriptors of this child, which nobody else uses.
    unsafe {
        let mut moved = [-1; FDS_MAX];
        for (to, from) in moved.iter_mut().zip(fds) {
            *to = libc::fcntl(*from, libc::F_DUPFD_CLOEXEC, CLEAR_OF_TARGETS);
        }
        let mut next = 0;
        for fd in moved.into_iter().take(fds.len()) {
            libc::dup2(fd, next);
            next += 1;
        }
        libc::syscall(libc::SYS_close_range, next.cast_unsigned().max(3), u32::MAX, 0);
    }
}

/// `clone3(2)` with a stack for the child, for which the C library has no function. Each architecture differs in how the child, whose stack is
/// empty, gets to its function.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod arch {
    use std::arch::asm;

    use nix::errno::Errno;

    use super::{Program, execute};

    /// Starts a child that runs [`execute`] on the stack in `arguments`, and returns its pid once it has executed its program or ended.
    ///
    /// # Safety
    ///
    /// The flags must be those of a child that shares memory and is waited for, the stack nobody else's, and this process must have one thread.
    pub(super) unsafe fn clone(arguments: &libc::clone_args, program: &Program) -> nix::Result<i32> {
        let result: i64;
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the parent comes back with its registers as they were but for the three named ones; the child leaves at the call.
        unsafe {
            asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "xor ebp, ebp",
                "mov rdi, r12",
                "call r13",
                "ud2",
                "2:",
                inout("rax") libc::SYS_clone3 => result,
                in("rdi") std::ptr::from_ref(arguments),
                in("rsi") size_of::<libc::clone_args>(),
                in("r12") std::ptr::from_ref(program),
                in("r13") execute as extern "C" fn(_) -> _,
                out("rcx") _,
                out("r11") _,
            );
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        unsafe {
            asm!(
                "svc 0",
                "cbnz x0, 2f",
                "mov x29, xzr",
                "mov x0, x9",
                "blr x10",
                "brk 1",
                "2:",
                inout("x0") std::ptr::from_ref(arguments) => result,
                in("x1") size_of::<libc::clone_args>(),
                in("x8") libc::SYS_clone3,
                in("x9") std::ptr::from_ref(program),
                in("x10") execute as extern "C" fn(_) -> _,
            );
        }
        let result = i32::try_from(result).map_err(|_| Errno::EOVERFLOW)?;
        if result < 0 { Err(Errno::from_raw(-result)) } else { Ok(result) }
    }
}

/// Other architectures copy the door for each command.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod arch {
    use super::{Program, execute};

    /// fork(2); the child runs [`execute`] in the door's cgroup.
    ///
    /// # Safety
    ///
    /// This process must have one thread.
    pub(super) unsafe fn clone(_: &libc::clone_args, program: &Program) -> nix::Result<i32> {
        // SAFETY: as the caller promises.
        match nix::errno::Errno::result(unsafe { libc::fork() })? {
            0 => execute(std::ptr::from_ref(program).cast()),
            pid => Ok(pid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    fn texts(of: &[&str]) -> Vec<Vec<u8>> {
        of.iter().map(|text| format!("{text}\0").into_bytes()).collect()
    }

    #[test]
    fn programs_are_looked_up_in_path() {
        assert_eq!(candidates(b"bash\0", b"/a::/b\0"), texts(&["/a/bash", "/b/bash"]));
        assert_eq!(candidates(b"/x/y\0", b"/a\0"), texts(&["/x/y"]));
    }

    #[test]
    fn texts_without_an_end_are_refused() {
        assert_eq!(start(None, &mut Stack::new(), &[b"true".to_vec()], &[], &[]), Err(Errno::EINVAL));
        assert_eq!(start(None, &mut Stack::new(), &[], &[], &[]), Err(Errno::EINVAL));
    }

    #[test]
    fn a_program_gets_its_arguments_environment_and_descriptors() {
        let (mut read, write) = std::io::pipe().unwrap();
        let null = File::open("/dev/null").unwrap();
        let fds = [null.into(), write.into()];
        let (argv, env) =
            (texts(&["sh", "-c", "echo \"$0 $A\"; exit 7", "zero"]), texts(&["A=one", "PATH=/nowhere:/usr/bin:/bin"]));
        let pid = start(None, &mut Stack::new(), &argv, &env, &fds).unwrap();
        drop(fds);
        let mut said = String::new();
        read.read_to_string(&mut said).unwrap();
        assert_eq!(said, "zero one\n");
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let status = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap().unwrap().1;
        assert_eq!(status.exit_status(), Some(7));
    }
}
