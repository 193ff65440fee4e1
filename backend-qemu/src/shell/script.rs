//! What is said to a shell.
//!
//! The shell that reads the console (the *reader of commands*) never waits: each command runs in a subshell in the background, in a process
//! group of its own, so that the next line can end it. That subshell, the *wrapper*, forks the command itself and a *courier*, which takes the
//! command's output from a pipe to the console. Killing the courier is how output that comes too late is kept off the console.
//!
//! Starting a program costs an emulated guest ten times what a fork does. So the command is evaluated in a forked subshell, and the courier is
//! made of builtins, until there is so much output that a program is worth its start.
//!
//! QEMU drops what a guest writes to a virtio console while the socket behind it is full. So a courier never has more under way than fits: of a
//! long output it sends a block and asks for leave to send the next.

use std::fmt::Write;

/// Bytes of a block. A socket's buffer (`net.core.wmem_default`) holds twice as much, in the pieces of 2 KiB in which a terminal writes.
const BLOCK: usize = 48 * 1024;

/// Bytes that are read by builtins at a time, and how many such reads come before programs take over.
const CHUNK: usize = 1024;
const CHUNKS: usize = 12;

/// Bytes of script that fit into one argument of a program (execve(2): 128 KiB).
const ARGUMENT: usize = 96 * 1024;

/// Signals that a command may send to its own group, and that must not end what reports its end.
const SIGNALS: &str = "HUP INT QUIT PIPE ALRM TERM USR1 USR2";

/// Where a command finds its input.
fn spool(nonce: &str, id: u64) -> String {
    format!("/tmp/.tandem-{nonce}-{id}")
}

/// The nonce of the marks that a command's output has in it.
pub(super) fn within(nonce: &str) -> String {
    format!("{nonce}.o")
}

/// Prepares the shell: process groups for what runs in the background, and a pipe to couriers. Answers `r`.
///
/// `left` are the process groups of a command that the shell before this one has left behind.
pub(super) fn setup(nonce: &str, left: Option<(u32, u32)>) -> String {
    let end = left
        .map_or_else(String::new, |(wrapper, courier)| format!("kill -KILL -- -{wrapper} -{courier} 2>/dev/null; "));
    format!("{end}set -m; exec 9<> <(:); {}\n", mark(nonce, "r", ""))
}

/// Runs a script. Marks: `ID b WRAPPER COURIER` before its output, `ID o` when it ended, `ID a` whenever leave to go on is asked for,
/// `ID e STATUS` when all is over. A shell that [`setup`] has not prepared runs nothing and says `ID x`.
pub(super) fn command(nonce: &str, id: u64, script: &str, input: bool) -> String {
    let say = |letter: &str, words: &str| mark(nonce, &format!("{id} {letter}"), words);
    let end = mark(&within(nonce), &id.to_string(), "");
    let quoted = quote(script);
    let run = if !asks_for_its_pid(script) {
        format!("eval {quoted}")
    } else if quoted.len() <= ARGUMENT {
        format!("exec bash --norc -c {quoted}")
    } else {
        format!("exec bash --norc -c 'eval \"$(cat <&4)\"' 4<<<{quoted}")
    };
    let mut text = format!("if [[ $- != *m* ]]; then {}; else ( trap : {SIGNALS}; ", say("x", ""));
    // A process group of its own for the courier; all that follows stays in the wrapper's.
    let _ = write!(text, "set -m; {{ coproc {{ {}; }} >&4 4>&-; }} 4>&1; set +m; ", courier(nonce, id));
    text.push_str("exec 3>&${COPROC[1]}- {COPROC[0]}<&-; ");
    let _ = write!(text, "{}; ", say("b", "$BASHPID $!"));
    let spool = spool(nonce, id);
    let source = if input { &spool } else { "/dev/null" };
    let _ = write!(text, "( {run}\n) <{source} >&3 3>&- 9>&-; set -- $?; ");
    let _ = write!(text, "{end} >&3 2>/dev/null; exec 3>&-; {}; wait $!; {}", say("o", ""), say("e", "$1"));
    if input {
        let _ = write!(text, "; rm -f {spool}");
    }
    text.push_str(" ) & fi\n");
    text
}

/// Whether a script wants to know its process: a subshell would be given the pid of the shell that forked it.
fn asks_for_its_pid(script: &str) -> bool {
    ["$$", "${$", "PPID"].iter().any(|text| script.contains(text))
}

/// Takes output from its standard input to the console. What a NUL ends, or a chunk, is sent at once.
fn courier(nonce: &str, id: u64) -> String {
    let leave = mark(nonce, &format!("{id} a"), "");
    format!(
        "LC_ALL=C; c=; n=0; \
         put() {{ if ((${{#c}} == $1)); then printf %s \"$c\"; else printf '%s\\0' \"$c\"; fi; }}; \
         while IFS= read -rd '' -n {CHUNK} c; do put {CHUNK}; ((++n < {CHUNKS})) || break; done; \
         ((n < {CHUNKS})) && printf %s \"$c\" && exit; \
         while {leave}; do \
         while read -ru 9 c && [[ $c != {id} ]]; do :; done; \
         IFS= read -rd '' -n 1 c || break; put 1; \
         dd bs={BLOCK} count=1 iflag=fullblock status=none; done"
    )
}

/// Lets a courier send its next block.
pub(super) fn leave(id: u64) -> String {
    format!("echo {id} >&9\n")
}

/// Ends a command's process group in the usual way.
pub(super) fn terminate(wrapper: u32) -> String {
    format!("kill -TERM -- -{wrapper} 2>/dev/null\n")
}

/// Ends a command's process group for good, the wrapper included, and its courier, and reports in the wrapper's stead.
pub(super) fn kill(nonce: &str, id: u64, wrapper: u32, courier: u32) -> String {
    let over = mark(nonce, &format!("{id} e"), "137");
    format!("{{ kill -KILL -- -{wrapper} -{courier}; wait {wrapper}; }} 2>/dev/null; {over}\n")
}

/// Has a courier send what it holds back: marks the end of the output and fills the courier's block.
pub(super) fn flush(nonce: &str, id: u64, courier: u32) -> String {
    let end = mark(&within(nonce), &id.to_string(), "");
    // In the background, because a pipe that is full is not waited for.
    format!("( {{ {end}; printf '%0{BLOCK}d' 0; }} >/proc/{courier}/fd/0 ) 2>/dev/null &\n")
}

/// Ends a courier.
pub(super) fn dismiss(courier: u32) -> String {
    format!("kill -KILL -- -{courier} 2>/dev/null\n")
}

/// Asks whether the shell is there and, if one is named, whether a wrapper is. Answers `p NUMBER` and 0 if it is.
pub(super) fn ping(nonce: &str, number: u64, wrapper: Option<u32>) -> String {
    let alive = wrapper.map_or_else(String::new, |wrapper| format!(" && kill -0 {wrapper} 2>/dev/null"));
    format!("[[ $- == *m* ]]{alive}; {}\n", mark(nonce, &format!("p {number}"), "$?"))
}

/// Makes the next `length` bytes on the console input of the command with this id, the first or more of it. Answers `c STATUS`.
///
/// If there is no room, the rest of them is still taken off the console: else it would be read as commands. The programs stay in the shell's
/// process group, because where the console is the session's terminal, no other may read it.
pub(super) fn input(nonce: &str, id: u64, length: usize, first: bool) -> String {
    let path = spool(nonce, id);
    let how = if first { ">" } else { ">>" };
    format!(
        "set +m; head -c {length} <&0 | ( umask 077; cat {how}{path} || {{ cat >/dev/null; exit 1; }} ); {}; set -m\n",
        mark(nonce, "c", "$?")
    )
}

/// Throws away input that no command will read.
pub(super) fn forget_input(nonce: &str, id: u64) -> String {
    format!("rm -f {}\n", spool(nonce, id))
}

/// Says a mark, in one write, which no other comes into. It is put together by the shell, so that no copy of this text is one.
fn mark(nonce: &str, words: &str, more: &str) -> String {
    match more {
        "" => format!("printf '\\0%s %s\\0' {nonce} '{words}'"),
        more => format!("printf '\\0%s %s %s\\0' {nonce} '{words}' \"{more}\""),
    }
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_has_no_mark_in_it() {
        let texts = [
            setup("n0nce", Some((2, 3))),
            command("n0nce", 1, "true", true),
            kill("n0nce", 1, 2, 3),
            ping("n0nce", 1, Some(2)),
            input("n0nce", 1, 3, true),
        ];
        for text in texts {
            assert!(!text.contains("\\0n0nce") && !text.contains('\0'), "{text}");
            assert!(text.ends_with('\n'));
        }
    }

    #[test]
    fn only_scripts_that_ask_for_their_pid_get_a_program_of_their_own() {
        for (script, expected) in
            [("echo $!", false), ("echo $$ >procs", true), ("echo ${$}", true), ("kill $PPID", true)]
        {
            assert_eq!(command("n", 1, script, false).contains("exec bash"), expected, "{script}");
        }
    }
}
