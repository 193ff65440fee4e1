//! A shell against this host's bash, and against peers that misbehave.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, Join, duplex, join};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout};

use super::*;

type Pipes = Join<ChildStdout, ChildStdin>;

const LONG: Duration = Duration::from_secs(60);

/// Short times, so that what is waited out on purpose does not take long.
const PATIENCE: Patience = Patience {
    asks: Duration::from_millis(300),
    gives_up: Duration::from_secs(20),
    lingers: Duration::from_millis(200),
    grace: Duration::from_millis(500),
};

/// A bash that reads its commands from a pipe as a guest's does from its console. It ends with its input.
async fn bash() -> (Shell<Pipes>, Child) {
    let mut sh = Command::new("sh");
    sh.args(["-c", "echo noise; echo 'Spawning backdoor root shell...'; exec bash --norc"]);
    sh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = sh.spawn().unwrap();
    let stream = join(child.stdout.take().unwrap(), child.stdin.take().unwrap());
    (Shell::connect(stream, LONG, PATIENCE).await.unwrap(), child)
}

fn request(script: &str) -> Request<'_> {
    Request { script, timeout: Some(LONG), input: None, output: Sink::Capture(1 << 20) }
}

async fn run(shell: &mut Shell<Pipes>, script: &str) -> (i32, Vec<u8>) {
    let ended = shell.run(request(script)).await.unwrap();
    (ended.status, ended.stdout)
}

#[tokio::test]
async fn statuses_and_output_come_back_as_they_are() {
    let (mut shell, _bash) = bash().await;
    let table: &[(&str, i32, &[u8])] = &[
        ("true", 0, b""),
        ("", 0, b""),
        ("echo hi", 0, b"hi\n"),
        ("exit 7", 7, b""),
        ("set -euo pipefail\nfalse\necho unreached", 1, b""),
        ("set -euo pipefail\nfalse | true", 1, b""),
        ("set -u; echo \"$1\"", 1, b""),
        ("kill -9 $BASHPID", 137, b""),
        ("kill -TERM 0", 143, b""),
        ("if", 2, b""),
        ("printf '\\0a\\0\\0b\\377\\r\\n\\0'", 0, b"\0a\0\0b\xff\r\n\0"),
        ("echo \"it's\" '$HOME' `echo \\\\`", 0, b"it's $HOME \\\n"),
        ("read x || echo nothing", 0, b"nothing\n"),
        ("[ $$ = $BASHPID ] && echo own", 0, b"own\n"),
        ("trap 'echo bye' EXIT; echo hi", 0, b"hi\nbye\n"),
        ("exec echo replaced", 0, b"replaced\n"),
        ("echo done # a comment", 0, b"done\n"),
        ("cat <<END\nhere\nEND", 0, b"here\n"),
        ("x=1; echo \"$x\" >&1; ls /proc/$BASHPID/fd | sort -n | head -n 3 | tr '\\n' ' '", 0, b"1\n0 1 2 "),
        ("echo $x", 0, b"\n"),
    ];
    for (script, status, stdout) in table {
        assert_eq!(run(&mut shell, script).await, (*status, stdout.to_vec()), "{script}");
    }
}

#[tokio::test]
async fn output_of_every_length_is_whole() {
    let (mut shell, _bash) = bash().await;
    for length in [1, 1023, 1024, 1025, 11 * 1024, 12 * 1024, 12 * 1024 + 1, 50_000, 400_000] {
        // With NULs and chunks in every position to each other.
        let script = format!("head -c {length} <(while printf '%0700d\\0\\0\\001' 5; do :; done)");
        let pattern = [vec![b'0'; 699], b"5\0\0\x01".to_vec()].concat();
        let expected: Vec<u8> = pattern.into_iter().cycle().take(length).collect();
        let (status, stdout) = run(&mut shell, &script).await;
        assert_eq!((status, stdout.len()), (0, length));
        assert!(stdout == expected, "{length}");
    }
}

#[tokio::test]
async fn long_scripts_arrive() {
    let (mut shell, _bash) = bash().await;
    for own in ["", "$$ "] {
        let script = format!("x='{own}{}'; echo ${{#x}}", "y".repeat(300_000));
        assert_eq!(run(&mut shell, &script).await, (0, format!("{}\n", 300_000 + own.len()).into_bytes()));
    }
}

#[tokio::test]
async fn a_timeout_ends_the_process_group_and_keeps_what_was_said() {
    let (mut shell, _bash) = bash().await;
    for script in ["echo said; sleep 1000; echo unreached", "echo said; trap '' TERM; while :; do sleep 1000; done"] {
        let began = Instant::now();
        let ended = shell.run(Request { timeout: Some(Duration::from_millis(300)), ..request(script) }).await.unwrap();
        assert_eq!((ended.status, ended.stdout.as_slice()), (124, b"said\n".as_slice()), "{script}");
        assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
    }
    assert_eq!(run(&mut shell, "echo again").await, (0, b"again\n".to_vec()));
}

#[tokio::test]
async fn a_background_child_with_the_pipe_holds_up_nothing_and_lives_on() {
    let (mut shell, _bash) = bash().await;
    let began = Instant::now();
    let (status, stdout) = run(&mut shell, "while echo chatter; do sleep 0.02; done & echo $!").await;
    assert_eq!(status, 0);
    let child = String::from_utf8(stdout).unwrap().lines().find_map(|line| line.parse::<u32>().ok()).unwrap();
    // It ends with its pipe, not with its command.
    let wait = format!("while kill -0 {child} 2>/dev/null; do sleep 0.05; done");
    assert_eq!(run(&mut shell, &wait).await.0, 0);
    // The child writes when the next command is under way, and must then find its pipe closed.
    for output in ["echo begun", "head -c 100000 /dev/zero"] {
        let expected = if output == "echo begun" { b"begun\n".to_vec() } else { vec![0; 100_000] };
        let alive = tempfile::NamedTempFile::new().unwrap();
        let path = alive.path().display();
        let script = format!("( trap '' PIPE; sleep 1; echo late; echo on >{path} ) & {output}; exit 3");
        let (status, stdout) = run(&mut shell, &script).await;
        assert_eq!(status, 3);
        assert!(stdout == expected, "{} bytes", stdout.len());
        let wait = format!("until grep -q on {path}; do sleep 0.05; done; echo own");
        let (status, stdout) = run(&mut shell, &wait).await;
        assert!((status, stdout.as_slice()) == (0, b"own\n"), "{} bytes", stdout.len());
    }
    assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn output_without_end_is_an_error_and_no_more() {
    let (mut shell, _bash) = bash().await;
    let error = shell.run(Request { output: Sink::Capture(200_000), ..request("yes") }).await.unwrap_err();
    assert!(matches!(error, ShellError::TooLong(200_000)) && !error.is_final(), "{error}");
    assert_eq!(run(&mut shell, "echo again").await, (0, b"again\n".to_vec()));
}

#[tokio::test]
async fn streams_go_both_ways() {
    let (mut shell, _bash) = bash().await;
    let content: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    for length in [0, 1, PORTION, 2_000_001] {
        let (mut input, mut output) = (&content[..length], Vec::new());
        let mut request = request("cat; exit 5");
        request.input = Some(&mut input);
        request.output = Sink::Stream(&mut output);
        let ended = shell.run(request).await.unwrap();
        assert_eq!((ended.status, ended.stdout.len()), (5, 0));
        assert!(output == content[..length], "{length}: {}", output.len());
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_closes_the_pipe() {
    let (mut shell, _bash) = bash().await;
    let (mut near, far) = duplex(1000);
    drop(far);
    let ended = shell.run(Request { output: Sink::Stream(&mut near), ..request("yes") }).await.unwrap();
    assert_eq!(ended.status, 141);
    assert_eq!(run(&mut shell, "echo again").await, (0, b"again\n".to_vec()));
}

#[tokio::test]
async fn a_reader_that_stalls_does_not_outlast_the_timeout() {
    let (mut shell, _bash) = bash().await;
    let (mut near, _far) = duplex(1000);
    let stalled =
        Request { timeout: Some(Duration::from_millis(500)), output: Sink::Stream(&mut near), ..request("yes") };
    assert_eq!(shell.run(stalled).await.unwrap().status, 124);
    assert_eq!(run(&mut shell, "echo again").await, (0, b"again\n".to_vec()));
}

#[tokio::test]
async fn a_cancelled_command_is_ended_before_the_next() {
    let (mut shell, _bash) = bash().await;
    let mark = tempfile::NamedTempFile::new().unwrap();
    let script = format!("echo $BASHPID >{}; sleep 1000; echo late", mark.path().display());
    let pid = || std::fs::read_to_string(mark.path()).unwrap().trim().to_owned();
    while pid().is_empty() {
        assert!(timeout(Duration::from_millis(500), shell.run(request(&script))).await.is_err());
    }
    assert_eq!(run(&mut shell, "echo own").await, (0, b"own\n".to_vec()));
    let pid = pid();
    assert_eq!(run(&mut shell, &format!("kill -0 {pid} 2>/dev/null")).await.0, 1);
    // Cancelled while its input is on its way.
    let (_writer, mut never) = duplex(10);
    let mut reads = request("cat");
    reads.input = Some(&mut never);
    assert!(timeout(Duration::from_millis(300), shell.run(reads)).await.is_err());
    let mut input = b"fresh".as_slice();
    let mut reads = request("cat");
    reads.input = Some(&mut input);
    assert_eq!(shell.run(reads).await.unwrap().stdout, b"fresh");
}

#[tokio::test]
async fn a_shell_that_dies_is_told() {
    let (mut shell, mut bash) = bash().await;
    bash.start_kill().unwrap();
    let error = shell.run(request("true")).await.unwrap_err();
    assert!(matches!(error, ShellError::Closed) && error.is_final(), "{error}");

    // What ran the command is killed, and the shell lives on.
    let (mut shell, _bash) = self::bash().await;
    let error = shell.run(Request { timeout: None, ..request("kill -KILL 0; sleep 1000") }).await.unwrap_err();
    assert!(matches!(error, ShellError::Lost), "{error}");
}

/// A bash that is started again whenever it ends, as the guest's service does.
async fn undying() -> (Shell<Pipes>, Child) {
    let mut sh = Command::new("sh");
    sh.args(["-c", "while :; do echo 'Spawning backdoor root shell...'; bash --norc; sleep 0.2; done"]);
    sh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = sh.spawn().unwrap();
    let stream = join(child.stdout.take().unwrap(), child.stdin.take().unwrap());
    (Shell::connect(stream, LONG, PATIENCE).await.unwrap(), child)
}

/// The pid of the bash that reads the commands.
fn reader(sh: &Child) -> String {
    let children = std::process::Command::new("ps")
        .args(["-o", "pid=", "--ppid", &sh.id().unwrap().to_string()])
        .output()
        .unwrap();
    String::from_utf8(children.stdout).unwrap().trim().to_owned()
}

fn kill(pid: &str) {
    assert!(std::process::Command::new("kill").args(["-9", pid]).status().unwrap().success());
}

#[tokio::test]
async fn a_command_whose_shell_is_killed_fails_and_the_next_one_runs() {
    let (mut shell, sh) = undying().await;
    let began = Instant::now();
    let pid = reader(&sh);
    let mark = tempfile::NamedTempFile::new().unwrap();
    let path = mark.path().display();
    let script = format!("echo $BASHPID >{path}; kill -9 {pid}; sleep 1000; echo late");
    let error = shell.run(Request { timeout: None, ..request(&script) }).await.unwrap_err();
    assert!(matches!(error, ShellError::Lost) && !error.is_final(), "{error}");
    assert_eq!(run(&mut shell, "echo again").await, (0, b"again\n".to_vec()));
    let left = std::fs::read_to_string(mark.path()).unwrap();
    // Dead, though perhaps not buried yet.
    let lives = format!("grep -qsv ') Z ' /proc/{}/stat", left.trim());
    assert_eq!(run(&mut shell, &format!("while {lives}; do sleep 0.05; done")).await.0, 0);
    assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_shell_that_was_killed_while_nothing_ran_is_prepared_when_it_comes() {
    let (mut shell, sh) = undying().await;
    for attempt in 0..3 {
        let pid = reader(&sh);
        kill(&pid);
        if attempt > 0 {
            timeout(LONG, shell.watch()).await.unwrap().unwrap();
            shell.settle().await.unwrap();
        }
        // Nobody is needed for that: a command is said again to a shell that has not heard it.
        assert_eq!(run(&mut shell, "echo again").await, (0, b"again\n".to_vec()), "{attempt}");
        let mut input = b"input".as_slice();
        let mut reads = request("cat");
        reads.input = Some(&mut input);
        assert_eq!(shell.run(reads).await.unwrap().stdout, b"input");
    }
}

#[tokio::test]
async fn a_command_may_say_what_a_new_shell_says() {
    let (mut shell, bash) = bash().await;
    let said = b"Spawning backdoor root shell...\n";
    assert_eq!(run(&mut shell, "echo Spawning backdoor root shell...; sleep 1").await, (0, said.to_vec()));
    // What nobody waits for may say it, too.
    let console = format!("/proc/{}/fd/1", bash.id().unwrap());
    let stray = format!("(sleep 0.3; echo Spawning backdoor root shell... >{console}) >/dev/null &");
    assert_eq!(run(&mut shell, &stray).await.0, 0);
    timeout(LONG, shell.watch()).await.unwrap().unwrap();
    assert_eq!(run(&mut shell, "echo again").await, (0, b"again\n".to_vec()));
}

#[tokio::test]
async fn a_shell_shows_that_it_lives() {
    let (mut shell, _bash) = bash().await;
    let pulse = shell.pulse().clone();
    assert!(!pulse.beats(Duration::from_millis(100)).await, "nobody looks at the shell");
    let (beats, ended) = tokio::join!(pulse.beats(LONG), shell.run(request("sleep 1; echo hi")));
    assert!(beats);
    assert_eq!(ended.unwrap().stdout, b"hi\n");
    tokio::select! {
        beats = pulse.beats(LONG) => assert!(beats),
        watched = shell.watch() => panic!("{watched:?}"),
    }
    assert_eq!(run(&mut shell, "echo again").await, (0, b"again\n".to_vec()));
}

#[tokio::test]
async fn a_guest_that_begins_anew_is_waited_for() {
    let (near, mut far) = duplex(1 << 16);
    let mut shell = Shell::new(near, PATIENCE).unwrap();
    for boot in 0..2 {
        far.write_all(b"old \0words\0").await.unwrap();
        let mut come = Box::pin(shell.come());
        assert!(timeout(Duration::from_millis(50), &mut come).await.is_err(), "{boot}");
        far.write_all(BANNER).await.unwrap();
        answer_setup(&mut far, &mut come).await;
        drop(come);
        assert!(timeout(Duration::from_millis(50), shell.run(request("true"))).await.is_err());
        shell.forget();
        let mut said = vec![0; 10_000];
        let length = far.read(&mut said).await.unwrap();
        assert!(length > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_was_silent_may_go_on() {
    let (mut shell, mut far) = pair().await;
    let error = shell.run(Request { timeout: None, ..request("true") }).await.unwrap_err();
    assert!(matches!(error, ShellError::Silent(_)), "{error}");
    let mut said = vec![0; 10_000];
    let _ = far.read(&mut said).await.unwrap();
    assert!(timeout(LONG, shell.awake()).await.is_err());
    far.write_all(b"\n").await.unwrap();
    timeout(LONG, shell.awake()).await.unwrap().unwrap();
}

#[tokio::test]
async fn nul_is_refused() {
    let (mut shell, _bash) = bash().await;
    assert!(matches!(shell.run(request("echo \0")).await, Err(ShellError::HasNul)));
}

/// Answers a shell that is being prepared, as bash would.
async fn answer_setup(far: &mut DuplexStream, prepared: &mut (impl Future<Output = Result<(), ShellError>> + Unpin)) {
    let answer = async {
        let mut said = vec![0; 1000];
        let length = far.read(&mut said).await.unwrap();
        let said = String::from_utf8(said[..length].to_vec()).unwrap();
        let nonce = said.split_whitespace().find(|word| word.len() == 16).unwrap().to_owned();
        far.write_all(format!("\0{nonce} r\0").as_bytes()).await.unwrap();
    };
    let (prepared, ()) = tokio::join!(prepared, answer);
    prepared.unwrap();
}

/// A peer that answers what it is asked to, without a shell.
async fn pair() -> (Shell<DuplexStream>, DuplexStream) {
    let (near, mut far) = duplex(1 << 16);
    let mut shell = Shell::new(near, PATIENCE).unwrap();
    for part in ["boot noise Spawning backd", "oor root ", "shell.", "..\n"] {
        far.write_all(part.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    answer_setup(&mut far, &mut Box::pin(shell.come())).await;
    (shell, far)
}

#[tokio::test(start_paused = true)]
async fn a_banner_in_parts_is_a_banner() {
    drop(pair().await);
}

#[tokio::test(start_paused = true)]
async fn a_banner_may_come_byte_by_byte_and_words_after_it() {
    let (near, mut far) = duplex(1 << 16);
    let mut shell = Shell::new(near, PATIENCE).unwrap();
    let mut come = Box::pin(shell.come());
    let say = async {
        for byte in b"boot noise Spawning\nSpawning backdoor root shell...\r\nwords of a profile\n" {
            far.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        ended = &mut come => panic!("{ended:?}"),
        () = say => {}
    }
    answer_setup(&mut far, &mut come).await;
}

#[tokio::test(start_paused = true)]
async fn a_shell_that_never_comes_is_given_up_with_what_came_instead() {
    let (near, mut far) = duplex(1000);
    far.write_all(b"You are in emergency mode.").await.unwrap();
    let error = Shell::connect(near, Duration::from_secs(300), PATIENCE).await.unwrap_err();
    assert_eq!(error.to_string(), "no shell came within 300 s; it said \"You are in emergency mode.\"");
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_hangs_is_given_up() {
    let (mut shell, _far) = pair().await;
    let error = shell.run(Request { timeout: None, ..request("true") }).await.unwrap_err();
    assert!(matches!(error, ShellError::Silent(_)), "{error}");
    let (mut shell, _far) = pair().await;
    let mut input = b"abc".as_slice();
    let mut reads = request("cat");
    reads.input = Some(&mut input);
    let error = shell.run(reads).await.unwrap_err();
    assert!(matches!(error, ShellError::Silent(_)), "{error}");
}

#[tokio::test]
async fn a_guest_that_asks_without_end_and_reads_nothing_fills_no_memory() {
    let (mut shell, mut far) = pair().await;
    let nonce = shell.link.nonce().to_owned();
    let mark = |words: &str| format!("\0{nonce} {words}\0");
    let asks = (mark("1 a") + "Spawning backdoor root shell..." + &mark("p 0 0")).repeat(10_000);
    let said = mark("1 b 5 6") + &asks + &mark("1 e 7");
    let (ended, written) = tokio::join!(shell.run(request("true")), far.write_all(said.as_bytes()));
    written.unwrap();
    assert_eq!(ended.unwrap().status, 7);
    let unsent = shell.link.unsent();
    assert!((1..100_000).contains(&unsent), "{unsent} bytes");
}

#[tokio::test]
async fn an_end_before_the_beginning_is_none() {
    let (mut shell, mut far) = pair().await;
    let nonce = shell.link.nonce().to_owned();
    let guest = async {
        far.write_all(format!("\0{nonce} 1 o\0").as_bytes()).await.unwrap();
        tokio::time::sleep(2 * PATIENCE.asks).await;
        far.write_all(format!("\0{nonce} 1 b 5 6\0\0{nonce} 1 e 3\0").as_bytes()).await.unwrap();
    };
    let (ended, ()) = tokio::join!(shell.run(request("true")), guest);
    assert_eq!(ended.unwrap().status, 3);
    drop(shell);
    let mut said = String::new();
    far.read_to_string(&mut said).await.unwrap();
    let pings = said.matches("'p ").count();
    assert!(pings < 10, "{pings} pings");
}

#[tokio::test]
async fn what_was_asked_about_one_command_says_nothing_of_the_next() {
    let (mut shell, mut far) = pair().await;
    let nonce = shell.link.nonce().to_owned();
    let mark = |words: &str| format!("\0{nonce} {words}\0");
    // It says what makes the shell ask, and is over before the answer.
    let first = mark("1 b 5 6") + "Spawning backdoor root shell..." + &mark("1 o") + &mark("1 e 0");
    far.write_all(first.as_bytes()).await.unwrap();
    assert_eq!(shell.run(request("true")).await.unwrap().status, 0);
    let asked = shell.pings;
    let next = mark(&format!("p {asked} 1")) + &mark("2 b 7 8") + &mark("2 e 3");
    far.write_all(next.as_bytes()).await.unwrap();
    assert_eq!(shell.run(request("true")).await.unwrap().status, 3);
    drop(shell);
    let mut said = String::new();
    far.read_to_string(&mut said).await.unwrap();
    assert_eq!(said.matches("coproc").count(), 2, "{said}");
}
